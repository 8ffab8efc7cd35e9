"""How a charge group is cut, and what was billed: the shapes that plans have in common. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import NamedTuple

Entry = tuple[int, int, int]  # target's number, weight, evidence rung


class Part(NamedTuple):
    """A piece of the amount and who shares it, with weights above zero."""

    weight: int
    kind: str
    entries: tuple[Entry, ...]


class Plan(NamedTuple):
    """How one charge group is cut, with what Explain shows. `driver_total` and weights are in
    10**-places.
    """

    parts: tuple[Part, ...]
    driver: str | None = None
    driver_total: int | None = None
    places: int = 0
    coverage: Fraction | None = None
    widened: str | None = None
    note: str | None = None


class Money(NamedTuple):
    """What a day's or a month's lines cost where nobody knows their tokens, in USD."""

    billed: Fraction
    per_token: Fraction | None  # at list price; None: no class, or no price


@dataclass(frozen=True)
class Billed:
    """Tokens on the bill under one key and class.

    A day is missing, or `month` None, where nobody knows the tokens of all of it; `money` then says
    what it cost. `derived` are days whose tokens are list cost over list price, or the provider's
    own report of them.
    """

    by_day: Mapping[date, Fraction | None]
    month: Fraction | None
    derived: frozenset[date] = frozenset()
    money: Mapping[date | None, Money] = field(default_factory=dict)
    cost: Mapping[date, Fraction] = field(default_factory=dict)  # in the bill's currency

    def on(self, day: date | None) -> Fraction | None:
        return self.month if day is None else self.by_day.get(day)

    def is_derived(self, day: date | None) -> bool:
        return bool(self.derived) if day is None else day in self.derived

    def cost_on(self, day: date | None) -> Fraction:
        """What was billed, above zero."""
        costs = self.cost.values() if day is None else [self.cost.get(day, Fraction(0))]
        return abs(sum(costs, Fraction(0)))
