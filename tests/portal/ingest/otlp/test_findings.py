"""What went wrong with spans is kept by key and shown; values told without end are capped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client

from portal.accounts.models import Role
from portal.ingest.otlp.traces.capped import OTHERS
from portal.ingest.otlp.traces.known import forget
from reports.queries.traces.findings import span_findings
from tests.factories import make_user
from tests.portal.ingest.otlp.sending import CALL, NOW, ingest_secret, request, rows, send, span

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def frozen_clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def found() -> dict[str, int]:
    return {each.finding: each.spans for each in span_findings(since=NOW.date())}


def test_what_is_wrong_with_spans_is_counted_by_key_and_day() -> None:
    secret = ingest_secret()
    bad = [
        span(1, traceId="xyz"),
        span(2, traceId="uvw"),
        span(3, {**CALL, "gen_ai.usage.input_tokens": -1}, trace=3),
        span(4, {**CALL, "gen_ai.usage.total_tokens": 5000}, trace=4),
        span(5, {**CALL, "gen_ai.operation.name": "fetch_response"}, trace=5),
        span(6, trace=6, at=NOW - timedelta(days=900)),
    ]

    send(request(bad), secret)
    send(request([span(3, trace=3)]), secret)

    assert found() == {
        "refused: traceId is not hexadecimal": 2,
        "counted without tokens: their counts can't be read": 1,
        "counted with fewer tokens than the total beside them says": 1,
        "usage on a span that is no model call: not counted": 1,
        "kept but not counted: their start is outside the time window": 1,
        "repeat an earlier span's id with different content: the first is kept": 1,
    }
    assert {each.key_name for each in span_findings(since=NOW.date())} == {"tests"}


def test_calls_whose_spans_disagree_are_listed() -> None:
    inner = {**CALL, "gen_ai.usage.input_tokens": 500}
    send(request([span(1, seconds=2), span(2, inner, parent=1)]), ingest_secret())

    assert found() == {"calls: its spans tell different token counts": 1}


def test_nothing_is_kept_where_all_went_well() -> None:
    send(request([span(1)]), ingest_secret())

    assert found() == {}


def test_the_imports_page_lists_findings(client: Client) -> None:
    send(request([span(1, traceId="xyz")]), ingest_secret())
    client.force_login(make_user(Role.FINOPS_ADMIN))

    page = client.get("/imports/").content.decode()

    assert "What was wrong with the traces of the last 30 days?" in page
    assert "refused: traceId is not hexadecimal" in page


def test_fault_051_values_without_end_count_as_one(settings: Any) -> None:
    settings.USAGE_DISTINCT_VALUES = 2
    secret = ingest_secret()
    told = [{**CALL, "customer": f"c-{n}", "team": f"t-{n}"} for n in range(6)]

    for n, each in enumerate(told):
        send(request([span(n + 1, each, trace=n + 1)], {"service.name": "api"}), secret)
        forget()
    send(request([span(99, told[0], trace=99)], {"service.name": "api"}), secret)

    assert rows(
        "SELECT d.customer, count(*) FROM span s JOIN allocation_usagedimension d"
        " ON d.id = s.dimension_id GROUP BY 1 ORDER BY 1"
    ) == [(OTHERS, 4), ("c-0", 2), ("c-1", 1)]
    assert rows("SELECT count(DISTINCT team) FROM allocation_usagedimension") == [(6,)]
