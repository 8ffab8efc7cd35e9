"""Sums of spend cells: by one dimension, by kind, and what a thousand calls cost. Plain values, no
database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import NamedTuple, TypeVar

from allocation.values.money import EXACT
from reports.cost_question.answers import SpendCell
from reports.queries.costs.calls import UsageCell

ZERO = Decimal(0)
BUILD = "build"  # the phase of one-off work
K = TypeVar("K")


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


class CallerCost(NamedTuple):
    """The calls of one model by one feature of a team, and their cost, in both periods."""

    team: str | None
    feature: str | None
    model: str | None
    calls: Decimal
    calls_before: Decimal
    cost: Decimal
    cost_before: Decimal


def caller_costs(cells: Iterable[SpendCell], usage: Iterable[UsageCell]) -> list[CallerCost]:
    """Every caller with calls, and what these cost.

    What a feature costs besides (GPUs, storage, a vector database) is no cost of its calls, and
    what was done once to build it (a backfill of embeddings, an evaluation) neither.
    """
    paid = [cell for cell in cells if cell.model and cell.phase != BUILD]
    used = [use for use in usage if use.team and use.feature and use.phase != BUILD]
    costs = totals_by(paid, _caller)
    calls: dict[Caller, tuple[Decimal, Decimal]] = {}
    with localcontext(EXACT):
        for use in used:
            now, before = calls.get(_caller(use), (ZERO, ZERO))
            calls[_caller(use)] = (now + use.calls, before + use.calls_before)
    return [
        CallerCost(*caller, now, before, cost.now, cost.before)
        for caller, (now, before) in calls.items()
        for cost in [costs.get(caller, NOTHING)]
    ]


Caller = tuple[str | None, str | None, str | None]  # team, feature, model


def _caller(row: SpendCell | UsageCell) -> Caller:
    return row.team, row.feature, row.model


@dataclass
class _Made:
    """Calls of one period under one key, and those that the cost beside them is of."""

    calls: Decimal = ZERO
    paid_calls: Decimal = ZERO
    cost: Decimal = ZERO

    def add(self, calls: Decimal, cost: Decimal) -> None:
        self.calls += calls
        self.paid_calls += calls if cost else ZERO
        self.cost += cost if calls else ZERO

    @property
    def per_thousand(self) -> Decimal | None:
        return self.cost * 1000 / self.paid_calls if self.paid_calls > 0 and self.cost else None


def unit_costs(
    callers: Iterable[CallerCost], key: Callable[[CallerCost], str | None]
) -> dict[str | None, UnitCost]:
    """Per key: cost of the callers that have both cost and calls in a period, over these calls,
    x 1,000. Calls of a model that is billed in another currency, or not at all, are no calls of
    this cost.
    """
    made: dict[str | None, tuple[_Made, _Made]] = {}
    with localcontext(EXACT):
        for caller in callers:
            now, before = made.setdefault(key(caller), (_Made(), _Made()))
            now.add(caller.calls, caller.cost)
            before.add(caller.calls_before, caller.cost_before)
    return {
        name: UnitCost(now.per_thousand, before.per_thousand, now.calls, before.calls)
        for name, (now, before) in made.items()
    }
