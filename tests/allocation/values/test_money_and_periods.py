"""Exact text, months, and how a charge's time falls on UTC days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal, Inexact
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocation.values.money import (
    exact_sum,
    exact_text,
    places_of,
    plain,
    quanta_of,
    text_of,
    texts_of,
)
from allocation.values.periods import BadPeriod, Period, microseconds_by_day
from tests.allocation.examples import times

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
        ("100", "100"),
        ("-1.10", "-1.1"),
        ("0", "0"),
    ],
)
def test_plain_text_has_no_exponent_and_no_trailing_zeros(amount: str, text: str) -> None:
    assert plain(Decimal(amount)) == text


@given(st.integers(), st.integers(min_value=0, max_value=40))
def test_quanta_and_text_are_inverse(quanta: int, places: int) -> None:
    assert quanta_of(text_of(quanta, places), places) == quanta
    assert places_of(text_of(quanta, places)) == places
    assert texts_of([quanta, -quanta], places + 1) == [
        text_of(quanta, places + 1),
        text_of(-quanta, places + 1),
    ]


def test_text_finer_than_the_quantum_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^0\.001 has more than 2 decimal places$"):
        quanta_of("0.001", 2)


@pytest.mark.parametrize(
    ("quanta", "places", "text"),
    [
        (-1500, 3, "-1.500"),
        (7, 0, "7"),
        (-7, 0, "-7"),
        (5, 3, "0.005"),
        (-5, 3, "-0.005"),
        (0, 2, "0.00"),
        (12, 1, "1.2"),
    ],
)
def test_quanta_are_written_as_the_database_prints_them(
    quanta: int, places: int, text: str
) -> None:
    assert text_of(quanta, places) == text
    assert texts_of([quanta], places) == [text]
    assert texts_of([], places) == []
    assert texts_of([0, 10**9 + 7], 4) == ["0.0000", "100000.0007"]
    assert quanta_of(text, places) == quanta
    assert quanta_of(text, places + 2) == quanta * 100


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0"),
        ("100", "100"),
        ("-1.50", "-1.5"),
        ("0.0125", "0.0125"),
        ("7e-18", "0.000000000000000007"),
        ("0.2", "0.2"),
    ],
)
def test_a_finite_decimal_is_written_with_the_digits_that_it_has(value: str, text: str) -> None:
    assert exact_text(Fraction(value)) == text


def test_a_fraction_that_is_no_finite_decimal_is_refused() -> None:
    for denominator in (3, 12, 70):
        with pytest.raises(Inexact):
            exact_text(Fraction(1, denominator))


def test_sums_beyond_two_hundred_digits_are_refused() -> None:
    with pytest.raises(Inexact):
        exact_sum([Decimal("1E+100"), Decimal("1E-100")])
    assert exact_sum([]) == 0


def test_sums_keep_every_digit() -> None:
    assert exact_sum([Decimal("1E-40"), Decimal("1E+14")]) == Decimal(
        "100000000000000.0000000000000000000000000000000000000001"
    )


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-00", "2026-1", "26-01", "2026-10-01", "", "0000-01"]
)
def test_text_that_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(BadPeriod, match="YYYY-MM"):
        Period.parse(text)


def test_a_month_is_half_open() -> None:
    february = Period.parse("2028-02")

    assert (february.start, february.end) == (date(2028, 2, 1), date(2028, 3, 1))
    assert len(list(february.days())) == 29
    assert str(february) == "2028-02"
    assert str(Period(date(2028, 2, 1), date(2028, 2, 3))) == "2028-02-01 to 2028-02-02"
    with pytest.raises(
        BadPeriod, match=r"^a period ends after it starts, not 2028-02-01 to 2028-02-01$"
    ):
        Period(date(2028, 2, 1), date(2028, 2, 1))


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2026-01", date(2026, 2, 1)),
        ("2026-12", date(2027, 1, 1)),
        ("2028-02", date(2028, 3, 1)),
        ("2026-04", date(2026, 5, 1)),
        ("0001-01", date(1, 2, 1)),
    ],
)
def test_every_month_of_every_year_has_its_own_end(text: str, end: date) -> None:
    month = Period.parse(text)

    assert (month.start.day, month.end) == (1, end)
    assert month.is_month
    assert not Period(month.start, month.end - timedelta(1)).is_month
    assert {Period.month(day) for day in month.days()} == {month}


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
        (at(3, 1, zone=EAST), at(3, 2, zone=EAST), [(2, HOUR)]),
        (at(5, 6), at(5, 6), [(5, 1)]),
        (at(3, month=9), at(1), [(3, 1)]),
        (at(30, 1, month=9, zone=EAST), at(30, 2, month=9, zone=EAST), [(29, 1)]),
        (at(1, month=11), at(2, month=11), [(1, 1)]),
    ],
)  # fmt: skip
def test_time_falls_on_utc_days_within_the_billing_period(
    start: datetime, end: datetime, expected: list[tuple[int, int]]
) -> None:
    days = microseconds_by_day(start, end, clip_start=at(1), clip_end=at(1, month=11))

    assert [(day.day, weight) for day, weight in days] == expected


ZONES = sorted(available_timezones())


@given(
    st.datetimes(NAIVE, NAIVE + timedelta(days=90), timezones=st.sampled_from(ZONES).map(ZoneInfo)),
    st.timedeltas(timedelta(seconds=1), timedelta(days=400)),
    st.sampled_from(ZONES).map(ZoneInfo),
)
@times(5)
def test_fault_028_no_time_is_lost_or_doubled_at_edges_of_any_zone(
    local: datetime, length: timedelta, billing_zone: ZoneInfo
) -> None:
    """However a charge's times are written, and whatever the zone of the billing period: time is
    UTC time.
    """
    start = local.astimezone(UTC)
    clip_start, clip_end = (
        datetime(2026, month, 1, tzinfo=billing_zone).astimezone(UTC) for month in (10, 11)
    )
    days = microseconds_by_day(start, start + length, clip_start=clip_start, clip_end=clip_end)
    elsewhere = [
        time.astimezone(billing_zone) for time in (start, start + length, clip_start, clip_end)
    ]

    overlap = min(start + length, clip_end) - max(start, clip_start)
    assert len({day for day, _ in days}) == len(days)
    assert sum(weight for _, weight in days) == (
        overlap // timedelta(microseconds=1) if overlap > timedelta(0) else 1
    )
    assert all(0 < weight <= 24 * HOUR for _, weight in days)
    assert days == microseconds_by_day(
        elsewhere[0], elsewhere[1], clip_start=elsewhere[2], clip_end=elsewhere[3]
    )


@pytest.mark.parametrize(("month", "day", "hours"), [(3, 29, 23), (10, 25, 25), (10, 24, 24)])
def test_fault_028_the_days_on_which_berlin_changes_its_clocks_have_their_hours(
    month: int, day: int, hours: int
) -> None:
    """A bill by local days: the 23 and the 25 hours are all there, on the two UTC days that they
    touch.
    """
    zone = ZoneInfo("Europe/Berlin")
    start, end = (datetime(2026, month, number, tzinfo=zone) for number in (day, day + 1))
    clip_start, clip_end = (datetime(2026, number, 1, tzinfo=zone) for number in (month, month + 1))

    shares = microseconds_by_day(start, end, clip_start=clip_start, clip_end=clip_end)

    before = 2 if month == 10 else 1  # Berlin's midnight is so many hours before UTC's
    assert shares == [
        (date(2026, month, day - 1), before * HOUR),
        (date(2026, month, day), (hours - before) * HOUR),
    ]


def test_fault_028_a_year_of_local_months_is_a_year() -> None:
    """Months by the clocks of each zone, one after the other, hold every hour of the year once."""
    for name in ZONES:
        zone = ZoneInfo(name)
        edges = [
            datetime(2026 + month // 12, month % 12 + 1, 1, tzinfo=zone).astimezone(UTC)
            for month in range(13)
        ]
        hours = [
            sum(
                weight
                for _, weight in microseconds_by_day(start, end, clip_start=start, clip_end=end)
            )
            for start, end in pairwise(edges)
        ]
        assert sum(hours) == (edges[-1] - edges[0]) // timedelta(microseconds=1), name
