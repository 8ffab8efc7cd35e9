"""Sums of spend cells: by one dimension, by kind, and what a thousand calls cost. Plain values, no database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from allocation.money import EXACT
from reports.queries.spend_cells import SpendCell
from reports.queries.spend_usage import UsageCell

ZERO = Decimal(0)
AI = ("ai", "ai_supporting")
K = TypeVar("K")


@dataclass(frozen=True)
class Amounts:
    now: Decimal
    before: Decimal

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(EXACT.add(self.now, other.now), EXACT.add(self.before, other.before))


NOTHING = Amounts(ZERO, ZERO)


def ai_cells(cells: Iterable[SpendCell]) -> list[SpendCell]:
    return [cell for cell in cells if cell.ai_scope in AI]


def total_of(cells: Iterable[SpendCell]) -> Amounts:
    return sum((Amounts(cell.now, cell.before) for cell in cells), NOTHING)


def totals_by(cells: Iterable[SpendCell], key: Callable[[SpendCell], K]) -> dict[K, Amounts]:
    """Sums per key, largest now first, ties by the key's text."""
    sums: dict[K, Amounts] = {}
    for cell in cells:
        name = key(cell)
        sums[name] = sums.get(name, NOTHING) + Amounts(cell.now, cell.before)
    return dict(sorted(sums.items(), key=lambda item: (-item[1].now, str(item[0]))))


@dataclass(frozen=True)
class UnitCost:
    """Model cost of a thousand calls, None where there were no calls or no cost of theirs."""

    now: Decimal | None
    before: Decimal | None
    calls: Decimal
    calls_before: Decimal


def unit_costs(
    cells: Sequence[SpendCell], usage: Sequence[UsageCell], key: Callable[[SpendCell | UsageCell], str | None]
) -> dict[str | None, UnitCost]:
    """Per key: cost of models for the (team, feature) pairs that have calls, over these calls, times 1,000.

    What a feature costs besides (GPUs, storage, a vector database) is no cost of its calls.
    """
    traced = {(cell.team, cell.feature) for cell in usage if cell.team and cell.feature}
    costs: dict[str | None, Amounts] = {}
    for cell in cells:
        if cell.model and (cell.team, cell.feature) in traced:
            costs[key(cell)] = costs.get(key(cell), NOTHING) + Amounts(cell.now, cell.before)
    calls: dict[str | None, Amounts] = {}
    for use in usage:
        if use.team and use.feature:
            calls[key(use)] = calls.get(key(use), NOTHING) + Amounts(use.calls, use.calls_before)
    return {
        name: UnitCost(
            now=_per_thousand(costs.get(name, NOTHING).now, made.now),
            before=_per_thousand(costs.get(name, NOTHING).before, made.before),
            calls=made.now,
            calls_before=made.before,
        )
        for name, made in calls.items()
    }


def _per_thousand(cost: Decimal, calls: Decimal) -> Decimal | None:
    return cost * 1000 / calls if calls > 0 and cost else None
