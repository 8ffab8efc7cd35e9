"""The summary by subject says what the rollup says, before and after it is brought up to date."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine

from allocation.catalogue.price_store import ensure_prices
from allocation.usage.summary import summarise_hours
from portal.ingest.otlp.rollup.merge import merge_deltas
from tests.portal.ingest.otlp.sending import CALL, NOW, ingest_secret, request, rows, send, span

pytestmark = pytest.mark.django_db
MINI = {**CALL, "gen_ai.request.model": "gpt-4o-mini"}
UNKNOWN = {**CALL, "gen_ai.request.model": "llm-zero", "gen_ai.provider.name": "homemade"}


def deliver(numbers: range, told: dict[str, Any], **resource: str) -> None:
    spans = [span(n, told, trace=n, at=NOW - timedelta(minutes=37 * n), seconds=n) for n in numbers]
    assert (
        send(
            request(spans, {"service.name": "api", "team": "search", **resource}), ingest_secret()
        ).status_code
        == 200
    )


def by_subject() -> list[tuple[Any, ...]]:
    return rows(
        "SELECT hour, provider, model, team, sum(calls), sum(errors), sum(input_tokens), "
        "sum(output_tokens),"
        " trim_scale(sum(list_cost)), sum(priced_calls), sum(unpriced_calls), sum(pending_calls)"
        " FROM usage_by_subject GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
    )


def latencies() -> list[tuple[Any, ...]]:
    return rows(
        "SELECT hour, model, bin, sum(calls) FROM latency_by_subject GROUP BY 1, 2, 3 ORDER BY "
        "1, 2, 3"
    )


@time_machine.travel(NOW, tick=False)
def test_summing_up_changes_no_figure() -> None:
    ensure_prices()
    deliver(range(1, 9), CALL, customer="a")
    deliver(range(11, 19), CALL, customer="b")
    deliver(range(21, 25), UNKNOWN)
    merge_deltas()
    before = by_subject(), latencies()

    done = summarise_hours(100)

    assert done > 5
    assert (by_subject(), latencies()) == before
    assert rows("SELECT count(*) FROM usage_stale_hour") == [(0,)]
    assert rows(
        "SELECT count(*) < (SELECT count(*) FROM allocation_usagedimension) FROM usage_subject"
    ) == [(True,)]


@time_machine.travel(NOW, tick=False)
def test_an_hour_that_changes_is_read_from_the_rollup_until_it_is_summed_up_again() -> None:
    ensure_prices()
    deliver(range(1, 3), CALL)
    merge_deltas()
    summarise_hours(100)

    deliver(range(31, 33), MINI)
    fresh = sum(row[4] for row in by_subject())
    merge_deltas()
    folded = sum(row[4] for row in by_subject())
    summarise_hours(100)

    assert (fresh, folded, sum(row[4] for row in by_subject())) == (4, 4, 4)
    assert summarise_hours(100) == 0


@time_machine.travel(NOW, tick=False)
def test_a_few_hours_at_a_time_newest_first() -> None:
    deliver(range(1, 9), CALL)
    merge_deltas()
    stale = rows("SELECT hour FROM usage_stale_hour ORDER BY hour DESC")

    assert summarise_hours(2) == 2
    assert rows("SELECT hour FROM usage_stale_hour ORDER BY hour DESC") == stale[2:]
    assert sum(row[4] for row in by_subject()) == 8
