"""A stretch of time on the usage side: hours and minutes, where a bill speaks of months."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta


@dataclass(frozen=True)
class HourWindow:
    """Half-open [start, end) in aware UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("a window needs aware times")
        if self.end <= self.start:
            raise ValueError("a window ends after it starts")

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    @property
    def hours(self) -> tuple[datetime, datetime]:
        """First and last-excluded hour of the rollup that touch the window."""
        first = self.start.replace(minute=0, second=0, microsecond=0)
        last = self.end.replace(minute=0, second=0, microsecond=0)
        return first, last if last == self.end else last + timedelta(hours=1)

    @property
    def days(self) -> tuple[date, date]:
        """First and last-included UTC day that touch the window."""
        return self.start.date(), (self.end - timedelta(microseconds=1)).date()
