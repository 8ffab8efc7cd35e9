"""Now against the usual: medians, ranges, and what deserves a look."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocation.models import UsageDimension, UsageHourly
from reports.analysis.latency import Histogram
from reports.analysis.on_call import OnCall, hours_off, on_call
from reports.analysis.usual import compare
from reports.asking import TeamScope
from reports.queries.usage.now import HourRow, LatencyRow, known_telemetry, usage_now
from reports.queries.usage.picked import UsageFilter

NOW = datetime(2026, 11, 20, 12, 15, tzinfo=UTC)
D = Decimal


def hour(
    week: int,
    *,
    calls: int = 100,
    errors: int = 0,
    cost: str = "10",
    model: str = "gpt-4o",
    spans: int | None = None,
) -> HourRow:
    """An hour whose calls are all received, unless `spans` are fewer."""
    return HourRow(
        0,
        week,
        "openai",
        model,
        calls=D(calls),
        errors=D(errors),
        tokens=D(calls * 1000),
        cost=D(cost),
        unpriced_calls=D(0),
        pending_calls=D(0),
        spans=D(calls if spans is None else spans),
    )


def off_now(found: OnCall, rank: str = "failing") -> list[tuple[str | None, str]]:
    return [
        (subject.model, reading.measure.name)
        for subject, readings in found.off(rank)
        for reading in readings
    ]


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


WEEKS = (1, 2, 3)


def found_of(*models: tuple[HourRow, list[HourRow]]) -> OnCall:
    """Each model now, and in the weeks before."""
    usage = [row for now, past in models for row in (now, *past)]
    return on_call(usage=usage, latency=[], known_weeks=WEEKS)


def past(model: str, **values: Any) -> list[HourRow]:
    return [hour(week, model=model, **values) for week in WEEKS]


def test_the_most_failing_calls_stand_first_or_the_most_money() -> None:
    found = found_of(
        (hour(0, model="dear", calls=1000, cost="90"), past("dear", calls=1000)),
        (hour(0, model="half", calls=1000, errors=350), past("half", calls=1000, errors=10)),
        (hour(0, model="huge", calls=9000, errors=300), past("huge", calls=9000, errors=90)),
    )

    assert off_now(found) == [("half", "errors"), ("huge", "errors"), ("dear", "burn")]
    assert [model.failing_calls for model, _ in found.off()] == [340, 210, 0]
    assert off_now(found, "money")[0] == ("dear", "burn")
    assert found.off("money")[0][0].money == 80


@given(
    errors=st.lists(st.integers(0, 400), min_size=1, max_size=6),
    costs=st.lists(st.integers(0, 400), min_size=6, max_size=6),
)
def test_no_order_lets_a_smaller_stake_stand_before_a_larger(
    errors: list[int], costs: list[int]
) -> None:
    found = found_of(
        *(
            (
                hour(0, model=str(number), calls=500, errors=failed, cost=str(costs[number])),
                past(str(number), calls=500, errors=5),
            )
            for number, failed in enumerate(errors)
        )
    )

    for rank, stake in (("failing", "failing_calls"), ("money", "money")):
        stakes = [getattr(model, stake) for model, _ in found.off(rank) if not model.is_total]
        assert stakes == sorted(stakes, reverse=True)


def test_less_cost_is_no_alarm() -> None:
    found = found_of((hour(0, calls=60, cost="1"), past("gpt-4o", calls=200, cost="90")))

    assert off_now(found) == []
    assert found.total.reading("burn").comparison.place == "below"


def test_calls_that_fail_to_come_are_an_alarm() -> None:
    found = found_of((hour(0, calls=9), past("gpt-4o", calls=200)))

    assert off_now(found) == [("gpt-4o", "calls")]


def test_one_failed_span_that_stands_for_hundreds_of_calls_is_no_alarm() -> None:
    """Of 40 spans that stand for 20,480 calls two failed: chance."""
    usual = past("gpt-4o", calls=20_480, spans=40)
    few = found_of((hour(0, calls=20_480, errors=1024, spans=40), usual))
    many = found_of((hour(0, calls=20_480, errors=5120, spans=40), usual))

    assert off_now(few) == []
    assert few.total.reading("errors").is_thin
    assert off_now(many) == [("gpt-4o", "errors")]


def test_what_is_off_in_all_together_alone_is_told_last() -> None:
    models = [f"m{number}" for number in range(8)]
    found = found_of(
        *(
            (hour(0, model=name, calls=1000, cost="1.9"), past(name, calls=1000, cost="1"))
            for name in models
        )
    )

    ((subject, readings),) = found.off()

    assert subject.is_total
    assert [reading.measure.name for reading in readings] == ["burn"]


def test_a_model_that_tells_little_of_the_whole_does_not_hide_it() -> None:
    """Sampled thinly, the others can't be judged one by one."""
    thin = [f"m{number}" for number in range(8)]
    found = found_of(
        (hour(0, model="small", cost="3"), past("small", cost="1")),
        *(
            (
                hour(0, model=name, calls=1000, cost="30", spans=10),
                past(name, calls=1000, cost="10", spans=10),
            )
            for name in thin
        ),
    )

    assert off_now(found) == [("small", "burn"), (None, "burn")]
    assert found.off()[-1][0].money == 162


def test_errors_and_latency_are_compared_too() -> None:
    usage = [hour(0, errors=10), hour(1), hour(2)]
    latency = [
        LatencyRow(
            0, week, "openai", "gpt-4o", 24 if week == 0 else 18, D(100)
        )  # 4.1 s instead of 0.5 s
        for week in (0, 1, 2)
    ]

    found = on_call(usage=usage, latency=latency, known_weeks=[1, 2])

    assert off_now(found) == [("gpt-4o", "errors"), ("gpt-4o", "p95")]


def test_few_calls_and_faster_ones_are_no_alarm() -> None:
    usage = [hour(0, calls=4, errors=4), hour(1, calls=4), hour(2, calls=4)]
    faster = [
        LatencyRow(0, week, "openai", "gpt-4o", 12 if week == 0 else 24, D(100))
        for week in (0, 1, 2)
    ]

    found = on_call(usage=usage, latency=faster, known_weeks=[1, 2])

    assert off_now(found) == []
    assert found.total.reading("errors").comparison.now == 1


def test_a_model_that_fell_silent_is_shown() -> None:
    found = on_call(usage=[hour(1), hour(2)], latency=[], known_weeks=[1, 2])

    assert found.is_silent
    assert not found.is_silent_as_expected
    assert ("gpt-4o", "calls") in off_now(found)


def test_silence_where_silence_is_expected_is_no_alarm() -> None:
    found = on_call(usage=[], latency=[], known_weeks=[1, 2])

    assert found.is_silent_as_expected
    assert off_now(found) == []


def test_a_deviation_lasts_as_many_hours_in_a_row_as_it_is_off() -> None:
    bad = found_of((hour(0, errors=40), past("gpt-4o")))
    good = found_of((hour(0), past("gpt-4o")))
    key = ("openai", "gpt-4o", False, "errors")

    assert hours_off(bad, [good, bad])[key] == 1
    assert hours_off(bad, [bad, bad, good, bad])[key] == 3
    assert hours_off(bad, [bad, bad])[key] is None
    assert hours_off(good, [bad]) == {}


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
def test_hours_back_are_whole_sixty_minutes_and_know_their_spans() -> None:
    running = NOW.replace(minute=0)
    rollup(running - timedelta(hours=1), 80)
    rollup(running - timedelta(hours=2), 40)

    found = {
        row.hours_back: (row.calls, row.spans)
        for row in usage_now(
            now=NOW, picked=UsageFilter(), teams=TeamScope.everything(), hours_back=range(3)
        )
    }

    # A quarter past: 3/4 of 80; an hour ago 1/4 of 80 + 3/4 of 40; before that 1/4 of 40.
    assert found == {0: (60, 60), 1: (50, 50), 2: (10, 10)}


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
