"""Everything but charges that a month's runs look at, with its fingerprints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import partial

from django.db import connection

from allocation.catalogue.entries import Entries
from allocation.charges.split_keys import Bucket, apart_keys
from allocation.ledger.usage_slices import DailyKey, Number, daily_usage
from allocation.organisation.target_book import TargetBook
from allocation.organisation.targets import Organisation, resolve
from allocation.plans.gpu import GpuIndex
from allocation.rules.methods import GPU_SECONDS, PROVIDER
from allocation.usage.driver_data import DriverData, Identities, Look, Reports, read_driver_data
from allocation.usage.facts import LateUsage, UsageFacts, UsageReader
from allocation.usage.index import (
    ANY_PROJECT,
    COST_PLACES,
    AllReportsNeeded,
    Digest,
    Key,
    ToldUsage,
    Usage,
    UsageIndex,
    told_owner,
)
from allocation.usage.measures import MeasureBook
from allocation.usage.sampling import Clustering, clustered, clustering_of
from allocation.values.money import quanta_of
from allocation.values.periods import DAY, Period


@dataclass
class Drivers:
    index: UsageIndex  # traces
    reported: UsageIndex  # the providers' own usage reports
    reports: Reports
    measures: MeasureBook
    gpu: GpuIndex
    book: TargetBook
    organisation: Organisation
    usage_sha256: str
    other_sha256: str  # of reports, owners of keys, GPU usage and series
    look: Look  # what `other_sha256` is the fingerprint of
    organisation_sha256: str
    daily: dict[DailyKey, list[Number]]
    clustering: Clustering | None  # None: every span was kept
    facts: UsageFacts

    def usage_of(self, key: Key, method: str) -> UsageIndex:
        """What answers a line: traces or the provider's report, whichever the method asks first and
        has the key.
        """
        indexes = [self.index, self.reported]
        if method == PROVIDER:
            indexes.reverse()
        keys = (key, key._replace(is_reserved=False, region=None))
        return next((index for own in keys for index in indexes if index.of_model(own)), indexes[0])


CHARGE_DAYS_SQL = """
SELECT min(first_day), max(last_day) FROM scope_charges WHERE scope_id = ANY(%(scopes)s)
"""


def load_drivers(
    *,
    month: date,
    scopes: Sequence[int],
    buckets: Iterable[Bucket],
    organisation: Organisation,
    book: TargetBook,
    caller_pays: bool = True,
    entries: Entries = (),
    late: LateUsage | None = None,
) -> Drivers:
    """Usage of the charge days, by key and day; charge days more than a year before the month are
    not asked for.

    With `late`, usage of its days only: what the other days had is known from a former run, and
    they are read as one where a bucket goes by the month.
    """
    buckets = list(buckets)
    start, end = charge_days(month, scopes)
    apart = apart_keys(buckets)
    identities = Identities.read()
    by_region = any(bucket.key and bucket.key.region for bucket in buckets)
    reader = UsageReader(start, end, by_region, caller_pays, entries, identities.owners)
    rows, facts = reader.read(
        late.days if late else None, billed_as=lambda key: known_apart(key, apart)
    )
    clustering = clustering_of(start, end) if facts.is_sampled else None
    if late:
        facts = late.joined(facts)
        late.check(facts)
    goes_by_month = any(bucket.goes_by_month for bucket in buckets)
    look = _look(month, start, end, buckets)
    other = read_driver_data(
        look,
        callers=facts.callers,
        identities=identities,
        organisation=organisation,
        known=late.reports if late and not goes_by_month else None,
        days=late.days if late else None,
    )
    index_of = partial(
        build_index, apart=apart, organisation=organisation, book=book, clustering=clustering or {}
    )
    reported = index_of(other.reported, places=other.reports.places)
    index = index_of(rows, places=facts.places)
    rest = None
    if late:
        _complete_reports(reported, other, late.days, apart)
        if goes_by_month:
            rest = reader.rest(
                but=late.days, cuts={month, Period.month(month).end, *organisation.turning_days}
            )
            late.check_others()
        late.complete(index, None if rest is None else index_of(rest, places=facts.places))
    return Drivers(
        index=index,
        reported=reported,
        reports=other.reports,
        measures=MeasureBook(
            month,
            organisation,
            rows,
            other.gpu,
            other.series,
            loaded=late.days if late else None,
            rest=rest,
        ),
        gpu=GpuIndex.of(
            other.gpu,
            nodes=_nodes(buckets),
            number=lambda owner, day: book.number(
                resolve(organisation, owner, model=None, day=day)
            ),
        ),
        book=book,
        organisation=organisation,
        usage_sha256=_usage_sha256(facts, clustering),
        other_sha256=other.sha256,
        look=look,
        organisation_sha256=organisation.digest(),
        daily=daily_usage(rows, period=Period.month(month), organisation=organisation),
        clustering=clustering,
        facts=facts,
    )


def _look(month: date, start: date, end: date, buckets: Sequence[Bucket]) -> Look:
    """What else than usage these buckets are split by."""
    splits = [
        split
        for bucket in buckets
        if bucket.split
        for split in (bucket.split, *dict(bucket.pools).values())
    ]
    needs_gpu = bool(_nodes(buckets)) or any(split.driver == GPU_SECONDS for split in splits)
    return Look(
        month,
        start,
        end,
        needs_gpu,
        tuple(sorted({split.series for split in splits if split.series})),
    )


def _nodes(buckets: Iterable[Bucket]) -> set[str]:
    return {node for bucket in buckets for node in (bucket.node, bucket.node_id) if node}


def _usage_sha256(facts: UsageFacts, clustering: Clustering | None) -> str:
    digest = Digest()
    digest.add(facts.text())
    digest.add(repr(sorted((clustering or {}).items(), key=str)))
    return digest.hexdigest()


def _complete_reports(
    index: UsageIndex, data: DriverData, days: frozenset[date], apart: frozenset[Key]
) -> None:
    """Where only these days of the reports were read, the index knows on which others there are
    any.
    """
    if data.reported_days is not None:
        index.lacking = AllReportsNeeded
        named = ((known_apart(key, apart), listed) for key, listed in data.reported_days.items())
        index.complete(days, ((key, day) for key, listed in named for day in listed), None)


def charge_days(month: date, scopes: Sequence[int]) -> tuple[date, date]:
    with connection.cursor() as cursor:
        cursor.execute(CHARGE_DAYS_SQL, {"scopes": list(scopes)})
        first, last = cursor.fetchone()
    whole = Period.month(month)
    earliest = date(month.year - 1, month.month, 1)
    return max(min(first or whole.start, whole.start), earliest), min(
        max(last + DAY if last else whole.end, whole.end), whole.end + 31 * DAY
    )


def build_index(
    rows: Sequence[ToldUsage],
    *,
    apart: frozenset[Key],
    organisation: Organisation,
    book: TargetBook,
    clustering: Clustering,
    places: int,
) -> UsageIndex:
    """Pure: told rows resolved to targets, as whole numbers of 10**-places."""
    days: dict[Key, dict[date, list[Usage]]] = {}
    numbers: dict[tuple[tuple[str | None, ...], str | None, int], int] = {}
    keys: dict[Key, Key] = {}
    for row in rows:
        key = keys.get(row.key)
        if key is None:
            key = keys[row.key] = known_apart(row.key, apart)
        name = (row.attributes, key.model, organisation.epoch(row.day))
        number = numbers.get(name)
        if number is None:
            target = resolve(organisation, told_owner(row), model=key.model, day=row.day)
            number = numbers[name] = book.number(target)
        usage = Usage(
            target=number,
            rung=row.rung,
            tokens=tuple([quanta_of(text, places) for text in row.tokens])
            if places
            else tuple(map(int, row.tokens)),
            list_cost=quanta_of(row.list_cost, COST_PLACES) if row.list_cost is not None else None,
            variance=clustered(row, clustering),
            calls=int(row.calls) if row.calls.isdecimal() else Fraction(row.calls),
        )
        days.setdefault(key, {}).setdefault(row.day, []).append(usage)
    return UsageIndex(places, book.rank, days)


def known_apart(key: Key, apart: frozenset[Key]) -> Key:
    """The key as the bill keeps it: batch, reserved and regional calls are among the others where
    it has no line.
    """

    def is_billed(wanted: Key) -> bool:
        return wanted in apart or wanted._replace(project=ANY_PROJECT) in apart

    plain = key._replace(region=None)
    if plain.is_batch and not is_billed(plain) and not is_billed(key):
        plain = plain._replace(is_batch=False)
    if plain.is_reserved and not is_billed(plain) and not is_billed(plain._replace(model=None)):
        plain = plain._replace(is_reserved=False)
    regional = plain._replace(region=key.region)
    return regional if key.region is not None and is_billed(regional) else plain
