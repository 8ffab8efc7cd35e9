"""A stretch of UTC days, half-open, and the ones a page compares it with."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, timedelta

import allocation.values.periods
from allocation.values.periods import DAY


def first_of_month(day: date) -> date:
    return day.replace(day=1)


def next_month(day: date) -> date:
    return (first_of_month(day) + timedelta(days=32)).replace(day=1)


def previous_month(day: date) -> date:
    return first_of_month(first_of_month(day) - DAY)


def a_year_earlier(day: date) -> date:
    """The same day of the year before; 29 February becomes the 28th."""
    last = calendar.monthrange(day.year - 1, day.month)[1]
    return day.replace(year=day.year - 1, day=min(day.day, last))


@dataclass(frozen=True, order=True)
class Period(allocation.values.periods.Period):
    """Days from `start` (included) to `end` (excluded), as pages speak of them."""

    @classmethod
    def month(cls, day: date) -> Period:
        return cls(first_of_month(day), next_month(day))

    @property
    def is_month(self) -> bool:
        return self.start.day == 1 and self.end == next_month(self.start)

    @property
    def length(self) -> int:
        return (self.end - self.start).days

    @property
    def last_day(self) -> date:
        return self.end - DAY

    def months(self) -> list[date]:
        """First days of the calendar months the period touches."""
        months = [first_of_month(self.start)]
        while next_month(months[-1]) < self.end:
            months.append(next_month(months[-1]))
        return months

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
        if self.start.day != 1 or self.end > next_month(self.start):
            return Period(self.start - DAY * self.length, self.start)
        start = previous_month(self.start)
        if self.is_month:
            return Period.month(start)
        return Period(start, min(start + DAY * self.length, self.start))

    def a_year_before(self) -> Period:
        start = a_year_earlier(self.start)
        if self.is_month:
            return Period.month(start)
        return Period(start, start + DAY * self.length)

    def __str__(self) -> str:
        if self.is_month:
            return f"{self.start:%B %Y}"
        return days_in_words(self.start, self.last_day)


def days_in_words(first: date, last: date) -> str:
    """ "1 to 21 Nov 2026"; the year and month stand once where they are the same."""
    end = f"{last.day} {last:%b %Y}"
    if first == last:
        return end
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} to {end}"
    if first.year == last.year:
        return f"{first.day} {first:%b} to {end}"
    return f"{first.day} {first:%b %Y} to {end}"
