"""Who used what: the rows of usage by key and UTC day, and the weights that they give. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from functools import cached_property, partial
from typing import NamedTuple

from allocation.catalogue.canonical import ALL_COLUMNS, SIDES, TOKEN_COLUMNS
from allocation.usage.facts import UsageFacts, UsageSums, bits_of, part_of
from allocation.usage.keys import Key, PartOfCalls

COST_PLACES = 18
TOKENS, LIST_COST = "tokens", "list cost"


class Usage(NamedTuple):
    """Traced usage of one target on one day under one key, in the facts' own places."""

    target: int
    rung: int
    tokens: tuple[int, ...]  # as TOKEN_COLUMNS
    list_cost: int | None  # in COST_PLACES; None: some of it is unpriced
    variance: tuple[int, int] = (0, 0)  # by sampling, of all input and all output tokens, squared
    calls: int | Fraction = 0  # 0: not declared

    def part(self, part: PartOfCalls) -> Usage:
        """A part of it, as `part_of` has it."""
        cut = part_of(UsageSums(self.tokens, {0: self.calls}, self.list_cost, self.variance), part)
        return self._replace(
            tokens=cut.tokens, list_cost=cut.list_cost, variance=cut.variance, calls=cut.calls[0]
        )

    def sums(self) -> UsageSums:
        """What the row adds to the facts of its key and day."""
        is_unpriced = self.list_cost is None and any(self.tokens)
        return UsageSums(
            self.tokens,
            {bits_of(self.tokens): self.calls},
            None if is_unpriced else self.list_cost or 0,
            self.variance,
        )


class Weights(NamedTuple):
    """A driver: targets in canonical order with a weight above zero each; `total` is their sum.

    Weights are corrected for sampling. With x a target's extrapolated usage, X that of all targets,
    v the variance of x and V the sum of v, the expected share x/X is off by (V x/X - v)/X^2 to
    second order: where a few calls stand for a day, who makes few and large ones gets too little,
    every day anew. Beale's ratio estimator weighs by x + v/X, which leaves terms of higher order
    only. Where every span is kept, v is 0 and the weight is x.
    """

    entries: tuple[tuple[int, int, int], ...]  # target, weight, rung
    total: int
    name: str  # "input tokens", "list cost", "total tokens"; "..., corrected for sampling"
    places: int  # weights are whole numbers of 10**-places


class Weighing(NamedTuple):
    """Which usage a line is weighed by: the key's on a day, or in the month, by tokens or cost."""

    key: Key
    day: date | None  # None: the month
    by: str  # TOKENS of these columns, or LIST_COST
    columns: tuple[int, ...]
    of_provider: bool = False  # of every model of the key's provider and project


Row = tuple[Key, date, Usage]
Rows = Mapping[Key, Sequence[Usage]]


@dataclass
class UsageIndex:
    """Rows of the days that were added, by key, and of the month as a whole.

    `facts` know all days. `order` gives a target's rank in canonical order by its number.
    `read_month` reads the rows of all days, several days of a target in one.
    """

    facts: UsageFacts
    order: Sequence[int]
    read_month: Callable[[], Iterable[Row]]
    days: dict[date, dict[Key, list[Usage]]] = field(default_factory=dict)
    _weights: dict[tuple[object, ...], Weights] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[Row], *, places: int, order: Sequence[int]) -> UsageIndex:
        """An index of all days, with the facts that its rows add up to."""
        listed = list(rows)
        facts = UsageFacts.of(((key, day, row.sums()) for key, day, row in listed), places)
        index = cls(facts, order, partial(list, listed))
        index.add(listed)
        return index

    def add(self, rows: Iterable[Row]) -> None:
        """Rows of days of which there were none."""
        for key, day, row in rows:
            self.days.setdefault(day, {}).setdefault(key, []).append(row)

    @cached_property
    def month(self) -> list[Row]:
        """Rows of all days, each under one of its own days."""
        return list(self.read_month())

    @cached_property
    def _month(self) -> Rows:
        found: dict[Key, list[Usage]] = {}
        for key, _, row in self.month:
            found.setdefault(key, []).append(row)
        return found

    def rows(self, keys: Iterable[Key], day: date | None) -> list[Usage]:
        """The rows of these keys on a day, or in the month where `day` is None."""
        by_key: Rows = self._month if day is None else self.days.get(day, {})
        return [row for key in keys for row in by_key.get(key, ())]

    def weights(self, weighing: Weighing) -> Weights:
        """The weights that the facts promised: those of rows that are there, never none."""
        key = weighing.key
        name = weighing._replace(key=key._replace(model=None)) if weighing.of_provider else weighing
        found = self._weights.get(name)
        if found is None:
            keys = (
                self.facts.keys_of_provider(key)
                if weighing.of_provider
                else self.facts.keys_of(key)
            )
            rows = self.rows(keys, weighing.day)
            found = self._weights[name] = self._weighed(rows, weighing.by, weighing.columns)
        return found

    def _weighed(self, rows: Iterable[Usage], by: str, columns: tuple[int, ...]) -> Weights:
        amounts: dict[int, int] = {}
        rungs: dict[int, int] = {}
        variances: dict[int, int] = {}
        only = columns[0] if len(columns) == 1 else None
        for row in rows:
            if by == LIST_COST:
                amount = row.list_cost or 0
            elif only is not None:
                amount = row.tokens[only]
            else:
                amount = sum([row.tokens[column] for column in columns])
            if amount > 0:
                target = row.target
                amounts[target] = amounts.get(target, 0) + amount
                rungs[target] = max(rungs.get(target, 0), row.rung)
                if row.variance != (0, 0):
                    variance = self._variance(by, row, amount, columns)
                    variances[target] = variances.get(target, 0) + variance
        name = LIST_COST if by == LIST_COST else token_label(columns)
        if any(variances.values()) and len(amounts) > 1:
            name += ", corrected for sampling"
            everything = sum(amounts.values())
            for target, variance in variances.items():
                amounts[target] += (2 * variance + everything) // (2 * everything)
        targets = sorted(amounts, key=self.order.__getitem__)
        return Weights(
            entries=tuple([(target, amounts[target], rungs[target]) for target in targets]),
            total=sum(amounts.values()),
            name=name,
            places=COST_PLACES if by == LIST_COST else self.facts.places,
        )

    def _variance(self, by: str, row: Usage, amount: int, columns: tuple[int, ...]) -> int:
        """Sampling's variance of one row's weight, in its own units squared.

        A class has the relative variance of its side. List cost has that of input, of output where
        nothing went in.
        """
        whole = [sum([row.tokens[n] for n in side]) for side in SIDES]
        if by == LIST_COST:
            parts = [amount, 0] if whole[0] else [0, amount]
        else:
            parts = [sum([row.tokens[n] for n in columns if n in side]) for side in SIDES]
        return sum(
            variance * 10 ** (2 * self.facts.places) * part**2 // all_of_it**2
            for variance, part, all_of_it in zip(row.variance, parts, whole, strict=True)
            if all_of_it
        )


def token_label(columns: tuple[int, ...]) -> str:
    if columns == ALL_COLUMNS:
        return "total tokens"
    return " + ".join(TOKEN_COLUMNS[column] for column in columns) + " tokens"


def billed_classes(lines: Iterable[tuple[Key, str | None]]) -> Mapping[Key, frozenset[str]]:
    """The token classes that a bill has lines for, by key."""
    found: dict[Key, set[str]] = {}
    for key, token_class in lines:
        if token_class:
            found.setdefault(key, set()).add(token_class)
    return {key: frozenset(classes) for key, classes in found.items()}
