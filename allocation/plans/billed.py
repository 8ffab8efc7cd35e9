"""How many tokens the bill is about: what coverage is measured against. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Final

from allocation.catalogue.canonical import columns_of
from allocation.catalogue.class_prices import ClassPrices
from allocation.charges.groups import Amount, ChargeGroup
from allocation.charges.split_keys import SplitKey
from allocation.plans.plan import Billed, Money
from allocation.usage.facts import UsageFacts
from allocation.usage.keys import Key

ZERO: Final = Fraction(0)
PRICED_IN: Final = "USD"  # list prices
BilledKey = tuple[Key | None, str | None]  # with the token class


@dataclass
class DayBill:
    """What the bill says of one key, class and day. `tokens` None: a quantity does not convert;
    `list_cost` None: a charge lacks it.
    """

    tokens: Fraction | None = ZERO
    list_cost: Fraction | None = ZERO
    billed: Fraction = ZERO

    def add(self, group: ChargeGroup, tokens: Fraction | None) -> None:
        self.tokens = _plus(self.tokens, tokens)
        self.list_cost = _plus(self.list_cost, _fraction(group.list_cost))
        self.billed += _fraction(group.billed_cost) or ZERO


@dataclass(frozen=True)
class BillReader:
    """What else than the bill's quantities says how many tokens were billed."""

    reports: UsageFacts
    prices: ClassPrices
    classes: Mapping[Key, frozenset[str]]  # that the bill has lines for

    def billed(
        self, split_keys: Mapping[int, SplitKey], groups: Iterable[ChargeGroup]
    ) -> dict[BilledKey, Billed]:
        """By key and class, over all split keys that share them."""
        found: dict[BilledKey, dict[date, DayBill]] = {}
        currencies: dict[BilledKey, str] = {}
        for group in groups:
            split_key = split_keys[group.split_key]
            if split_key.key is not None:
                name = split_key.key, split_key.token_class
                currencies[name] = split_key.currency
                day = found.setdefault(name, {}).setdefault(group.day, DayBill())
                day.add(group, split_key.tokens(group.consumed, group.pricing))
        return {name: self._of(name, days, currencies[name]) for name, days in found.items()}

    def _of(self, name: BilledKey, days: Mapping[date, DayBill], currency: str) -> Billed:
        by_day = {day: bill.tokens for day, bill in days.items()}
        unknown = [day for day, tokens in by_day.items() if tokens is None]
        cost = {day: bill.billed for day, bill in days.items()}
        if not unknown:
            return Billed(by_day, _total(by_day.values()), cost=cost)
        money: dict[date | None, Money] = {}
        for day in unknown:
            price = self._price(name, day) if currency == PRICED_IN else None
            by_day[day] = self._reported(name, day) or _over_price(days[day], price)
            if currency == PRICED_IN:
                money[day] = Money(abs(days[day].billed), price)
        month = _total(by_day.values())
        if money and month is None:
            whole = abs(sum((bill.billed for bill in days.values()), ZERO))
            money[None] = Money(whole, money[min(unknown)].per_token)
        derived = frozenset(day for day in unknown if by_day[day] is not None)
        return Billed(by_day, month, derived, money, cost)

    def _reported(self, name: BilledKey, day: date) -> Fraction | None:
        key, token_class = name
        if key is None:
            return None
        classes = self.classes.get(key, frozenset())
        columns = columns_of(token_class, classes)
        return self.reports.tokens(key, day, columns) or None

    def _price(self, name: BilledKey, day: date) -> Fraction | None:
        """None also where the list has it for nothing: that tells no tokens."""
        key, token_class = name
        if key is None:
            return None
        tier = "batch" if key.is_batch else "standard"
        return self.prices.per_token(key.provider, key.model, token_class, day, tier) or None


def _over_price(bill: DayBill, price: Fraction | None) -> Fraction | None:
    """What is taken back is as many tokens as what was charged."""
    return abs(bill.list_cost) / price if price and bill.list_cost else None


def _fraction(amount: Amount | None) -> Fraction | None:
    return None if amount is None else Fraction(amount.quanta, 10**amount.places)


def _plus(total: Fraction | None, more: Fraction | None) -> Fraction | None:
    return None if total is None or more is None else total + more


def _total(quantities: Iterable[Fraction | None]) -> Fraction | None:
    """None where any is."""
    total: Fraction | None = ZERO
    for quantity in quantities:
        total = _plus(total, quantity)
    return total
