"""What is known of a month's usage before its rows are read: sums by key and UTC day. Pure.

Facts decide how a bill line is joined with usage, and whether a day has to be split again; who
used it is asked only of the days that are (allocation.usage.index).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

from allocation.catalogue.canonical import OUTPUT_SIDE, SIDES, TOKEN_COLUMNS
from allocation.usage.keys import ANY_PROJECT, Key, PartOfCalls
from allocation.values.money import decimal_fraction

Number = int | Fraction


def number_of_calls(text: str) -> Number:
    """Plain decimal text as a number of calls; sampling weights make fractions of some."""
    return int(text) if text.isdecimal() else decimal_fraction(text)


class UsageSums(NamedTuple):
    """What calls come to, in whole numbers of the facts' places.

    `calls` are kept by the columns in which they have tokens, as the bits of a number.
    """

    tokens: tuple[int, ...]  # as TOKEN_COLUMNS
    calls: Mapping[int, Number]
    list_cost: int | None  # None: some of the tokens have no price
    variance: tuple[int, int] = (0, 0)  # by sampling, of all input and all output tokens

    def of(self, columns: tuple[int, ...]) -> int:
        """Tokens of these columns."""
        return sum([self.tokens[column] for column in columns])

    def calls_with(self, columns: tuple[int, ...]) -> Number:
        """Calls that have tokens in any of these columns."""
        wanted = sum(1 << column for column in columns)
        return sum(calls for bits, calls in self.calls.items() if bits & wanted)


NO_USAGE = UsageSums((0,) * len(TOKEN_COLUMNS), {}, 0)


def bits_of(tokens: Iterable[int]) -> int:
    """The columns that have tokens, as UsageSums.calls tells them."""
    return sum(1 << column for column, count in enumerate(tokens) if count)


def summed(parts: Iterable[UsageSums]) -> UsageSums:
    listed = list(parts)
    if len(listed) == 1:
        return listed[0]
    if not listed:
        return NO_USAGE
    calls: dict[int, Number] = {}
    for part in listed:
        for bits, count in part.calls.items():
            calls[bits] = calls.get(bits, 0) + count
    costs = [part.list_cost for part in listed]
    return UsageSums(
        tokens=tuple(map(sum, zip(*(part.tokens for part in listed), strict=True))),
        calls=calls,
        list_cost=None if None in costs else sum(cost for cost in costs if cost is not None),
        variance=(
            sum(part.variance[0] for part in listed),
            sum(part.variance[1] for part in listed),
        ),
    )


def part_of(sums: UsageSums, part: PartOfCalls) -> UsageSums:
    """A part of the usage, in whole numbers of the same places."""
    return UsageSums(
        tokens=tuple([part.of(count) for count in sums.tokens]),
        calls={bits: calls * part.share for bits, calls in sums.calls.items()},
        list_cost=None if sums.list_cost is None else part.of(sums.list_cost),
        variance=(int(sums.variance[0] * part.share**2), int(sums.variance[1] * part.share**2)),
    )


DaySums = dict[date, UsageSums]


def is_of_provider(own: Key, key: Key) -> bool:
    """Whether a key is of the provider and the project that the other one names."""
    return own.provider == key.provider and key.project in (ANY_PROJECT, own.project)


@dataclass
class UsageFacts:
    """Usage sums by key and day. Tokens are whole numbers of 10**-places."""

    places: int
    days: Mapping[Key, DaySums]
    guests: frozenset[Key] = frozenset()  # keys with calls that name another seller, or none
    _pools: dict[tuple[object, ...], DaySums] = field(default_factory=dict)
    _months: dict[tuple[object, ...], UsageSums] = field(default_factory=dict)

    @classmethod
    def of(cls, parts: Iterable[tuple[Key, date, UsageSums]], places: int) -> UsageFacts:
        """Facts from sums in any order; a key and day may come several times."""
        found: dict[Key, dict[date, list[UsageSums]]] = {}
        for key, day, sums in parts:
            found.setdefault(key, {}).setdefault(day, []).append(sums)
        return cls(
            places,
            {key: {day: summed(own) for day, own in days.items()} for key, days in found.items()},
        )

    @property
    def is_sampled(self) -> bool:
        return any(sums.variance != (0, 0) for days in self.days.values() for sums in days.values())

    @cached_property
    def has_regions(self) -> bool:
        return any(key.region is not None for key in self.days)

    # ------------------------------------------------------------ keys that stand for several

    def keys_of(self, key: Key) -> Iterator[Key]:
        """The keys that have usage and that this one stands for: all projects, all regions."""
        blank: dict[str, Any] = {}
        if key.project == ANY_PROJECT:
            blank["project"] = ANY_PROJECT
        if key.region is None and self.has_regions:
            blank["region"] = None
        if blank:
            yield from (own for own in self.days if own._replace(**blank) == key)
        elif key in self.days:
            yield key

    def has_guests(self, key: Key) -> bool:
        return bool(self.guests) and not self.guests.isdisjoint(self.keys_of(key))

    def keys_of_capacity(self, key: Key) -> Iterator[Key]:
        """The same; of every model where the key names none."""
        if key.model is not None:
            yield from self.keys_of(key)
            return
        for own in self.days:
            is_wanted = own.is_reserved == key.is_reserved and not own.is_batch
            if is_wanted and is_of_provider(own, key):
                yield own

    def keys_of_provider(self, key: Key) -> Iterator[Key]:
        """The keys of every model of the key's provider and project."""
        yield from (own for own in self.days if is_of_provider(own, key))

    # ------------------------------------------------------------ sums

    def of_key(self, key: Key) -> DaySums:
        return self._pool(("key", key), lambda: self.keys_of(key))

    def of_capacity(self, key: Key) -> DaySums:
        return self._pool(("capacity", key), lambda: self.keys_of_capacity(key))

    def of_provider(self, key: Key) -> DaySums:
        name = ("provider", key.provider, key.project)
        return self._pool(name, lambda: self.keys_of_provider(key))

    def on(self, key: Key, day: date | None) -> UsageSums:
        """The key's usage on a day, or in the month where `day` is None."""
        return self._on(("key", key), self.of_key(key), day)

    def capacity_on(self, key: Key, day: date | None) -> UsageSums:
        return self._on(("capacity", key), self.of_capacity(key), day)

    def provider_on(self, key: Key, day: date | None) -> UsageSums:
        name = ("provider", key.provider, key.project)
        return self._on(name, self.of_provider(key), day)

    def tokens(self, key: Key, day: date | None, columns: tuple[int, ...]) -> Fraction:
        """Tokens of these columns, as extrapolated; `day` None is the month."""
        return Fraction(self.on(key, day).of(columns), 10**self.places)

    def relative_variance(self, key: Key, day: date | None, columns: tuple[int, ...]) -> Fraction:
        """Sampling's variance of the tokens that these columns are part of, over their square.

        A class has the relative variance of its side, input or output, since that is what the
        rollup keeps. 0 without sampling.
        """
        sums = self.on(key, day)
        if sums.variance == (0, 0):
            return Fraction(0)
        sides = {int(column in OUTPUT_SIDE) for column in columns}
        variance = sum(sums.variance[side] for side in sides)
        tokens = sum(sums.of(SIDES[side]) for side in sides)
        if not variance or not tokens:
            return Fraction(0)
        return variance / Fraction(tokens, 10**self.places) ** 2

    def _pool(self, name: tuple[object, ...], keys: Callable[[], Iterable[Key]]) -> DaySums:
        found = self._pools.get(name)
        if found is None:
            by_day: dict[date, list[UsageSums]] = {}
            for key in keys():
                for day, sums in self.days[key].items():
                    by_day.setdefault(day, []).append(sums)
            found = self._pools[name] = {day: summed(parts) for day, parts in by_day.items()}
        return found

    def _on(self, name: tuple[object, ...], days: DaySums, day: date | None) -> UsageSums:
        if day is not None:
            return days.get(day, NO_USAGE)
        found = self._months.get(name)
        if found is None:
            found = self._months[name] = summed(days.values())
        return found
