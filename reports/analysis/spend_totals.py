"""Sums of spend cells: by one dimension, by kind, and what a thousand calls cost. Plain values, no
database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import TypeVar

from allocation.values.money import EXACT
from reports.queries.costs.calls import UsageCell
from reports.queries.spend_cells import SpendCell

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
    """Model cost of a thousand calls, None where there were no calls or no cost of theirs; `calls`
    are all of them.
    """

    now: Decimal | None
    before: Decimal | None
    calls: Decimal
    calls_before: Decimal


@dataclass
class _Made:
    """Calls under one key, and those that the cost beside them is of."""

    calls: Amounts = NOTHING
    paid_calls: Amounts = NOTHING
    cost: Amounts = NOTHING


def unit_costs(
    cells: Sequence[SpendCell],
    usage: Sequence[UsageCell],
    key: Callable[[SpendCell | UsageCell], str | None],
) -> dict[str | None, UnitCost]:
    """Per key: cost of the (team, feature, model) that have both cost and calls in a period, over
    these calls, x 1,000.

    Calls of a model that is billed in another currency, or not at all, are no calls of this cost.
    What a feature costs besides (GPUs, storage, a vector database) is no cost of its calls, and
    what was done once to build it (a backfill of embeddings, an evaluation) neither.
    """
    costs = totals_by((cell for cell in cells if cell.model and cell.phase != BUILD), _caller)
    made: dict[str | None, _Made] = {}
    calls: dict[tuple[str | None, ...], Amounts] = {}
    names: dict[tuple[str | None, ...], str | None] = {}
    for use in usage:
        if use.team and use.feature and use.phase != BUILD:
            caller, own = _caller(use), Amounts(use.calls, use.calls_before)
            calls[caller] = calls.get(caller, NOTHING) + own
            found = made.setdefault(names.setdefault(caller, key(use)), _Made())
            found.calls += own
    for caller, own in calls.items():
        found, cost = made[names[caller]], costs.get(caller, NOTHING)
        found.paid_calls += Amounts(
            own.now if cost.now else ZERO, own.before if cost.before else ZERO
        )
        found.cost += Amounts(cost.now if own.now else ZERO, cost.before if own.before else ZERO)
    return {
        name: UnitCost(
            now=_per_thousand(found.cost.now, found.paid_calls.now),
            before=_per_thousand(found.cost.before, found.paid_calls.before),
            calls=found.calls.now,
            calls_before=found.calls.before,
        )
        for name, found in made.items()
    }


def _caller(cell: SpendCell | UsageCell) -> tuple[str | None, ...]:
    return (cell.team, cell.feature, cell.model)


def _per_thousand(cost: Decimal, calls: Decimal) -> Decimal | None:
    return cost * 1000 / calls if calls > 0 and cost else None
