"""The on-call page: refreshes itself, says what is off, and nothing it does not know."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
import time_machine
from django.test import Client

from allocation.catalogue.price_store import ensure_prices
from portal.accounts.models import Role
from portal.ingest.otlp.rollup.merge import merge_deltas
from portal.pages.operate.on_call.wording import since
from tests.factories import Costs, make_user
from tests.portal.ingest.otlp.sending import CALL, NOW, span
from tests.portal.pages.operate.test_debug_page import deliver
from tests.portal.pages.words import text_of

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def frozen_clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def reader() -> Client:
    client = Client()
    client.force_login(make_user(Role.ON_CALL))
    return client


def test_an_empty_portal_says_what_will_be_here(reader: Client) -> None:
    page = text_of(reader.get("/on-call/").content)

    assert "No model calls yet" in page
    assert "as expected" not in page


def test_a_first_hour_has_no_comparison(reader: Client) -> None:
    ensure_prices()
    deliver([span(n, at=NOW - timedelta(minutes=5)) for n in range(1, 11)])
    merge_deltas()

    page = text_of(reader.get("/on-call/").content)

    assert "No comparison yet" in page
    assert "gpt-4o" in page
    assert "as expected" not in page


def test_it_refreshes_itself_with_only_what_changes(reader: Client) -> None:
    whole = reader.get("/on-call/").content.decode()
    part = reader.get("/on-call/", headers=HTMX).content.decode()

    assert 'hx-trigger="every 30s"' in whole
    assert 'id="on-call-now"' in part
    assert "<html" not in part


FAILING = {**CALL, "error.type": "timeout"}


def spike() -> None:
    """Thirty calls an hour of the week, and 199 now of which all failed."""
    ensure_prices()
    for week in (1, 2):
        deliver(
            [
                span(n, trace=100 * week + n, at=NOW - timedelta(weeks=week, minutes=10))
                for n in range(1, 31)
            ]
        )
    deliver([span(1, trace=999, at=NOW - timedelta(weeks=2, hours=2))])
    deliver(
        [
            span(n, FAILING, trace=n, at=NOW - timedelta(minutes=10), status={"code": 2})
            for n in range(1, 200)
        ]
    )
    merge_deltas()


def test_a_spike_is_told_first(reader: Client) -> None:
    spike()

    page = text_of(reader.get("/on-call/").content)

    assert "What is off?" in page
    assert "Error rate 100.0% , expected 0.0%, since about 12:00" in page
    assert "far above expected" in page
    assert "last 2 weeks" in page
    assert "times the usual" not in page


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (1, "since about 12:00"),
        (13, "since about 00:00"),
        (14, "since about 19 Nov 23:00"),
        (None, "for over 12 hours"),
    ],
)
def test_since_is_told_to_the_hour_and_with_the_day_before(hours: int | None, words: str) -> None:
    assert since(hours, NOW) == words
    assert since(hours, NOW + timedelta(minutes=20)) == words


def test_what_is_off_leads_to_its_failed_calls_of_the_same_minutes(reader: Client) -> None:
    spike()

    (row,) = reader.get("/on-call/").context["off"]
    there = reader.get(f"/debug/?{row.failed_query}").context
    back = reader.get("/on-call/?at=2026-11-20T12:25:30").context["off"][0]

    assert row.failing == "199"
    assert there["picked"].window.end == NOW
    assert there["picked"].window.length == timedelta(hours=1)
    assert there["picked"].failure.is_failed
    assert {call.error_type for call in there["newest"]} == {"timeout"}
    assert "until=2026-11-20T12%3A26" in back.query


def test_the_reader_says_whether_calls_or_money_come_first(reader: Client) -> None:
    spike()

    ranks = reader.get("/on-call/?rank=money").context["ranks"]
    strange = reader.get("/on-call/?rank=shouting").context["ranks"]

    assert [chosen for chosen, _, _ in ranks] == [False, True]
    assert [chosen for chosen, _, _ in strange] == [True, False]


def test_burn_says_what_it_leaves_out(reader: Client) -> None:
    ensure_prices()
    deliver([span(n, at=NOW - timedelta(minutes=5)) for n in range(1, 10)])
    unknown = {**CALL, "gen_ai.request.model": "llm-zero", "gen_ai.provider.name": "homemade"}
    deliver([span(10, unknown, at=NOW - timedelta(minutes=5))])
    merge_deltas()

    without = text_of(reader.get("/on-call/").content)
    costs = Costs(date(2026, 11, 1))
    costs.add(3, "25", team="search", model="gpt-4o")
    costs.add(3, "75", team="search", phase="build")
    costs.balance()
    billed = text_of(reader.get("/on-call/").content)

    assert "leaves out GPU and infrastructure (no bill tells how much) and 1 call" in without
    assert "(75.0% of the AI cost billed for November 2026)" in billed
    assert "1 call of models without a price (10.0% of calls)" in billed


def test_silence_is_told_and_leads_to_the_last_hour_with_calls(reader: Client) -> None:
    deliver([span(1, at=NOW - timedelta(hours=9))])
    merge_deltas()

    page = reader.get("/on-call/").content.decode()
    then = text_of(reader.get("/on-call/?at=2026-11-20T04:00").content)

    assert "No calls in these 60 minutes" in text_of(page)
    assert "at=2026-11-20T04%3A00%3A00%2B00%3A00" in page
    assert "Looking back" in then
    assert "gpt-4o" in then


@pytest.mark.parametrize("at", ["tomorrow", "2999-01-01", "0001-01-01T00:00", ""])
def test_an_impossible_time_means_now(reader: Client, at: str) -> None:
    assert "refreshed every 30 seconds" in reader.get("/on-call/", {"at": at}).content.decode()


def test_only_on_call_and_admin_may_look() -> None:
    for role, status in (
        (Role.ON_CALL, 200),
        (Role.FINOPS_ADMIN, 200),
        (Role.EXECUTIVE, 404),
        (Role.FINANCE, 404),
    ):
        client = Client()
        client.force_login(make_user(role))
        assert client.get("/on-call/").status_code == status
