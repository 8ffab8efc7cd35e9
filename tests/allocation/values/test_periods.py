"""What a period is compared with, which months it touches, and how it reads."""

from __future__ import annotations

from datetime import date

import pytest

from allocation.values.periods import Period


@pytest.mark.parametrize(
    ("start", "end", "before_start", "before_end"),
    [
        ("2026-10-01", "2026-11-01", "2026-09-01", "2026-10-01"),  # a month with the month before
        ("2026-11-01", "2026-11-22", "2026-10-01", "2026-10-22"),  # so far with the same days
        # Days that February does not have.
        ("2026-03-01", "2026-03-31", "2026-02-01", "2026-03-01"),
        # A range with as many days before.
        ("2026-10-05", "2026-10-12", "2026-09-28", "2026-10-05"),
        ("2026-09-01", "2026-11-01", "2026-07-02", "2026-09-01"),  # two months as a range
    ],
)
def test_before(start: str, end: str, before_start: str, before_end: str) -> None:
    period = Period(date.fromisoformat(start), date.fromisoformat(end))

    assert period.before() == Period(
        date.fromisoformat(before_start), date.fromisoformat(before_end)
    )


def test_a_year_before_keeps_months_whole_and_days_many() -> None:
    assert Period.month(date(2025, 2, 1)).a_year_before() == Period(
        date(2024, 2, 1), date(2024, 3, 1)
    )
    assert Period(date(2028, 2, 29), date(2028, 3, 2)).a_year_before() == Period(
        date(2027, 2, 28), date(2027, 3, 2)
    )


def test_through_cuts_only_inside() -> None:
    october = Period.month(date(2026, 10, 1))

    assert october.through(date(2026, 10, 7)) == Period(date(2026, 10, 1), date(2026, 10, 8))
    assert october.through(date(2026, 10, 1)) == Period(date(2026, 10, 1), date(2026, 10, 2))
    assert october.through(date(2026, 10, 31)) == october
    assert october.through(date(2026, 11, 1)) == october
    assert october.through(date(2026, 9, 30)) == october
    assert october.through(None) == october


def test_months_touched() -> None:
    assert Period(date(2026, 10, 31), date(2026, 12, 1)).months() == [
        date(2026, 10, 1),
        date(2026, 11, 1),
    ]
    assert Period.month(date(2026, 10, 31)).months() == [date(2026, 10, 1)]


def test_the_last_day_and_how_many_there_are() -> None:
    october = Period.month(date(2026, 10, 9))

    assert october.length == 31
    assert october.last_day == date(2026, 10, 31)


@pytest.mark.parametrize(
    ("first", "after", "words", "text"),
    [
        ("2026-10-01", "2026-11-01", "October 2026", "2026-10"),
        ("2026-10-01", "2026-10-02", "1 Oct 2026", "2026-10-01 to 2026-10-01"),
        ("2026-10-01", "2026-10-22", "1 to 21 Oct 2026", "2026-10-01 to 2026-10-21"),
        ("2026-09-28", "2026-10-05", "28 Sep to 4 Oct 2026", "2026-09-28 to 2026-10-04"),
        ("2025-10-31", "2026-10-02", "31 Oct 2025 to 1 Oct 2026", "2025-10-31 to 2026-10-01"),
    ],
)
def test_readers_get_words_and_programs_get_iso_dates(
    first: str, after: str, words: str, text: str
) -> None:
    period = Period(date.fromisoformat(first), date.fromisoformat(after))

    assert period.words == words
    assert str(period) == text


def test_nothing_is_no_period() -> None:
    with pytest.raises(ValueError, match="ends after it starts"):
        Period(date(2026, 10, 1), date(2026, 10, 1))
