"""The rollup: whatever order, batches and repeats spans arrive in, it says the same; and it equals
its spans.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
import time_machine
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allocation.catalogue.price_list import list_price, packaged
from allocation.catalogue.price_store import ensure_prices
from allocation.catalogue.prices import reprice
from portal.ingest.otlp.rollup.merge import merge_deltas, rollup_of_spans
from portal.ingest.otlp.rollup.retention import prepare, retain
from portal.ingest.otlp.traces.attributes import installed
from portal.ingest.otlp.traces.decode import json_items
from portal.ingest.otlp.traces.known import forget
from portal.ingest.otlp.traces.normalise import Sender, normalise
from portal.ingest.otlp.traces.store import store_spans
from portal.ingest.otlp.traces.window import window
from tests.portal.ingest.otlp.sending import CALL, NOW, request, rows, span, totals
from tests.portal.ingest.otlp.test_matching import Sent, answered, worlds

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def frozen_clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def store(spans: list[dict[str, Any]], scope: str = "tests", **resource: Any) -> None:
    words = installed()
    items = json_items(request(spans, resource or None, scope), words.wanted)
    records, refused = normalise(
        items, words=words, sender=Sender(), window=window(NOW.timestamp())
    )
    assert not refused
    store_spans(records)


def forget_everything() -> None:
    with connection.cursor() as cursor:
        for table in (
            "span",
            "usage_delta",
            "latency_delta",
            "usage_hourly",
            "latency_hourly",
            "merged_call",
            "span_skeleton",
            "who_delta",
            "who_daily",
        ):
            cursor.execute(f"DELETE FROM {table}")
    forget()


AGENT = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.usage.input_tokens": 300,
    "gen_ai.usage.output_tokens": 60,
}
OTHER_CALL = {**CALL, "gen_ai.usage.input_tokens": 200, "gen_ai.usage.output_tokens": 40}
GATEWAY = {**CALL, "gen_ai.provider.name": "anthropic"}

# One trace with an agent over two calls, one of which a gateway saw as well; a trace with an agent
# alone; a plain call; two calls with one response id; a span without usage between an agent and its
# call.
CROWD = [
    span(1, AGENT, trace=1, seconds=9),
    span(2, CALL, trace=1, parent=1, seconds=4),
    span(3, GATEWAY, trace=1, parent=2, seconds=3),
    span(4, OTHER_CALL, trace=1, parent=1),
    span(1, AGENT, trace=2),
    span(2, {"gen_ai.operation.name": "execute_tool"}, trace=2, parent=1),
    span(1, CALL, trace=3),
    span(1, {**CALL, "gen_ai.response.id": "r-1"}, trace=4),
    span(2, {**OTHER_CALL, "gen_ai.response.id": "r-1", "feature": "answer"}, trace=4, parent=1),
    span(1, AGENT, trace=5),
    span(2, {}, trace=5, parent=1),
    span(3, CALL, trace=5, parent=2),
    span(1, AGENT, trace=6),
    span(2, AGENT, trace=6, parent=1),
    span(1, CALL, trace=7, seconds=2),
    span(2, OTHER_CALL, trace=7, parent=1, seconds=1.9),
    span(1, CALL, trace=8, seconds=9),
    span(2, OTHER_CALL, trace=8, parent=1, seconds=2),
]
# trace 1: 100 + 200; trace 2: 300; trace 3: 100; trace 4: the inner, 200; trace 5: 100; trace 6:
# the outer, 300; traces 7 and 8: one call seen twice with different counts, the inner 200,
# however long the outer took.
EXPECTED = {"spans": 9, "calls": 9, "input": 1700, "output": 340}


def test_one_batch_counts_each_call_once() -> None:
    store(CROWD)

    assert totals() == EXPECTED
    assert rows(
        "SELECT right(trace_id::text, 1), span_id, not_counted FROM span WHERE NOT counted ORDER "
        "BY trace_id, span_id"
    ) == [
        ("1", 1, "repeats the usage of its calls"),
        ("1", 2, "the same call as another span"),
        ("2", 2, "not an inference call"),
        ("4", 1, "the same call as another span"),
        ("5", 1, "repeats the usage of its calls"),
        ("5", 2, "not an inference call"),
        ("6", 2, "repeats the usage of its calls"),
        ("7", 1, "the same call as another span"),
        ("8", 1, "the same call as another span"),
    ]


@given(
    order=st.permutations(CROWD * 2), cuts=st.lists(st.integers(1, 2 * len(CROWD) - 1), max_size=8)
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_fault_037_any_order_and_repetition_gives_the_same_totals(
    order: list[dict[str, Any]], cuts: list[int]
) -> None:
    forget_everything()
    edges = [0, *sorted(set(cuts)), len(order)]

    for number, (first, last) in enumerate(pairwise(edges)):
        store(order[first:last])
        if number % 3 == 0:
            merge_deltas()

    assert totals() == EXPECTED
    merge_deltas()
    assert totals() == EXPECTED
    assert_rollup_equals_spans(NOW.date())


def assert_rollup_equals_spans(day: date) -> None:
    usage, latency = rollup_of_spans(day)
    stored = rows(
        "SELECT hour, dimension_id, sum(spans), sum(calls), sum(calls_without_usage), sum(errors), "
        "sum(input_uncached), sum(cache_read), sum(cache_write_5m), sum(cache_write_1h), "
        "sum(output_text), sum(reasoning), sum(input_audio), sum(input_image), sum(output_audio), "
        "sum(output_image), sum(duration_us), sum(variance_input), sum(variance_output), "
        "sum(covariance), sum(cached_answers), sum(client_cost), sum(client_cost_calls) "
        "FROM usage_live GROUP BY hour, dimension_id "
        "HAVING sum(spans) <> 0 OR sum(cached_answers) <> 0"
    )
    # The variance terms are floating point, whose last digit depends on the order of adding.
    terms = slice(17, 20)
    assert [row[:17] + row[20:] for row in sorted(stored)] == [row[:17] + row[20:] for row in usage]
    for row, rebuilt in zip(sorted(stored), usage, strict=True):
        assert row[terms] == pytest.approx(rebuilt[terms], rel=1e-12)
    stored = rows(
        "SELECT hour, dimension_id, bin, sum(calls) FROM latency_live"
        " GROUP BY hour, dimension_id, bin HAVING sum(calls) <> 0"
    )
    assert sorted(stored) == latency


def test_rollup_equals_a_rebuild_from_spans() -> None:
    rng = random.Random(5)
    states = ["", "ot=th:8", "ot=th:c;rv:ffffffffffffff", "other=1,ot=th:fd70a"]
    spans = [
        span(
            number + 1,
            {
                **CALL,
                "gen_ai.usage.input_tokens": rng.randint(1, 500_000),
                "feature": f"f{rng.randint(1, 3)}",
            },
            trace=number + 1,
            at=NOW - timedelta(minutes=rng.randint(0, 700)),
            seconds=rng.random() * 40,
            traceState=rng.choice(states),
            status={"code": rng.choice([0, 0, 2])},
        )
        for number in range(300)
    ]

    for start in range(0, 300, 70):
        store(spans[start : start + 90])
        merge_deltas()

    assert rows("SELECT count(*) FROM usage_delta") == [(0,)]
    assert_rollup_equals_spans(NOW.date())


def test_sampled_span_weighs_what_its_threshold_says() -> None:
    store([span(1, traceState="ot=th:c")])  # three quarters were not sent: it stands for four

    assert totals() == {"spans": 1, "calls": 4, "input": 400, "output": 80}
    # w(w-1)xx = 4 x 3 x 100 x 100
    assert rows("SELECT variance_input, variance_output, covariance FROM usage_live") == [
        (120_000.0, 4_800.0, 24_000.0)
    ]


def test_rate_of_the_service_weighs_spans_without_a_trace_state(settings: Any) -> None:
    settings.SAMPLING_RATES = ["chat-api=0.1"]
    installed.cache_clear()
    try:
        store([span(1)], **{"service.name": "chat-api"})
        store([span(2)], **{"service.name": "search-api"})
    finally:
        installed.cache_clear()

    assert totals()["calls"] == 11


def test_fault_050_model_without_a_price_stays_unpriced_and_is_never_zero() -> None:
    version, is_new = ensure_prices()
    assert is_new
    assert ensure_prices() == (version, False)
    store([span(1), span(2, {**CALL, "gen_ai.request.model": "house-model-7"}, trace=2)])

    merge_deltas()

    # gpt-4o: 100 x 2.5 + 20 x 10 USD per million
    assert rows(
        "SELECT d.model, u.list_cost, u.price_version_id FROM usage_hourly u"
        " JOIN allocation_usagedimension d ON d.id = u.dimension_id ORDER BY 1"
    ) == [("gpt-4o", Decimal("0.00045"), version.pk), ("house-model-7", None, version.pk)]


PRICED = [
    ("openai", "gpt-4o-2024-08-06", None),
    ("anthropic", "claude-sonnet-4-6", None),
    ("anthropic", "claude-opus-4-6", "batch"),
    ("aws.bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0", None),
    ("gcp.vertex_ai", "gemini-2.5-pro", None),
    ("gcp.gemini", "gemini-2.5-flash", "batch"),
    ("deepseek", "deepseek-v4-flash", None),
    ("openai", "gpt-5.6-sol", "priority"),
    ("azure.ai.openai", "gpt-4o", "standard"),
    (None, "gpt-4o-mini", None),
    ("perplexity", "sonar-pro", None),
]


def test_bulk_prices_equal_the_exact_price_of_each_call() -> None:
    ensure_prices()
    rng = random.Random(11)
    spans, expected = [], {}
    for number in range(220):
        provider, model, tier = rng.choice(PRICED)
        at = datetime(2026, rng.randint(2, 11), rng.randint(1, 20), rng.randint(0, 11), tzinfo=UTC)
        total, cached, out = (
            rng.choice([900, 150_000, 250_000, 300_000]),
            rng.randint(0, 800),
            rng.randint(1, 9_000),
        )
        told: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.response.model": model,
            "gen_ai.usage.input_tokens": total,
            "gen_ai.usage.cache_read.input_tokens": cached,
            "gen_ai.usage.output_tokens": out,
            "feature": str(number),
        }
        if provider:
            told["gen_ai.provider.name"] = provider
        if tier:
            told["gen_ai.request.service_tier"] = tier
        spans.append(span(number + 1, told, trace=number + 1, at=at))
        usage = {"input_uncached": total - cached, "cache_read": cached, "output_text": out}
        expected[str(number)] = list_price(usage, provider, model, at, packaged(), tier=tier)

    store(spans)
    merge_deltas()

    stored = dict(
        rows(
            "SELECT d.feature, u.list_cost FROM usage_hourly u"
            " JOIN allocation_usagedimension d ON d.id = u.dimension_id"
        )
    )
    assert stored == expected
    assert all(cost is not None and cost > 0 for cost in expected.values())


def test_fault_050_new_price_list_prices_the_past_again() -> None:
    version, _ = ensure_prices()
    store([span(1)])
    merge_deltas()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO allocation_priceversion (source, content_sha256, imported_at) VALUES "
            "('x', 'x', now())"
        )
        cursor.execute(
            "INSERT INTO allocation_price (version_id, provider, model, tier, token_class, "
            "context_from, valid_from, is_undated, per_million) SELECT (SELECT max(id) FROM "
            "allocation_priceversion), provider, model, tier, token_class, context_from, "
            "valid_from, is_undated, per_million * 2 FROM allocation_price WHERE version_id = %s "
            "AND model = 'gpt-4o'",
            [version.pk],
        )
        cursor.execute("SELECT max(id) FROM allocation_priceversion")
        newer = int((cursor.fetchone() or (0,))[0])

    assert reprice(newer) == 1

    assert rows("SELECT list_cost, price_version_id FROM usage_hourly") == [
        (Decimal("0.0009"), newer)
    ]


def test_old_days_are_sealed_then_dropped_and_never_counted_again() -> None:
    old = NOW - timedelta(days=130)
    store([span(1, at=old), span(2, trace=2)])
    merge_deltas()

    assert retain(NOW.date() - timedelta(days=120)) == (1, 0)
    assert retain(NOW.date() - timedelta(days=120)) == (0, 0)
    rows("UPDATE allocation_sealedday SET sealed_at = now() - interval '11 minutes' RETURNING 1")
    assert retain(NOW.date() - timedelta(days=120)) == (0, 1)
    assert rows("SELECT span_id FROM span") == [(2,)]
    forget()
    store([span(1, at=old)])

    assert rows("SELECT counted, not_counted FROM span WHERE span_id = 1") == [
        (False, "its day is sealed")
    ]
    assert totals()["spans"] == 2


def test_fault_136_one_call_counts_once_whoever_sees_it() -> None:
    """The same traffic through the application, the gateway, both, and both with the response id
    made anew.
    """
    calls = [
        {**CALL, "gen_ai.usage.input_tokens": 100 + n, "gen_ai.usage.output_tokens": n}
        for n in range(1, 6)
    ]
    app = [
        span(1, {**told, "gen_ai.response.id": f"r-{n}"}, trace=n, seconds=2)
        for n, told in enumerate(calls, 1)
    ]
    gateway = [
        span(2, {**told, "gen_ai.response.id": f"r-{n}"}, trace=n, parent=1, seconds=1.9)
        for n, told in enumerate(calls, 1)
    ]
    named_anew = {"gen_ai.provider.name": "anthropic", "gen_ai.request.model": "gpt-4o"}
    renamed = [
        span(
            2,
            {**told, **named_anew, "gen_ai.response.id": f"chatcmpl-{n}"},
            trace=n,
            parent=1,
            seconds=1.9,
        )
        for n, told in enumerate(calls, 1)
    ]
    found = []
    for seen, scope in (
        (app, "tests"),
        (gateway, "litellm"),
        ([*app, *gateway], "tests"),
        ([*gateway, *app], "tests"),
        ([*app, *renamed], "litellm"),
    ):
        forget_everything()
        for one in seen:
            store([one], scope)
        found.append(totals())

    assert found == [{"spans": 5, "calls": 5, "input": 515, "output": 15}] * 5


def test_different_answers_are_different_calls_even_inside_each_other() -> None:
    store([span(1, {**CALL, "gen_ai.response.id": "r-1"}, seconds=2)])
    store([span(2, {**CALL, "gen_ai.response.id": "r-2"}, parent=1)])

    assert totals()["calls"] == 2


def test_a_retry_beside_the_first_attempt_is_a_call_of_its_own() -> None:
    """Both were billed, however alike: what makes one call of two spans is that one is inside the
    other.
    """
    failed = {**CALL, "error.type": "timeout"}
    store(
        [
            span(9, {}, seconds=5),
            span(1, failed, parent=9, status={"code": 2}),
            span(2, CALL, parent=9),
        ]
    )

    assert totals() == {"spans": 2, "calls": 2, "input": 200, "output": 40}


def test_a_cancelled_stream_is_a_call_without_usage() -> None:
    told = {name: value for name, value in CALL.items() if "usage" not in name}
    store([span(1, {**told, "error.type": "cancelled"}), span(2, CALL, trace=2)])

    assert totals() == {"spans": 2, "calls": 2, "input": 100, "output": 20}
    assert rows("SELECT sum(calls_without_usage) FROM usage_live") == [(1,)]


@pytest.mark.django_db(transaction=True)
def test_two_observers_that_arrive_at_the_same_instant_count_once() -> None:
    rounds = 25
    barrier = threading.Barrier(2)

    def observe(number: int, parent: int | None, told: dict[str, Any]) -> None:
        for trace in range(1, rounds + 1):
            barrier.wait()
            store([span(number, told, trace=trace, parent=parent, seconds=5)])
        connection.close()

    store([span(9, trace=99)])  # the day's partition and the dimension are there
    application = threading.Thread(target=observe, args=(1, None, CALL))
    gateway = threading.Thread(target=observe, args=(2, 1, {**CALL, "feature": "answer"}))
    application.start()
    gateway.start()
    application.join()
    gateway.join()

    assert rows("SELECT count(*), count(*) FILTER (WHERE counted) FROM span") == [
        (2 * rounds + 1, rounds + 1)
    ]
    assert totals()["calls"] == rounds + 1
    assert_rollup_equals_spans(NOW.date())


def test_partitions_are_made_ahead() -> None:
    prepare(NOW.date())

    assert rows(
        "SELECT to_regclass('span_20261120') IS NOT NULL, to_regclass('span_20261121') IS NOT NULL"
    ) == [(True, True)]


@given(world=worlds(), data=st.data())
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_fault_145_spans_in_any_order_and_twice_are_the_same_calls(
    world: tuple[int, int, list[Sent]], data: st.DataObject
) -> None:
    calls, tokens, sent = world
    found = []
    for _ in range(2):
        forget_everything()
        for scope, one in data.draw(st.permutations(sent + sent[: len(sent) // 2])):
            store([one], scope, **{"service.name": scope})
        assert (totals()["calls"], totals()["input"]) == (calls, tokens)
        assert_rollup_equals_spans(NOW.date())
        found.append(as_counted())

    assert found[0] == found[1]


def as_counted() -> list[tuple[Any, ...]]:
    return rows(
        "SELECT d.team, d.service, d.model, c.input_uncached, c.output_text, c.adjusted_count"
        " FROM call_as_counted c JOIN allocation_usagedimension d ON d.id = c.dimension_id"
        " WHERE c.counted ORDER BY 1, 2, 3, 4, 5"
    )


def test_a_later_observer_adds_its_words_to_the_call() -> None:
    store([span(1, answered("r"), trace=1)], "litellm", **{"service.name": "litellm"})
    store([span(1, answered("r", team="ads"), trace=2)], "app", **{"service.name": "shop"})

    assert rows(
        "SELECT d.team, d.service, sum(u.calls) FROM usage_live u JOIN allocation_usagedimension d"
        " ON d.id = u.dimension_id GROUP BY 1, 2 HAVING sum(u.calls) <> 0"
    ) == [("ads", "shop", 1)]


def test_cached_answers_are_counted_apart() -> None:
    for number in (1, 2, 3):
        at = NOW + timedelta(seconds=10 * number)
        store([span(number, answered("r"), trace=number, at=at)])

    assert totals() == {"spans": 1, "calls": 1, "input": 100, "output": 20}
    assert rows("SELECT sum(cached_answers) FROM usage_live") == [(2,)]
    assert_rollup_equals_spans(NOW.date())


def test_fault_152_an_observer_that_joins_a_call_of_a_sealed_day_does_not_count() -> None:
    midnight = NOW.replace(hour=0, minute=0)
    store([span(1, answered("r"), trace=1, at=midnight - timedelta(seconds=30), seconds=40)])
    merge_deltas()
    retain(midnight.date())
    assert rows("SELECT day, spans FROM allocation_sealedday WHERE spans > 0") == [
        (midnight.date() - timedelta(days=1), 1)
    ]
    forget()

    store([span(1, answered("r"), trace=2, at=midnight + timedelta(seconds=1))], "litellm")

    assert totals() == {"spans": 1, "calls": 1, "input": 100, "output": 20}
    stays = "a call of a sealed day, which stays as it is"
    assert rows("SELECT not_counted FROM span WHERE NOT counted") == [(stays,)]
    assert rows("SELECT finding, spans FROM allocation_tracefinding") == [(stays, 1)]


def test_thinned_spans_still_say_what_stands_inside_what() -> None:
    """A tool's plain span between two calls comes last; only then are they one call."""
    store([span(1, CALL, seconds=3)], "codex_exec")
    store([span(3, {**CALL, "gen_ai.response.id": "r"}, parent=2)], "codex_exec")
    assert totals()["calls"] == 2

    store([span(2, {}, parent=1, seconds=2)], "codex_exec")

    assert totals()["calls"] == 1
    assert rows("SELECT count(*) FROM span") == [(2,)]
    assert rows("SELECT span_ids, parent_span_ids FROM span_skeleton") == [([2], [1])]
