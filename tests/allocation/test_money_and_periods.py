"""Exact text, months, and how a charge's time falls on UTC days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocation.money import exact_sum, places_of, plain, quanta_of, text_of, texts_of
from allocation.periods import BadPeriod, Period, microseconds_by_day

HOUR = 3_600_000_000
NAIVE = datetime(2026, 9, 1)  # noqa: DTZ001 - hypothesis adds the zone
EAST = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("1.50", "1.5"),
        ("-0.00", "0"),
        ("0E-12", "0"),
        ("1E+3", "1000"),
        ("1E-18", "0.000000000000000001"),
        ("12", "12"),
    ],
)
def test_plain_text_has_no_exponent_and_no_trailing_zeros(amount: str, text: str) -> None:
    assert plain(Decimal(amount)) == text


@given(st.integers(), st.integers(min_value=0, max_value=40))
def test_quanta_and_text_are_inverse(quanta: int, places: int) -> None:
    assert quanta_of(text_of(quanta, places), places) == quanta
    assert places_of(text_of(quanta, places)) == places
    assert texts_of([quanta, -quanta], places + 1) == [text_of(quanta, places + 1), text_of(-quanta, places + 1)]


def test_text_finer_than_the_quantum_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 2"):
        quanta_of("0.001", 2)


def test_sums_keep_every_digit() -> None:
    assert exact_sum([Decimal("1E-40"), Decimal("1E+14")]) == Decimal(
        "100000000000000.0000000000000000000000000000000000000001"
    )


@pytest.mark.parametrize("text", ["2026-13", "2026-00", "2026-1", "26-01", "2026-10-01", "", "0000-01"])
def test_text_that_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(BadPeriod, match="YYYY-MM"):
        Period.parse(text)


def test_a_month_is_half_open() -> None:
    february = Period.parse("2028-02")

    assert (february.start, february.end) == (date(2028, 2, 1), date(2028, 3, 1))
    assert len(list(february.days())) == 29
    assert str(february) == "2028-02"
    assert str(Period(date(2028, 2, 1), date(2028, 2, 3))) == "2028-02-01 to 2028-02-02"
    with pytest.raises(BadPeriod):
        Period(date(2028, 2, 1), date(2028, 2, 1))


def at(day: int, hour: int = 0, *, month: int = 10, zone: timezone = UTC) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=zone)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (at(5, 6), at(5, 7), [(5, HOUR)]),
        (at(5, 12), at(7, 6), [(5, 12 * HOUR), (6, 24 * HOUR), (7, 6 * HOUR)]),
        (at(29, month=9), at(3), [(1, 24 * HOUR), (2, 24 * HOUR)]),
        (at(30), at(2, month=11), [(30, 24 * HOUR), (31, 24 * HOUR)]),
        (at(10, month=9), at(12, month=9), [(10, 1)]),
        (at(5, 23, zone=EAST), at(6, 3, zone=EAST), [(5, 3 * HOUR), (6, HOUR)]),
    ],
)  # fmt: skip
def test_time_falls_on_utc_days_within_the_billing_period(
    start: datetime, end: datetime, expected: list[tuple[int, int]]
) -> None:
    days = microseconds_by_day(start, end, clip_start=at(1), clip_end=at(1, month=11))

    assert [(day.day, weight) for day, weight in days] == expected


@given(
    st.datetimes(NAIVE, NAIVE + timedelta(days=90), timezones=st.just(UTC)),
    st.timedeltas(timedelta(seconds=1), timedelta(days=400)),
)
def test_fault_028_no_time_is_lost_or_doubled_at_edges(start: datetime, length: timedelta) -> None:
    clip_start, clip_end = at(1), at(1, month=11)
    days = microseconds_by_day(start, start + length, clip_start=clip_start, clip_end=clip_end)

    overlap = min(start + length, clip_end) - max(start, clip_start)
    assert len({day for day, _ in days}) == len(days)
    assert sum(weight for _, weight in days) == (overlap // timedelta(microseconds=1) if overlap > timedelta(0) else 1)
