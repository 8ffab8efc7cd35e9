"""What proportional splits go by: sums by target and day are exact, and those of the month are of
all days.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from allocation.organisation.targets import Target
from allocation.usage.measures import Reading, _sum_text, summed
from allocation.values.money import exact_sum, plain

DAYS = (None, date(2026, 10, 5), date(2026, 10, 6))
TARGETS = (Target(team="ads"), Target(team="search"), Target(reason="unknown team"))
NUMBERS = st.integers(-3, 10**18).map(str) | st.decimals(-2, 10**6, places=6).map(plain)
READINGS = st.lists(
    st.builds(Reading, st.sampled_from(DAYS), st.sampled_from(TARGETS), NUMBERS, st.integers(1, 5)),
    max_size=12,
)


@given(READINGS)
def test_sums_are_those_of_the_readings(readings: list[Reading]) -> None:
    sums = summed(readings)

    used = [reading for reading in readings if Decimal(reading.quantity)]
    assert {(day, target) for day, (by_target, _) in sums.items() for target in by_target} == {
        (day, reading.target) for reading in used for day in (reading.day, None)
    }
    for day, (by_target, places) in sums.items():
        for target, measure in by_target.items():
            own = [r for r in used if r.target == target and (day is None or r.day == day)]
            assert Decimal(measure.weight).scaleb(-places) == exact_sum(
                Decimal(r.quantity) for r in own
            )
            assert measure.rung == max(r.rung for r in own)
        assert not places or any(measure.weight % 10 for measure in by_target.values())


@given(st.lists(NUMBERS, max_size=6))
def test_texts_add_up_whole_or_not(texts: list[str]) -> None:
    assert Decimal(_sum_text(texts)) == exact_sum(map(Decimal, texts))
