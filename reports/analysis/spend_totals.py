"""Sums of spend cells: by one dimension, by kind, and what a thousand calls cost. Plain values, no
database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from operator import attrgetter
from typing import NamedTuple, TypeVar

from allocation.values.money import EXACT
from reports.cost_question.answers import SpendCell
from reports.queries.costs.calls import UsageCell

ZERO = Decimal(0)
BUILD = "build"  # the phase of one-off work
K = TypeVar("K")
R = TypeVar("R", SpendCell, UsageCell)


@dataclass(frozen=True)
class Amounts:
    now: Decimal
    before: Decimal

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(EXACT.add(self.now, other.now), EXACT.add(self.before, other.before))


NOTHING = Amounts(ZERO, ZERO)


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


class CallTarget(NamedTuple):
    """Whose calls of which model, as costs and usage both know them."""

    team: str | None
    feature: str | None
    model: str | None


@dataclass
class _Made:
    """Calls of one period under one key, and those that the cost beside them is of."""

    calls: Decimal = ZERO
    paid_calls: Decimal = ZERO
    cost: Decimal = ZERO

    @property
    def per_thousand(self) -> Decimal | None:
        return self.cost * 1000 / self.paid_calls if self.paid_calls > 0 and self.cost else None


def unit_costs(
    cells: Sequence[SpendCell],
    usage: Sequence[UsageCell],
    key: Callable[[CallTarget], str | None],
) -> dict[str | None, UnitCost]:
    """Per key: cost of the callers that have both cost and calls in a period, over these calls,
    x 1,000.

    Calls of a model that is billed in another currency, or not at all, are no calls of this cost.
    What a feature costs besides (GPUs, storage, a vector database) is no cost of its calls, and
    what was done once to build it (a backfill of embeddings, an evaluation) neither.
    """
    paid = [cell for cell in cells if cell.model and cell.phase != BUILD]
    used = [use for use in usage if use.team and use.feature and use.phase != BUILD]
    with localcontext(EXACT):
        now, before = (
            _made(key, _by_caller(paid, attrgetter(cost)), _by_caller(used, attrgetter(calls)))
            for cost, calls in (("now", "calls"), ("before", "calls_before"))
        )
    return {
        name: UnitCost(
            now=made.per_thousand,
            before=before[name].per_thousand,
            calls=made.calls,
            calls_before=before[name].calls,
        )
        for name, made in now.items()
    }


def _by_caller(rows: Iterable[R], amount: Callable[[R], Decimal]) -> dict[CallTarget, Decimal]:
    sums: dict[CallTarget, Decimal] = {}
    for row in rows:
        caller = CallTarget(row.team, row.feature, row.model)
        sums[caller] = sums.get(caller, ZERO) + amount(row)
    return sums


def _made(
    key: Callable[[CallTarget], str | None],
    costs: dict[CallTarget, Decimal],
    calls: dict[CallTarget, Decimal],
) -> dict[str | None, _Made]:
    made: dict[str | None, _Made] = {}
    for caller, own in calls.items():
        found, cost = made.setdefault(key(caller), _Made()), costs.get(caller, ZERO)
        found.calls += own
        found.paid_calls += own if cost else ZERO
        found.cost += cost if own else ZERO
    return made
