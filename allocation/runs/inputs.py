"""Everything but charges that a month's runs look at, with its fingerprints."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any

from allocation.catalogue.class_prices import StoredPrices
from allocation.catalogue.entries import Entries
from allocation.charges.groups import charge_days
from allocation.charges.split_keys import SplitKey, billed_keys
from allocation.organisation.stored import TargetBook
from allocation.organisation.targets import Organisation, Owner, resolve
from allocation.plans.drivers import Digests, Drivers
from allocation.rules.methods import GPU_SECONDS
from allocation.usage.driver_data import DriverData, Look, identity_owners, read_driver_data
from allocation.usage.facts import number_of_calls
from allocation.usage.index import COST_PLACES, Row, Usage, UsageIndex
from allocation.usage.keys import (
    ALL_CALLS,
    BilledKeys,
    DeclaredUsage,
    Key,
    Placed,
    billed_as,
    declared_owner,
    digest_of,
    places_of_rows,
)
from allocation.usage.measures import GpuIndex, MeasureBook
from allocation.usage.month_usage import MonthUsage, month_usage
from allocation.usage.sampling import Clustering, clustered, clustering_of
from allocation.usage.sellers import Named, Quantity, Sellers, Shares
from allocation.values.money import quanta_of
from allocation.values.periods import Period


@dataclass
class Resolver:
    """Declared usage as rows of an index: keys as the bill has them, names as targets."""

    organisation: Organisation
    book: TargetBook
    billed: BilledKeys
    clustering: Clustering = field(default_factory=dict)
    sellers: Mapping[Named, Shares] = field(default_factory=dict)
    _keys: dict[Key, Placed] = field(default_factory=dict)
    _numbers: dict[tuple[object, ...], int] = field(default_factory=dict)

    @property
    def is_cut(self) -> bool:
        """Whether some calls are in parts those of several sellers."""
        return any(part != ALL_CALLS for shares in self.sellers.values() for _, part in shares)

    def keys(self, key: Key) -> Placed:
        """Where the bill has the calls that declare this key."""
        found = self._keys.get(key)
        if found is None:
            shares = self.sellers.get((key.provider, key.model), ((key.provider, ALL_CALLS),))
            found = self._keys[key] = tuple(
                (billed_as(key._replace(provider=provider), self.billed), part)
                for provider, part in shares
            )
        return found

    def rows(self, rows: Iterable[DeclaredUsage], places: int) -> Iterator[tuple[Key, date, Usage]]:
        """Token counts are whole numbers of 10**-places."""
        for row in rows:
            for key, part in self.keys(row.key):
                usage = Usage(
                    target=self._number(row, key),
                    rung=row.rung,
                    tokens=(
                        tuple([quanta_of(text, places) for text in row.tokens])
                        if places
                        else tuple(map(int, row.tokens))
                    ),
                    list_cost=(
                        quanta_of(row.list_cost, COST_PLACES) if row.list_cost is not None else None
                    ),
                    variance=clustered(row, self.clustering),
                    calls=number_of_calls(row.calls),
                )
                yield key, row.day, usage if part == ALL_CALLS else usage.part(part)

    def _number(self, row: DeclaredUsage, key: Key) -> int:
        name = (row.attributes, key.model, self.organisation.epoch(row.day))
        number = self._numbers.get(name)
        if number is None:
            owner = declared_owner(row)
            target = resolve(self.organisation, owner, model=key.model, day=row.day)
            number = self._numbers[name] = self.book.number(target)
        return number


class UsageRows:
    """Who used what: read of the days that somebody asks for, and of the month in one."""

    def __init__(
        self, month: date, usage: MonthUsage, resolver: Resolver, sellers: Sellers
    ) -> None:
        self.month = month
        self.usage = usage
        self.resolver = resolver
        self._loaded: set[date] = set()
        resolver.sellers = sellers.placed(usage.names(), usage.totals)
        facts = usage.facts(resolver.keys, is_cut=resolver.is_cut)
        self.is_sampled = facts.is_sampled
        if self.is_sampled:
            # How far sampling may be off is a row's own, so that every row is asked.
            resolver.clustering = clustering_of(usage.start, usage.end)
            rows = self._resolved(usage.digests, facts.places)
            self.index = UsageIndex.of(rows, places=facts.places, order=resolver.book.rank)
        else:
            month_rows = partial(read_month, month, usage, resolver, facts.places)
            self.index = UsageIndex(facts, resolver.book.rank, month_rows)

    def load(self, days: Iterable[date]) -> None:
        """Have the rows of these days, and ids and ranks for all who are in them."""
        new = set(days) & self.usage.digests.keys() - self._loaded
        if new:
            self.index.add(self._resolved(new, self.index.facts.places))
        self.resolver.book.settle()

    def _resolved(self, days: Collection[date], places: int) -> Iterator[Row]:
        self._loaded.update(days)
        return self.resolver.rows(self.usage.read(days), places)


def read_month(month: date, usage: MonthUsage, resolver: Resolver, places: int) -> list[Row]:
    """Rows of all days, as many in one as mean the same targets."""
    cuts = {month, Period.month(month).end, *resolver.organisation.turning_days}
    found = list(resolver.rows(usage.read_month(cuts), places))
    resolver.book.settle()
    return found


@dataclass(frozen=True)
class MonthDrivers:
    """The drivers of a month's runs, in every currency, and what they are known by."""

    drivers: Drivers
    rows: UsageRows
    clustering: Clustering | None  # None: every span was kept
    inputs: dict[str, Any]  # what a run keeps, to tell later whether it would see the same


@contextmanager
def month_drivers(
    *,
    month: date,
    scopes: Sequence[int],
    split_keys: Collection[SplitKey],
    organisation: Organisation,
    caller_pays: bool,
    entries: Entries,
    settings: str,
    billed: Callable[[frozenset[str]], Mapping[Named, Quantity]],
) -> Iterator[MonthDrivers]:
    """Usage of the charge days and all other driver data, to be asked inside the block.

    `settings` is the fingerprint of what else every plan depends on. `billed` tells what was billed
    of some models, by provider.
    """
    start, end = charge_days(month=month, scopes=scopes)
    owners = identity_owners()
    look = _look(month, start, end, split_keys)
    by_region = any(split_key.key and split_key.key.region for split_key in split_keys)
    with month_usage(
        start, end, by_region=by_region, caller_pays=caller_pays, entries=entries, owners=owners
    ) as usage:
        resolver = Resolver(organisation, TargetBook(), billed_keys(split_keys))
        keys = (split_key.key for split_key in split_keys if split_key.key)
        rows = UsageRows(month, usage, resolver, Sellers.of(keys, billed))
        data = read_driver_data(
            look, callers=usage.callers, owners=owners, organisation=organisation
        )
        sampling = repr(sorted(resolver.clustering.items(), key=str))
        apart = resolver.billed.lines()
        placed = sorted(resolver.sellers.items(), key=repr)
        digests = Digests(
            settings=digest_of([settings, data.callers_sha256, sampling, apart, placed]),
            usage=usage.digests,
            reports=data.reports.digests,
            others=data.others_sha256,
        )
        drivers = _drivers(rows, data, split_keys, digests)
        drivers.book.settle()
        inputs = {
            "usage_sha256": digest_of([usage.sha256, sampling]),
            "drivers_sha256": data.sha256,
            "drivers_look": look.to_json(),
        }
        clustering = resolver.clustering if rows.is_sampled else None
        yield MonthDrivers(drivers, rows, clustering, inputs)


def _drivers(
    rows: UsageRows, data: DriverData, split_keys: Iterable[SplitKey], digests: Digests
) -> Drivers:
    resolver = rows.resolver
    book, organisation = resolver.book, resolver.organisation

    def number(owner: Owner, day: date) -> int:
        return book.number(resolve(organisation, owner, model=None, day=day))

    places = places_of_rows(data.reports.rows)
    reported = resolver.rows(data.reports.rows, places)
    return Drivers(
        traces=rows.index,
        reports=UsageIndex.of(reported, places=places, order=book.rank),
        measures=MeasureBook(rows.month, organisation, book, rows.index, data.gpu, data.series),
        gpu=GpuIndex.of(data.gpu, nodes=_nodes(split_keys), number=number),
        book=book,
        organisation=organisation,
        digests=digests,
        prices=StoredPrices(),
    )


def _look(month: date, start: date, end: date, split_keys: Collection[SplitKey]) -> Look:
    """What else than usage these split keys are split by."""
    splits = [
        split
        for split_key in split_keys
        if split_key.split
        for split in (split_key.split, *dict(split_key.pools).values())
    ]
    needs_gpu = bool(_nodes(split_keys)) or any(split.driver == GPU_SECONDS for split in splits)
    series = tuple(sorted({split.series for split in splits if split.series}))
    return Look(month, start, end, needs_gpu, series)


def _nodes(split_keys: Iterable[SplitKey]) -> set[str]:
    nodes = {node for split_key in split_keys for node in (split_key.node, split_key.node_id)}
    return {node for node in nodes if node}
