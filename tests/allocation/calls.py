"""Small indexes of usage for tests that need no database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from allocation.catalogue.canonical import TOKEN_COLUMNS
from allocation.usage.index import Usage, UsageIndex
from allocation.usage.keys import Key

DAY, NEXT, LATER = date(2026, 10, 5), date(2026, 10, 6), date(2026, 10, 7)
GPT = Key("openai", "proj-1", "gpt-4o", False)
MINI = GPT._replace(model="gpt-4o-mini")

Days = Mapping[date, Sequence[Usage]]


def tokens(**counts: int) -> tuple[int, ...]:
    """Counts by the names of TOKEN_COLUMNS, zero for the others."""
    assert counts.keys() <= set(TOKEN_COLUMNS)
    return tuple(counts.get(name, 0) for name in TOKEN_COLUMNS)


def used(target: int, count: int, *, rung: int = 1, column: str = "input_uncached") -> Usage:
    """One target's unpriced tokens of one class."""
    return Usage(target, rung, tokens(**{column: count}), None)


def index_of(days: Mapping[Key, Days], *, places: int = 0) -> UsageIndex:
    """An index whose targets are numbers below 100, in canonical order as they are."""
    rows = [
        (key, day, row)
        for key, by_day in days.items()
        for day, of_day in by_day.items()
        for row in of_day
    ]
    return UsageIndex.of(rows, places=places, order=range(100))
