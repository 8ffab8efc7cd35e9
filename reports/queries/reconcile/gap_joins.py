"""The calls of a month under the names that its bills have them by, as the allocation joins them:
canonical models, the sellers whose bills have calls of unnamed doors, and the projects in which
calls without one were placed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cached_property

from allocation.catalogue.entries import Entries
from allocation.usage.keys import (
    ALL_CALLS,
    ANY_PROJECT,
    BilledKeys,
    Key,
    PartOfCalls,
    billed_as,
    declared_key,
)
from allocation.usage.sellers import Named, Quantity, Sellers, Shares, summed_up
from allocation.values.money import exact_sum
from reports.analysis.gap import WORKING_DIGITS
from reports.queries.reconcile.gap_charges import BilledSource, Name
from reports.queries.reconcile.gap_usage import UsageRow

ZERO, ONE = Decimal(0), Decimal(1)
NEARLY_ALL = 1 - Decimal("1e-9")  # coverage is kept rounded
SHARE = Decimal("1e-12")  # parts of calls are cut here, so that sums stay exact


def joined_rows(
    charges: Sequence[BilledSource], rows: Sequence[UsageRow], entries: Entries
) -> list[UsageRow]:
    """The rows by the names on the bills, cut where several sellers or projects have their part."""
    joins = MonthJoins(charges, entries)
    with localcontext(prec=WORKING_DIGITS):
        sold = list(joins.sold(rows))
        return list(joins.placed(sold))


@dataclass(frozen=True)
class MonthJoins:
    charges: Sequence[BilledSource]
    entries: Entries

    def sold(self, rows: Sequence[UsageRow]) -> Iterator[UsageRow]:
        """Under canonical models, their sellers, and projects that the bills know."""
        keys = [self._key(row) for row in rows]
        shares = self._shares(keys, rows)
        for key, row in zip(keys, rows, strict=True):
            own: Shares = shares.get((key.provider, key.model), ((key.provider, ALL_CALLS),))
            for provider, part in own:
                billed = billed_as(key._replace(provider=provider), self.known)
                name = billed.provider, billed.project, billed.model
                yield row.part(_share(part)).named(name)

    def placed(self, rows: Sequence[UsageRow]) -> Iterator[UsageRow]:
        """Calls without a project in those of the bill, as much as these lack of their own calls;
        the rest stays without.
        """
        traced: dict[Name, Decimal] = {}
        for row in rows:
            traced[row.name] = traced.get(row.name, ZERO) + sum(row.tokens.values(), ZERO)
        for row in rows:
            rooms = self._rooms(row.name, traced) if row.name[1] is None else {}
            left = ONE
            for name, share in rooms.items():
                yield row.part(share).named(name)
                left -= share
            if left:
                yield row.part(left)

    # ------------------------------------------------------------ what the bills have

    @cached_property
    def known(self) -> BilledKeys:
        """Projects of the bills that calls are placed in."""
        projects: dict[str | None, set[str]] = {}
        for source in self.charges:
            for provider, project, _ in source.lines if source.places_calls else ():
                projects.setdefault(provider, set()).update([project] if project else [])
        return BilledKeys(projects={name: frozenset(own) for name, own in projects.items()})

    @cached_property
    def joined(self) -> Mapping[Name, Decimal | None]:
        """Tokens of the calls that the allocation joined with each line; None: not known."""
        found: dict[Name, Decimal | None] = {}
        for source in self.charges:
            for name in source.lines:
                if source.places_calls and name[1] not in (None, ANY_PROJECT):
                    before, more = found.get(name, ZERO), source.joined.get(name)
                    found[name] = None if before is None or more is None else before + more
        return found

    @cached_property
    def by_model(self) -> Mapping[Named, list[Name]]:
        found: dict[Named, list[Name]] = {}
        for name in sorted(self.joined, key=repr):
            found.setdefault((name[0], name[2]), []).append(name)
        return found

    def _rooms(self, nameless: Name, traced: Mapping[Name, Decimal]) -> dict[Name, Decimal]:
        """The part of the calls without a project that each project has."""
        names = self.by_model.get((nameless[0], nameless[2]), [])
        known = {name: self.joined[name] for name in names}
        whole = traced[nameless]
        if not names or not whole:
            return {}
        if None in known.values():  # nobody knows tokens: as their cost is
            costs = {name: max(ZERO, self._cost(name)) for name in names}
            total = sum(costs.values(), ZERO)
            return _cut({name: cost / total for name, cost in costs.items()} if total else {})
        rooms = {
            name: max(ZERO, tokens - traced.get(name, ZERO))
            for name, tokens in known.items()
            if tokens is not None
        }
        room = sum(rooms.values(), ZERO)
        most = whole if room < whole * NEARLY_ALL else room
        return _cut({name: room / most for name, room in rooms.items()})

    def _cost(self, name: Name) -> Decimal:
        return exact_sum(
            line.billed_cost for source in self.charges for line in source.lines.get(name, ())
        )

    # ------------------------------------------------------------ whose calls they are

    def _key(self, row: UsageRow) -> Key:
        return declared_key((*row.name, row.tier, None), self.entries)

    def _shares(self, keys: Sequence[Key], rows: Sequence[UsageRow]) -> Mapping[Named, Shares]:
        lines = [name for source in self.charges for name in source.lines]
        sellers = Sellers.of((Key(*name, is_batch=False) for name in lines), self._billed)
        names = {(key.provider, key.model) for key in keys}
        return sellers.placed(names, lambda: _totals(keys, rows))

    def _billed(self, models: frozenset[str]) -> Mapping[Named, Quantity]:
        return summed_up(
            (
                (name[0], name[2]),
                Quantity(
                    None if line.quantity is None else Fraction(line.quantity),
                    Fraction(line.billed_cost),
                ),
            )
            for source in self.charges
            for name, lines in source.lines.items()
            if name[2] in models
            for line in lines
        )


def _totals(keys: Sequence[Key], rows: Sequence[UsageRow]) -> dict[Named, Quantity]:
    return summed_up(
        (
            (key.provider, key.model),
            Quantity(
                Fraction(sum(row.tokens.values(), ZERO)),
                Fraction(row.list_cost) if row.is_priced else None,
            ),
        )
        for key, row in zip(keys, rows, strict=True)
    )


def _share(part: PartOfCalls) -> Decimal:
    """Of parts that follow each other the ends are cut, so that they add up to the whole."""
    if part == ALL_CALLS:
        return ONE
    start, end = (
        (Decimal(at.numerator) / at.denominator).quantize(SHARE) for at in (part.start, part.end)
    )
    return end - start


def _cut(shares: Mapping[Name, Decimal]) -> dict[Name, Decimal]:
    """Down to SHARE, so that together they are never more than the whole; what was cut off a whole
    is the last one's.
    """
    found = {name: share.quantize(SHARE, "ROUND_DOWN") for name, share in shares.items() if share}
    left = ONE - sum(found.values(), ZERO)
    if found and left and left <= SHARE * (len(found) + 1):
        found[list(found)[-1]] += left
    return {name: share for name, share in found.items() if share}
