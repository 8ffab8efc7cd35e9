"""Half-open periods of UTC days, what they are compared with, and how a charge's time falls on
days. Pure: no clock.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

DAY = timedelta(days=1)
_MONTH = re.compile(r"(\d{4})-(\d{2})")


class BadPeriod(ValueError):
    """Text that is not a month in the form YYYY-MM."""


@dataclass(frozen=True, order=True)
class Period:
    """Days from `start` up to, not including, `end`."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise BadPeriod(f"a period ends after it starts, not {self.start} to {self.end}")

    @classmethod
    def month(cls, day: date) -> Period:
        """The calendar month that holds the day."""
        start = day.replace(day=1)
        return cls(start, (start + timedelta(days=31)).replace(day=1))

    @classmethod
    def parse(cls, text: str) -> Period:
        """The month "YYYY-MM"; raises BadPeriod."""
        found = _MONTH.fullmatch(text)
        if not found or not 1 <= int(found[2]) <= 12 or int(found[1]) < 1:
            raise BadPeriod(f"{text!r} is not a month; write it as YYYY-MM, such as 2026-10")
        return cls.month(date(int(found[1]), int(found[2]), 1))

    @property
    def is_month(self) -> bool:
        return self == Period.month(self.start)

    @property
    def length(self) -> int:
        """Number of days."""
        return (self.end - self.start).days

    @property
    def last_day(self) -> date:
        return self.end - DAY

    def days(self) -> Iterator[date]:
        day = self.start
        while day < self.end:
            yield day
            day += DAY

    def months(self) -> list[date]:
        """First days of the calendar months that the period touches."""
        found = [Period.month(self.start)]
        while found[-1].end < self.end:
            found.append(Period.month(found[-1].end))
        return [month.start for month in found]

    def through(self, day: date | None) -> Period:
        """The part up to and including `day`; the whole period where `day` lies outside it."""
        if day is None or not self.start <= day < self.end:
            return self
        return Period(self.start, day + DAY)

    def before(self) -> Period:
        """What a reader compares with: the same days of the month before, or as many days just
        before.

        Ten days of November compare with the first ten of October; a whole month with the whole
        month before.
        """
        if self.start.day != 1 or self.end > Period.month(self.start).end:
            return Period(self.start - DAY * self.length, self.start)
        month = Period.month(self.start - DAY)
        if self.is_month:
            return month
        return Period(month.start, min(month.start + DAY * self.length, self.start))

    def a_year_before(self) -> Period:
        """As many days from the same day of the year before; 29 February becomes the 28th."""
        year, month = self.start.year - 1, self.start.month
        day = min(self.start.day, calendar.monthrange(year, month)[1])
        start = date(year, month, day)
        return Period.month(start) if self.is_month else Period(start, start + DAY * self.length)

    @property
    def words(self) -> str:
        """For readers: "November 2026", or "1 to 21 Nov 2026"; what both ends share stands once."""
        if self.is_month:
            return f"{self.start:%B %Y}"
        first, last = self.start, self.last_day
        end = f"{last.day} {last:%b %Y}"
        if first == last:
            return end
        if (first.year, first.month) == (last.year, last.month):
            return f"{first.day} to {end}"
        if first.year == last.year:
            return f"{first.day} {first:%b} to {end}"
        return f"{first.day} {first:%b %Y} to {end}"

    def __str__(self) -> str:
        """For files and programs: "2026-11", or the first and the last day."""
        return f"{self.start:%Y-%m}" if self.is_month else f"{self.start} to {self.last_day}"


def midnight(day: date) -> datetime:
    """The first instant of the UTC day."""
    return datetime.combine(day, time(0), tzinfo=UTC)


def microseconds_by_day(
    start: datetime, end: datetime, *, clip_start: datetime, clip_end: datetime
) -> list[tuple[date, int]]:
    """UTC days of [start, end) within [clip_start, clip_end), each with its microseconds: the
    weights of a spread.

    Without any overlap, the charge's first day takes it all: a correction belongs to the day it
    corrects.
    """
    first, last = max(start, clip_start), min(end, clip_end)
    if last <= first:
        return [(start.astimezone(UTC).date(), 1)]
    shares = []
    day = first.astimezone(UTC).date()
    while (begin := midnight(day)) < last:
        overlap = min(last, begin + DAY) - max(first, begin)
        shares.append((day, overlap // timedelta(microseconds=1)))
        day += DAY
    return shares
