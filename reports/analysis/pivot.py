"""Figures by two dimensions: rows, columns, and the sums of both, exactly."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from allocation.values.money import EXACT, exact_sum

Place = tuple[Any, Any]  # value of the rows' dimension, value of the columns'
ZERO = Decimal(0)


@dataclass(frozen=True)
class Pivot:
    """Cells by (row, column); one that is missing is 0. Sums are exact."""

    cells: Mapping[Place, Decimal]

    @property
    def rows(self) -> dict[Any, Decimal]:
        return sums_by(self.cells, lambda place: place[0])

    @property
    def columns(self) -> dict[Any, Decimal]:
        return sums_by(self.cells, lambda place: place[1])

    @property
    def total(self) -> Decimal:
        return exact_sum(self.cells.values())


def pivot(entries: Iterable[tuple[Any, Any, Decimal]]) -> Pivot:
    """The sums of (row, column, amount)."""
    cells: dict[Place, Decimal] = {}
    for row, column, amount in entries:
        cells[row, column] = EXACT.add(cells.get((row, column), ZERO), amount)
    return Pivot(cells)


def sums_by(
    cells: Mapping[Place, Decimal], part: Callable[[Place], Hashable]
) -> dict[Any, Decimal]:
    found: dict[Any, Decimal] = {}
    for place, amount in cells.items():
        key = part(place)
        found[key] = EXACT.add(found.get(key, ZERO), amount)
    return found


# What a day belongs to, by its first day.
GRAINS: Mapping[str, Callable[[date], date]] = {
    "month": lambda day: day.replace(day=1),
    "week": lambda day: day - timedelta(days=day.weekday()),  # Monday, as ISO 8601 has it
    "day": lambda day: day,
}


def in_grains(names: tuple[str, ...], key: tuple[Any, ...]) -> tuple[Any, ...]:
    """A key of the cost question whose days are the first days of the asked months or weeks."""
    return tuple(
        GRAINS[name](value) if name in GRAINS else value
        for name, value in zip(names, key, strict=True)
    )
