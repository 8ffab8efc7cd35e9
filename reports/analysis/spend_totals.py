"""Sums of spend cells: by one dimension, by kind, and what a thousand calls cost. Plain values, no database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import TypeVar

from allocation.money import EXACT
from reports.queries.spend_cells import SpendCell
from reports.queries.spend_usage import UsageCell

ZERO = Decimal(0)
AI = ("ai", "ai_supporting")
BUILD = "build"  # the phase of one-off work
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
    return totals_by(cells, lambda _: None).get(None, NOTHING)


def totals_by(cells: Iterable[SpendCell], key: Callable[[SpendCell], K]) -> dict[K, Amounts]:
    """Sums per key, largest now first, ties by the key's text."""
    now: dict[K, Decimal] = {}
    before: dict[K, Decimal] = {}
    with localcontext(EXACT):
        for cell in cells:
            name = key(cell)
            now[name] = now.get(name, ZERO) + cell.now
            before[name] = before.get(name, ZERO) + cell.before
    ordered = sorted(now, key=lambda name: (-now[name], str(name)))
    return {name: Amounts(now[name], before[name]) for name in ordered}


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

    What a feature costs besides (GPUs, storage, a vector database) is no cost of its calls, and what was done once to
    build it (a backfill of embeddings, an evaluation) neither.
    """
    cells = [cell for cell in cells if cell.phase != BUILD]
    usage = [use for use in usage if use.phase != BUILD]
    traced = {(cell.team, cell.feature) for cell in usage if cell.team and cell.feature}
    costs = totals_by((cell for cell in cells if cell.model and (cell.team, cell.feature) in traced), key)
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
