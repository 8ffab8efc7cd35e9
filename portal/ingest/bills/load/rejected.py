"""The money of rows that are not loaded, as far as it can be read: kept with the import, so that
nobody takes the rest for the whole bill.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from allocation.values.money import plain


class RejectedCells(NamedTuple):
    """What could be read of a row that is not loaded."""

    account: str | None
    period_start: str | None
    currency: str | None
    billed: str | None


class MoneyPlace(NamedTuple):
    """Where money belongs: what it is reconciled by."""

    account: str | None
    month: str | None  # YYYY-MM
    currency: str | None


@dataclass(slots=True)
class RejectedSum:
    """Exact under `EXACT`, which the caller has entered."""

    rows: int = 0
    unreadable: int = 0  # rows without a readable BilledCost
    billed: Decimal = Decimal(0)
    absolute: Decimal = Decimal(0)

    def add(self, other: RejectedSum) -> None:
        self.rows += other.rows
        self.unreadable += other.unreadable
        self.billed += other.billed
        self.absolute += other.absolute

    def add_row(self, billed: str | None) -> None:
        self.rows += 1
        if billed is None:
            self.unreadable += 1
        else:
            amount = Decimal(billed)
            self.billed += amount
            self.absolute += amount.copy_abs()


@dataclass(slots=True)
class RejectedRows:
    """Sums of rejected rows by what each says about its place."""

    sums: dict[RejectedCells, RejectedSum] = field(default_factory=dict)  # without `billed`

    def add(self, rows: Iterable[RejectedCells]) -> None:
        for row in rows:
            self.sums.setdefault(row._replace(billed=None), RejectedSum()).add_row(row.billed)

    def placed(self, places: Iterable[MoneyPlace]) -> dict[MoneyPlace, RejectedSum]:
        """The sums by place, one of `places` for each of them, in their order."""
        found: dict[MoneyPlace, RejectedSum] = {}
        for place, own in zip(places, self.sums.values(), strict=True):
            found.setdefault(place, RejectedSum()).add(own)
        return found

    def __iter__(self) -> Iterator[RejectedCells]:
        return iter(self.sums)


def sums_as_json(sums: dict[MoneyPlace, RejectedSum]) -> list[dict[str, Any]]:
    """As an import keeps them."""
    return [
        {
            **place._asdict(),
            "rows": own.rows,
            "unreadable": own.unreadable,
            "billed_cost": plain(own.billed),
        }
        for place, own in sums.items()
    ]


def absolute_by_currency(sums: dict[MoneyPlace, RejectedSum]) -> dict[str | None, Decimal]:
    """How much is moved by the rows, whichever way; currencies without a readable amount are left
    out.
    """
    found: dict[str | None, Decimal] = {}
    for place, own in sums.items():
        if own.absolute:
            found[place.currency] = found.get(place.currency, Decimal(0)) + own.absolute
    return found
