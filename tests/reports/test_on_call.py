"""Now against the usual: medians, ranges, and what deserves a look."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from allocation.models import UsageDimension, UsageHourly
from reports.analysis.latency import Histogram
from reports.analysis.on_call import OnCall, on_call
from reports.analysis.usual import compare
from reports.asking import TeamScope
from reports.queries.usage.now import HourRow, LatencyRow, known_telemetry, usage_now
from reports.queries.usage.picked import UsageFilter

NOW = datetime(2026, 11, 20, 12, 15, tzinfo=UTC)
D = Decimal


def hour(
    week: int, *, calls: int = 100, errors: int = 0, cost: str = "10", model: str = "gpt-4o"
) -> HourRow:
    return HourRow(week, "openai", model, D(calls), D(errors), D(calls * 1000), D(cost), D(0), D(0))


def off_now(found: OnCall) -> list[tuple[str | None, str]]:
    return [(subject.model, reading.measure.name) for subject, reading in found.off]


@pytest.mark.parametrize(
    ("now", "past", "usual", "low", "high", "place"),
    [
        ("5", ["1", "2", "3", "4"], "2.5", "1", "4", "above"),
        ("3", ["1", "2", "3", "4"], "2.5", "1", "4", "within"),
        ("0", ["1", "2"], "1.5", "1", "2", "below"),
        ("7", ["7"], "7", "7", "7", "within"),
    ],
)
def test_the_usual_is_the_median_with_its_range(
    now: str, past: list[str], usual: str, low: str, high: str, place: str
) -> None:
    found = compare(D(now), [D(value) for value in past])

    assert (found.usual, found.low, found.high, found.place) == (D(usual), D(low), D(high), place)


def test_without_known_weeks_there_is_no_comparison() -> None:
    found = compare(D(5), [None, None])

    assert (found.usual, found.ratio, found.place, found.weeks) == (None, None, "no comparison", 0)
    assert not found.is_off(factor=D("1.5"), least=D(0))


def test_nothing_is_no_base_for_a_ratio() -> None:
    found = compare(D(5), [D(0), D(0)])

    assert found.ratio is None
    assert found.is_off(factor=D("1.5"), least=D(1))


def test_a_value_outside_the_range_but_near_the_median_is_usual() -> None:
    found = compare(D("4.1"), [D(3), D(4), D(4), D(4)])

    assert found.place == "above"
    assert not found.is_off(factor=D("1.5"), least=D(0))


def test_what_is_off_comes_first_totals_before_models() -> None:
    usage = [hour(0, cost="40"), hour(0, model="o1", calls=100, cost="90")]
    usage += [hour(week, cost="39") for week in (1, 2, 3)] + [
        hour(week, model="o1", cost="10") for week in (1, 2, 3)
    ]

    found = on_call(usage=usage, latency=[], known_weeks=[1, 2, 3])

    assert off_now(found) == [(None, "burn"), ("o1", "burn")]
    assert [model.model for model in found.models] == ["o1", "gpt-4o"]
    assert found.total.reading("burn").comparison.usual == 49


def test_errors_and_latency_are_compared_too() -> None:
    usage = [hour(0, errors=10), hour(1), hour(2)]
    latency = [
        LatencyRow(
            week, "openai", "gpt-4o", 24 if week == 0 else 18, D(100)
        )  # 4.1 s instead of 0.5 s
        for week in (0, 1, 2)
    ]

    found = on_call(usage=usage, latency=latency, known_weeks=[1, 2])

    assert sorted(off_now(found), key=str) == sorted(
        [(None, "errors"), (None, "p95"), ("gpt-4o", "errors"), ("gpt-4o", "p95")], key=str
    )


def test_few_calls_and_faster_ones_are_no_alarm() -> None:
    usage = [hour(0, calls=10, errors=9), hour(1, calls=10), hour(2, calls=10)]
    faster = [
        LatencyRow(week, "openai", "gpt-4o", 12 if week == 0 else 24, D(100)) for week in (0, 1, 2)
    ]

    found = on_call(usage=usage, latency=faster, known_weeks=[1, 2])

    assert off_now(found) == []
    assert found.total.reading("errors").comparison.now == D("0.9")


def test_a_model_that_fell_silent_is_shown() -> None:
    found = on_call(usage=[hour(1), hour(2)], latency=[], known_weeks=[1, 2])

    assert found.is_silent
    assert ("gpt-4o", "calls") in off_now(found)


def test_percentiles_interpolate_inside_their_bin() -> None:
    histogram = Histogram.of([(20, D(50)), (22, D(50)), (20, D(0))])

    assert histogram.percentile_ms(0.5) == pytest.approx(1448.15, rel=1e-4)  # upper end of bin 20
    assert histogram.percentile_ms(0.75) == pytest.approx(2435.5, rel=1e-4)
    assert Histogram.of([]).percentile_ms(0.5) is None


# ---------------------------------------------------------------- from the rollup


def rollup(
    at: datetime,
    calls: int,
    *,
    team: str = "search",
    cost: str | None = "1",
    version: int | None = 1,
) -> None:
    dimension, _ = UsageDimension.objects.get_or_create(
        content_hash=f"test {team}".encode(),
        defaults={"is_inference": True, "provider": "openai", "model": "gpt-4o", "team": team},
    )
    names = [field.name for field in UsageHourly._meta.local_concrete_fields]
    values = {
        name: 0
        for name in names
        if name not in ("hour", "dimension_id", "list_cost", "price_version_id")
    }
    UsageHourly.objects.create(
        hour=at,
        dimension_id=dimension.pk,
        **{**values, "calls": calls, "spans": calls},
        list_cost=None if cost is None else D(cost),
        price_version_id=version,
    )


@pytest.mark.django_db
def test_the_last_hour_takes_the_running_one_whole_and_the_rest_from_before() -> None:
    running = NOW.replace(minute=0)
    rollup(running, 100)
    rollup(running - timedelta(hours=1), 40)
    rollup(running - timedelta(weeks=1), 80)
    rollup(running - timedelta(weeks=1, hours=1), 40)

    found = {
        row.weeks_back: row.calls
        for row in usage_now(now=NOW, picked=UsageFilter(), teams=TeamScope.everything())
    }

    # A quarter past: 100 + 3/4 of 40; a week ago 1/4 of 80 + 3/4 of 40.
    assert found == {0: 130, 1: 50}


@pytest.mark.django_db
def test_unpriced_and_fresh_calls_stand_beside_the_burn() -> None:
    running = NOW.replace(minute=0)
    rollup(running, 100, cost="5")
    rollup(running, 30, team="ads", cost=None)
    rollup(running, 7, team="new", cost=None, version=None)

    (row,) = usage_now(now=NOW, picked=UsageFilter(), teams=TeamScope.everything())

    assert (row.cost, row.calls, row.unpriced_calls, row.pending_calls) == (5, 137, 30, 7)


@pytest.mark.django_db
def test_a_scope_counts_its_teams_only() -> None:
    rollup(NOW.replace(minute=0), 100)
    rollup(NOW.replace(minute=0), 30, team="ads")

    (row,) = usage_now(now=NOW, picked=UsageFilter(), teams=TeamScope(teams=frozenset({"ads"})))

    assert row.calls == 30
    assert usage_now(now=NOW, picked=UsageFilter(), teams=TeamScope(teams=frozenset())) == []


@pytest.mark.django_db
def test_weeks_before_the_first_call_are_not_known() -> None:
    assert not known_telemetry(now=NOW).covers(NOW, 1)
    rollup(NOW.replace(minute=0) - timedelta(weeks=2, hours=5), 1)

    known = known_telemetry(now=NOW)

    assert [known.covers(NOW, week) for week in (1, 2, 3)] == [True, True, False]
