"""Half-open periods of UTC days, and how a charge's time falls on days. Pure: no clock."""

from __future__ import annotations

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

    def days(self) -> Iterator[date]:
        day = self.start
        while day < self.end:
            yield day
            day += DAY

    def __str__(self) -> str:
        return f"{self.start:%Y-%m}" if self.is_month else f"{self.start} to {self.end - DAY}"


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
