"""The debug page and its traces, from spans sent through the real door."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.test import Client

from allocation.catalogue.price_store import ensure_prices
from allocation.models import Feature
from portal.accounts.models import Role
from portal.ingest.otlp.calls.counting import SAME_CALL
from portal.ingest.otlp.rollup.merge import merge_deltas
from portal.ingest.otlp.traces.normalise import FETCHED, REPEATS_CALLS
from reports.analysis.waterfall import TOLD_ELSEWHERE
from reports.asking import TeamScope
from reports.queries.traces.calls import (
    Failure,
    costliest_calls,
    errors_by_type,
    newest_spans,
    slowest_calls,
    spans_outside_window,
)
from reports.queries.traces.spans import trace_spans
from reports.queries.usage.models import latency_by_model, usage_by_model
from reports.queries.usage.picked import UsageFilter, usage_choices
from reports.queries.usage.unpriced import usage_unpriced
from reports.window import HourWindow
from tests.factories import make_team, make_user
from tests.portal.bills import SHARED
from tests.portal.ingest.otlp.sending import CALL, NOW, ingest_secret, request, send, span
from tests.portal.pages.words import text_of

pytestmark = pytest.mark.django_db

EXAMPLE = SHARED / "otlp_examples/trace.json"
DAY = HourWindow(NOW - timedelta(hours=24), NOW + timedelta(minutes=1))
EVERYTHING = TeamScope.everything()
AGENT = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.usage.input_tokens": 300,
    "gen_ai.usage.output_tokens": 60,
}
LARGER = {**CALL, "gen_ai.usage.input_tokens": 200, "gen_ai.usage.output_tokens": 40}
UNKNOWN = {**CALL, "gen_ai.provider.name": "homemade", "gen_ai.request.model": "llm-zero"}


@pytest.fixture(autouse=True)
def frozen_clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def reader() -> Client:
    client = Client()
    client.force_login(make_user(Role.ON_CALL))
    return client


def deliver(spans: list[dict[str, Any]], **resource: str) -> None:
    told = {"service.name": "chat-api", "team": "search", "feature": "answers", **resource}
    assert send(request(spans, told), ingest_secret()).status_code == 200


def test_a_call_shows_before_it_is_folded_and_priced(reader: Client) -> None:
    deliver([span(1, seconds=2)])

    page = text_of(reader.get("/debug/").content)

    assert "gpt-4o" in page
    assert "not priced yet" in page
    assert "00000000000000000000000000000001" in reader.get("/debug/newest/").content.decode()


def test_cost_per_call_comes_from_the_list_and_percentiles_from_the_histogram(
    reader: Client,
) -> None:
    ensure_prices()
    deliver([span(n, seconds=1) for n in range(1, 20)] + [span(20, seconds=60)])
    merge_deltas()

    (usage,) = usage_by_model(window=DAY, picked=UsageFilter(), teams=EVERYTHING)
    histogram = latency_by_model(window=DAY, picked=UsageFilter(), teams=EVERYTHING)[
        "openai", "gpt-4o"
    ]

    # gpt-4o: 2.50 USD a million input tokens, 10 USD a million output tokens.
    assert usage.cost_per_call == Decimal("0.00045")
    assert (usage.calls, usage.tokens_per_call) == (20, 120)
    p50, p99 = histogram.percentile_ms(0.5), histogram.percentile_ms(0.99)
    assert p50 is not None
    assert 700 < p50 < 1450
    assert p99 is not None
    assert 46_000 < p99 < 93_000


def test_teams_and_features_bear_their_names(reader: Client) -> None:
    Feature.objects.create(slug="answers", name="Answers & more")
    make_team("search")
    deliver([span(1, seconds=2)])
    deliver([span(2, seconds=2)], team="nobody-knows", feature="else")
    merge_deltas()

    pages = [
        reader.get(address).content.decode()
        for address in ("/debug/", "/debug/newest/", "/debug/calls/")
    ]

    assert all(
        "Search Answers &amp; more" in text_of(page) and "nobody-knows else" in text_of(page)
        for page in pages
    )
    assert '<option value="answers">Answers &amp; more</option>' in pages[0]


def test_unpriced_models_are_listed_and_never_zero(reader: Client) -> None:
    ensure_prices()
    deliver([span(1, UNKNOWN)])
    merge_deltas()

    (row,) = usage_unpriced(window=DAY, picked=UsageFilter(), teams=EVERYTHING)
    (usage,) = usage_by_model(window=DAY, picked=UsageFilter(), teams=EVERYTHING)

    assert (row.model_requested, row.calls, row.tokens) == ("llm-zero", 1, 120)
    assert usage.cost_per_call is None
    assert "unpriced" in text_of(reader.get("/debug/").content)


FLEX = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "gcp.gemini",
    "gen_ai.request.model": "gemini-2.5-pro",
    "gen_ai.request.service_tier": "flex",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 0,
}


def test_a_tier_at_the_general_price_says_so_at_the_call_and_in_totals(reader: Client) -> None:
    """The shape of fmt-10."""
    ensure_prices()
    deliver([span(1, FLEX), span(2, FLEX | {"gen_ai.request.service_tier": "batch"}, trace=2)])
    merge_deltas()

    prices = text_of(reader.get("/debug/prices/").content)
    flex = text_of(reader.get(f"/debug/trace/{1:032x}/").content)
    batch = text_of(reader.get(f"/debug/trace/{2:032x}/").content)
    dearest = text_of(reader.get("/debug/calls/").content)
    rows = reader.get("/debug/prices.csv").content.decode().splitlines()

    assert "1 call of a tier without a price of its own counts at the general price" in prices
    assert "general price for flex" in flex
    assert "genai-prices" in flex
    assert "genai-prices" in batch
    assert "general price" not in batch
    assert "general price for flex" in dearest
    assert rows[1].startswith(
        "general price: no source has one of the tier,gcp.gemini,gemini-2.5-pro,flex,"
        "input_uncached,1,1000,0.00125,genai-prices"
    )
    assert len(rows) == 2
    assert 'hx-get="/debug/prices/?' in reader.get("/debug/").content.decode()


def test_the_example_trace_is_outside_the_window_and_no_inference_call(reader: Client) -> None:
    if not EXAMPLE.exists():
        pytest.skip("../shared/data/otlp_examples is not here")
    assert send(json.loads(EXAMPLE.read_text()), ingest_secret()).status_code == 200

    page = reader.get("/debug/").content.decode()
    outside = text_of(page[page.index('id="outside"') :])
    trace = text_of(reader.get("/debug/trace/5B8EFFF798038103D269B633813FC60C/").content)

    assert "I'm a server span" in outside.replace("&#x27;", "'")
    assert "outside the time window, no inference call" in outside.replace(" ,", ",")
    assert "No inference call in this trace" in trace
    assert "outside the time window" in trace


def test_a_parent_is_checked_against_the_calls_below_it(reader: Client) -> None:
    ensure_prices()
    deliver(
        [
            span(1, AGENT, seconds=9),
            span(2, parent=1),
            span(3, LARGER, parent=1, at=NOW + timedelta(seconds=2)),
        ]
    )
    deliver(
        [span(1, {**AGENT, "gen_ai.usage.input_tokens": 999}, trace=2), span(2, parent=1, trace=2)]
    )

    agreeing = text_of(reader.get(f"/debug/trace/{1:032x}/").content)
    differing = text_of(reader.get(f"/debug/trace/{2:032x}/").content)

    assert "360 tokens, agrees with its calls" in agreeing
    assert "says 1,059 tokens, 939 more than its calls" in differing


def test_a_trace_shows_cost_of_each_call_and_their_sum(reader: Client) -> None:
    ensure_prices()
    deliver([span(1, AGENT, seconds=9), span(2, parent=1), span(3, LARGER, parent=1)])
    merge_deltas()

    page = text_of(reader.get(f"/debug/trace/{1:032x}/").content)

    # 0.00045 and twice that.
    assert "0.0004500" in page
    assert "0.0009000" in page
    assert "0.001350" in page


def test_only_whole_hex_ids_of_known_traces_open(reader: Client) -> None:
    deliver([span(1)])

    assert reader.get(f"/debug/trace/{1:032x}/").status_code == 200
    assert reader.get(f"/debug/trace/{1:032x}/?day={NOW:%Y-%m-%d}").status_code == 200
    assert reader.get(f"/debug/trace/{2:032x}/").status_code == 404
    assert reader.get("/debug/trace/1234/").status_code == 404


def test_errors_are_grouped_by_type_and_the_slowest_come_first(reader: Client) -> None:
    timeout = {**CALL, "error.type": "timeout"}
    deliver(
        [
            span(1, seconds=1),
            span(2, timeout, seconds=30, status={"code": 2}),
            span(3, timeout, seconds=4),
        ]
    )

    (error,) = errors_by_type(window=DAY, picked=UsageFilter(), teams=EVERYTHING)
    slowest = slowest_calls(window=DAY, picked=UsageFilter(), teams=EVERYTHING)

    assert (error.error_type, error.calls, error.models) == ("timeout", 2, "gpt-4o")
    assert [call.span_id for call in slowest] == [2, 3, 1]
    panel = text_of(reader.get("/debug/calls/", headers={"HX-Request": "true"}).content)
    assert "timeout" in panel
    assert "30.0 s" in panel


TIMEOUT = {**CALL, "error.type": "timeout"}
LIMITED = {**CALL, "error.type": "429"}


def test_failed_calls_can_be_picked_and_by_their_error(reader: Client) -> None:
    deliver([span(1), span(2, TIMEOUT), span(3, LIMITED), span(4, status={"code": 2})])

    asked: dict[str, Any] = {"window": DAY, "picked": UsageFilter(), "teams": EVERYTHING}
    found = {
        failure: {
            call.span_id
            for read in (newest_spans, slowest_calls)
            for call in read(**asked, failure=failure)
        }
        for failure in (Failure(), Failure(is_failed=True), Failure(error_type="429"))
    }
    single = reader.get("/debug/calls/?error=429", headers={"HX-Request": "true"})
    page = text_of(reader.get("/debug/?error=429").content)

    assert list(found.values()) == [{1, 2, 3, 4}, {2, 3, 4}, {3}]
    assert [error.error_type for error, _ in single.context["errors"]] == ["429"]
    assert "Which 429 calls were slowest?" in text_of(single.content)
    assert "The slowest among the newest 5,000 429 spans" in text_of(single.content)
    assert "the tables of single calls hold 429 calls only" in page
    assert len(costliest_calls(**asked, failure=Failure(error_type="none-such"))) == 0


def test_an_error_leads_to_its_calls(reader: Client) -> None:
    deliver([span(1), span(2, TIMEOUT), span(3, LIMITED)])

    errors = reader.get("/debug/calls/").context["errors"]
    shown = {
        error.error_type: [
            call.span_id for call in reader.get(f"/debug/?{query}").context["newest"]
        ]
        for error, query in errors
    }

    assert shown == {"timeout": [2], "429": [3]}


WINDOW = "hours=6&until=2026-11-20T12:35"


def test_every_link_keeps_the_window_and_the_choice(reader: Client) -> None:
    """The links of the trust line and of the rail are about now."""
    deliver([span(1), span(2, TIMEOUT)])

    pages = [
        reader.get(f"{address}?{WINDOW}&failed=1").content.decode()
        for address in ("/debug/", "/debug/calls/", "/debug/newest/", f"/debug/trace/{1:032x}/")
    ]

    own = [
        unescape(link)
        for page in pages
        for link in re.findall(r'(?:href|hx-get)="(/debug/[^"]*)"', page)
        if "model=" in link or "failed=" in link or "/trace/" in link or "hours=" in link
    ]
    assert any("/debug/trace/" in link for link in own)
    assert len(own) > 8
    assert [link for link in own if "hours=6" not in link] == []
    # Only "Up to now" lets go of the end.
    assert {"until=2026-11-20T12%3A35" in link for link in own} == {True, False}
    assert len([link for link in own if "until=" not in link]) == 1
    bar = pages[0][pages[0].index("data-state-bar") :].partition("</form>")[0]
    assert '<input type="hidden" name="until" value="2026-11-20T12:35">' in bar


def test_every_model_has_a_histogram_with_its_count(reader: Client) -> None:
    for number in range(1, 10):
        told = {**CALL, "gen_ai.request.model": f"llm-{number}"}
        deliver([span(n, told, trace=100 * number + n) for n in range(1, number + 1)])

    answer = reader.get("/debug/")
    page = answer.content.decode()

    drawn = [*answer.context["drawn"], *answer.context["drawn_more"]]
    assert len(answer.context["drawn"]) == 6
    assert [(panel.usage.model, panel.usage.calls) for panel in drawn] == [
        (f"llm-{number}", number) for number in range(9, 0, -1)
    ]
    assert page.count('<figure class="histogram">') == 9
    assert "Show 3 more models" in text_of(page)
    assert "9 calls, highest bar 9" in text_of(page)


def test_single_calls_alone_are_a_whole_page(reader: Client) -> None:
    alone = reader.get("/debug/calls/").content
    taken_in = reader.get("/debug/calls/", headers={"HX-Request": "true"}).content

    assert b"<h1>Single calls</h1>" in alone
    assert b"<html" not in taken_in


def test_the_dearest_calls_come_first_with_their_cost() -> None:
    ensure_prices()
    deliver([span(1), span(2, LARGER), span(3, UNKNOWN)])
    merge_deltas()

    calls = costliest_calls(window=DAY, picked=UsageFilter(), teams=EVERYTHING)

    assert [(call.span_id, call.cost) for call in calls] == [
        (2, Decimal("0.0009")),
        (1, Decimal("0.00045")),
    ]


def test_picking_narrows_every_panel(reader: Client) -> None:
    deliver([span(1)])
    deliver(
        [span(2, {**CALL, "gen_ai.request.model": "gpt-4o-mini"}, trace=2)], feature="summaries"
    )

    choices = usage_choices(window=DAY, teams=EVERYTHING)
    picked = UsageFilter(feature="summaries")
    page = text_of(reader.get("/debug/?feature=summaries").content)

    assert choices.models == ["gpt-4o", "gpt-4o-mini"]
    assert choices.features == ["answers", "summaries"]
    assert [row.model for row in usage_by_model(window=DAY, picked=picked, teams=EVERYTHING)] == [
        "gpt-4o-mini"
    ]
    assert [call.span_id for call in newest_spans(window=DAY, picked=picked, teams=EVERYTHING)] == [
        2
    ]
    assert "gpt-4o-mini" in page


def test_a_scope_leaves_out_every_span_of_another_team() -> None:
    deliver([span(1)])
    deliver([span(2, trace=1)], team="ads")
    deliver([span(3, trace=3, at=datetime(2011, 1, 1, tzinfo=UTC))], team="ads")
    ads, nobody = TeamScope(teams=frozenset({"ads"})), TeamScope(teams=frozenset())

    assert [call.team for call in newest_spans(window=DAY, picked=UsageFilter(), teams=ads)] == [
        "ads"
    ]
    assert [row.calls for row in usage_by_model(window=DAY, picked=UsageFilter(), teams=ads)] == [1]
    assert [row.team for row in trace_spans(trace_id=UUID(int=1), day=None, teams=ads)] == ["ads"]
    assert len(spans_outside_window(teams=ads)) == 1
    assert not spans_outside_window(teams=nobody)
    assert not newest_spans(window=DAY, picked=UsageFilter(), teams=nobody)
    assert not latency_by_model(window=DAY, picked=UsageFilter(), teams=nobody)


def test_empty_pages_say_what_they_will_show(reader: Client) -> None:
    page = text_of(reader.get("/debug/").content)

    assert "No model calls in this window" in page
    assert "Send OpenTelemetry spans to /v1/traces" in page
    assert "Make a key" not in page


def test_an_admin_makes_the_first_key_from_the_empty_pages() -> None:
    admin = Client()
    admin.force_login(make_user(Role.FINOPS_ADMIN))

    for address in ("/debug/", "/on-call/"):
        assert '<a class="button" href="/admin/#make-key">' in admin.get(address).content.decode()
    assert 'id="make-key"' in admin.get("/admin/").content.decode()


def test_strange_choices_fall_back(reader: Client) -> None:
    for query in (
        "hours=0",
        "hours=9999",
        "until=yesterday",
        "until=0001-01-01T00:00",
        "model=" + "x" * 5000,
    ):
        assert reader.get(f"/debug/?{query}").status_code == 200


def test_other_roles_find_no_debug_page() -> None:
    client = Client()
    client.force_login(make_user(Role.EXECUTIVE))

    assert client.get("/debug/").status_code == 404
    assert client.get(f"/debug/trace/{1:032x}/").status_code == 404


def test_statements_do_not_grow_with_spans(
    reader: Client, django_assert_max_num_queries: Any
) -> None:
    ensure_prices()
    deliver([span(n, trace=n) for n in range(1, 60)])
    merge_deltas()

    with django_assert_max_num_queries(28):
        reader.get("/debug/")
    with django_assert_max_num_queries(20):
        reader.get(f"/debug/trace/{5:032x}/?day={NOW:%Y-%m-%d}")


def test_reasons_of_the_door_are_known_to_the_waterfall() -> None:
    assert set(TOLD_ELSEWHERE) == {SAME_CALL, REPEATS_CALLS, FETCHED}
