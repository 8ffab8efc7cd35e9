"""Whose bill has the calls that name no seller, or one that sent no bill. Pure.

They join the bills that sell their model, by what the calls that name these sellers leave
uncovered: what is traced under a seller's own name comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

from allocation.catalogue.vocabulary import SELLERS, UNNAMED_DOORS
from allocation.usage.keys import ALL_CALLS, Key, PartOfCalls

ZERO, WHOLE = Fraction(0), Fraction(1)
LEAST_SHARE: Final = Fraction(1, 10_000)  # a smaller part would leave calls without a token
Named = tuple[str | None, str | None]  # provider and model
Shares = tuple[tuple[str | None, PartOfCalls], ...]  # providers, each with its part of the calls


class Quantity(NamedTuple):
    """Of a month's bill lines, or calls, of one provider and model. None: not known."""

    tokens: Fraction | None = ZERO
    cost: Fraction | None = ZERO  # billed, or at list price

    def plus(self, other: Quantity) -> Quantity:
        return Quantity(_plus(self.tokens, other.tokens), _plus(self.cost, other.cost))


def summed_up(parts: Iterable[tuple[Named, Quantity]]) -> dict[Named, Quantity]:
    found: dict[Named, Quantity] = {}
    for name, quantity in parts:
        found[name] = found.get(name, Quantity()).plus(quantity)
    return found


@dataclass(frozen=True)
class Sellers:
    """Who bills which models in a month. `billed` is asked only where some calls could be more
    than one seller's, or more than what is billed.
    """

    by_model: Mapping[str, frozenset[str]]
    billing: frozenset[str]  # providers that sent any bill
    billed: Callable[[frozenset[str]], Mapping[Named, Quantity]]  # of these models

    @classmethod
    def of(
        cls, keys: Iterable[Key], billed: Callable[[frozenset[str]], Mapping[Named, Quantity]]
    ) -> Sellers:
        by_model: dict[str, set[str]] = {}
        billing: set[str] = set()
        for key in keys:
            if key.provider is not None:
                billing.add(key.provider)
                if key.model is not None:
                    by_model.setdefault(key.model, set()).add(key.provider)
        frozen = {model: frozenset(sellers) for model, sellers in by_model.items()}
        return cls(frozen, frozenset(billing), billed)

    def candidates(self, name: Named) -> tuple[str, ...]:
        """Other providers whose bills may have the calls; none where it is their own."""
        provider, model = name
        sellers = self.by_model.get(model or "", frozenset())
        if provider in UNNAMED_DOORS:
            doors = [provider, *UNNAMED_DOORS[provider]]
            return tuple(door for door in doors if door in sellers)
        if provider not in SELLERS:
            return tuple(sorted(sellers))
        is_without_bill = provider not in self.billing and len(sellers) == 1
        return tuple(sellers) if is_without_bill else ()

    def placed(
        self, names: Iterable[Named], totals: Callable[[], Mapping[Named, Quantity]]
    ) -> dict[Named, Shares]:
        """What part of the calls is whose, for those that are not all their own provider's."""
        found: dict[Named, Shares] = {}
        guests: dict[Named, tuple[str, ...]] = {}
        for name in sorted(names, key=repr):
            others = self.candidates(name)
            if name[0] in UNNAMED_DOORS and len(others) < 2:
                door = others[0] if others else UNNAMED_DOORS[name[0] or ""][-1]
                found[name] = ((door, ALL_CALLS),)
            elif others:
                guests[name] = others
        if guests:
            billed = self.billed(frozenset(model for _, model in guests if model is not None))
            found |= _by_uncovered(guests, totals(), billed, found)
        return found


def _by_uncovered(
    guests: Mapping[Named, tuple[str, ...]],
    traced: Mapping[Named, Quantity],
    billed: Mapping[Named, Quantity],
    doors: Mapping[Named, Shares],
) -> dict[Named, Shares]:
    """Guests share what is uncovered in proportion to what they are, and no more than that."""
    own = summed_up(
        ((doors[name][0][0] if name in doors else name[0], name[1]), quantity)
        for name, quantity in traced.items()
        if name not in guests
    )
    coming = summed_up(
        ((seller, name[1]), traced[name]) for name, others in guests.items() for seller in others
    )
    found: dict[Named, Shares] = {}
    for name, others in guests.items():
        free = {
            seller: _free(billed.get((seller, name[1])), own.get((seller, name[1])))
            for seller in others
        }
        wanted = max(_size(coming[seller, name[1]], free[seller][1]) for seller in others)
        whole = sum((amount for amount, _ in free.values()), ZERO)
        most = max(whole, wanted)
        shares = {seller: amount / most for seller, (amount, _) in free.items() if amount}
        found[name] = _parts(name[0], shares)
    return found


def _parts(own: str | None, shares: Mapping[str, Fraction]) -> Shares:
    """The shares one behind the other; what is nobody's stays with the provider that calls name."""
    parts: list[tuple[str | None, PartOfCalls]] = []
    start = ZERO
    for seller, share in shares.items():
        if share >= LEAST_SHARE:
            parts.append((seller, PartOfCalls(start, start + share)))
            start += share
    if parts and WHOLE - start < LEAST_SHARE:
        last_seller, last = parts.pop()
        return (*parts, (last_seller, PartOfCalls(last.start, WHOLE)))
    return (*parts, (own, PartOfCalls(start, WHOLE)))


def _free(billed: Quantity | None, own: Quantity | None) -> tuple[Fraction, bool]:
    """What a seller's own calls leave of its bill, and whether in tokens; else in cost."""
    bill, calls = billed or Quantity(), own or Quantity()
    if bill.tokens is not None and calls.tokens is not None:
        return max(ZERO, bill.tokens - calls.tokens), True
    return max(ZERO, (bill.cost or ZERO) - (calls.cost or ZERO)), False


def _size(quantity: Quantity, in_tokens: bool) -> Fraction:
    return (quantity.tokens if in_tokens else quantity.cost) or ZERO


def _plus(total: Fraction | None, more: Fraction | None) -> Fraction | None:
    return None if total is None or more is None else total + more
