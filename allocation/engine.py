"""From groups and drivers to plans: what each charge group of a run is split by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from django.db import connection

from allocation.buckets import FOLLOW, NONE, TRACED, Bucket, batch_keys, followed_keys
from allocation.charges import Group, copy_lines
from allocation.drivers import (
    ANY_PROJECT,
    COST_PLACES,
    DRIVER_PLACES,
    Digest,
    Key,
    ToldUsage,
    Usage,
    UsageIndex,
    billed_classes,
    told_owner,
    told_usage,
    usage_sql,
)
from allocation.ledger import LedgerWriter, TargetBook
from allocation.money import LEAST_PLACES, places_of, quanta_of
from allocation.owners import Owner
from allocation.periods import DAY, Period
from allocation.sampling import Clustering, clustered, clustering_of
from allocation.targets import NO_TEAM, NOTHING_TO_FOLLOW, UNTRACED, Organisation, Target, resolve
from allocation.traced import Billed, Part, Plan, TracedLine, tokens_of, traced_plan
from allocation.usage_daily import DailyKey, daily_usage


@dataclass
class Drivers:
    """Everything but charges that a month's runs look at, with fingerprints."""

    index: UsageIndex
    book: TargetBook
    organisation: Organisation
    usage_sha256: str
    organisation_sha256: str
    daily: dict[DailyKey, list[Decimal]]
    clustering: Clustering | None  # None: every span was kept


ZERO = Fraction(0)
CHARGE_DAYS_SQL = """
SELECT min(charge_period_start AT TIME ZONE 'UTC')::date, max(charge_period_end AT TIME ZONE 'UTC')::date
FROM charge WHERE billing_month = %(month)s AND scope_id = ANY(%(scopes)s)
"""


def load_drivers(
    *, month: date, scopes: Sequence[int], buckets: Iterable[Bucket], organisation: Organisation, book: TargetBook
) -> Drivers:
    """Usage of the charge days, by key and day; charge days more than a year before the month are not asked for."""
    digest = Digest()
    start, end = _charge_days(month, scopes)

    def noted() -> Iterable[str]:
        for line in copy_lines(usage_sql(start, end)):
            digest.add(line)
            yield line

    rows = list(told_usage(noted()))
    clustering = clustering_of(start, end) if any(row.variance != (0, 0) for row in rows) else None
    digest.add(repr(sorted((clustering or {}).items(), key=str)))
    index = build_index(
        rows, bill_batch=batch_keys(buckets), organisation=organisation, book=book, clustering=clustering or {}
    )
    daily = daily_usage(rows, period=Period.month(month), organisation=organisation)
    return Drivers(index, book, organisation, digest.hexdigest(), organisation.digest(), daily, clustering)


def _charge_days(month: date, scopes: Sequence[int]) -> tuple[date, date]:
    with connection.cursor() as cursor:
        cursor.execute(CHARGE_DAYS_SQL, {"month": month, "scopes": list(scopes)})
        first, last = cursor.fetchone()
    whole = Period.month(month)
    earliest = date(month.year - 1, month.month, 1)
    return max(min(first or whole.start, whole.start), earliest), min(
        max(last or whole.end, whole.end), whole.end + 31 * DAY
    )


def build_index(
    rows: Sequence[ToldUsage],
    *,
    bill_batch: frozenset[Key],
    organisation: Organisation,
    book: TargetBook,
    clustering: Clustering,
) -> UsageIndex:
    """Pure: told rows resolved to targets, as whole numbers of a common unit."""
    places = DRIVER_PLACES if any("." in text for row in rows for text in row.tokens) else 0
    days: dict[Key, dict[date, list[Usage]]] = {}
    numbers: dict[tuple[tuple[str | None, ...], str | None, int], int] = {}
    for row in rows:
        key = row.key
        if key.is_batch and key not in bill_batch and key._replace(project=ANY_PROJECT) not in bill_batch:
            key = key._replace(is_batch=False)
        name = (row.attributes, key.model, organisation.epoch(row.day))
        number = numbers.get(name)
        if number is None:
            target = resolve(organisation, told_owner(row), model=key.model, day=row.day)
            number = numbers[name] = book.number(target)
        usage = Usage(
            target=number,
            rung=row.rung,
            tokens=tuple([quanta_of(text, places) for text in row.tokens]) if places else tuple(map(int, row.tokens)),
            list_cost=quanta_of(row.list_cost, COST_PLACES) if row.list_cost is not None else None,
            variance=clustered(row, clustering),
        )
        days.setdefault(key, {}).setdefault(row.day, []).append(usage)
    return UsageIndex(places, book.rank, days)


@dataclass
class Engine:
    """Plans of one run. Groups come in (bucket, day) order; buckets that follow others have the last numbers."""

    month: date
    run_id: int
    numbers: dict[Bucket, int]
    groups: list[Group]
    drivers: Drivers

    def __post_init__(self) -> None:
        self.by_number: list[Bucket | None] = [None] * (len(self.numbers) + 1)
        for bucket, number in self.numbers.items():
            self.by_number[number] = bucket
        self.first_follower = min(
            (n for b, n in self.numbers.items() if b.method == FOLLOW), default=len(self.by_number)
        )
        self.billed = self._billed_tokens()
        self.classes = billed_classes((b.key, b.token_class) for b in self.numbers if b.key)
        self.lines: dict[tuple[int, int], TracedLine] = {}
        self.plans: dict[tuple[int, int], Plan] = {}
        self.adoption = Adoption(self.drivers.index, self.drivers.book)

    def carry_out(self, writer: LedgerWriter, progress: Callable[[int], None]) -> None:
        """Write every group: first what stands by itself, then what follows it."""
        self._name_targets()
        own = [group for group in self.groups if group.bucket < self.first_follower]
        followers = self.groups[len(own) :]
        writer.write(own, self.by_number, self.plan, progress)
        if followers:
            self.related = Related.read(
                run_id=self.run_id, month=self.month, buckets=self.by_number, book=self.drivers.book
            )
            self.drivers.book.settle()
            writer.write(followers, self.by_number, self.plan, lambda done: progress(len(own) + done))
        writer.finish_groups()

    def _name_targets(self) -> None:
        """Every target that plans may need, so that all have an id before the first row is written."""
        book = self.drivers.book
        book.number(Target(reason=NOTHING_TO_FOLLOW))
        for group in self.groups:
            bucket = self._bucket(group)
            if bucket.method == TRACED:
                self.adoption.name(self._line(bucket, group))
            elif bucket.method != FOLLOW:
                self._own_plan(bucket, group)
        book.settle()

    def _bucket(self, group: Group) -> Bucket:
        bucket = self.by_number[group.bucket]
        if bucket is None:
            raise LookupError(f"no bucket {group.bucket}")
        return bucket

    def plan(self, bucket: Bucket, group: Group) -> Plan:
        if bucket.method == TRACED:
            line = self._line(bucket, group)
            plan = traced_plan(line, group.day, self.drivers.index, self.billed[_billed_key(bucket)])
            return replace(plan, parts=self.adoption.parts(line, plan.parts), quantity=_tokens(bucket, group))
        if bucket.method == FOLLOW:
            return self._follow_plan(bucket, group)
        return self._own_plan(bucket, group)

    # ------------------------------------------------------------ direct and none

    def _own_plan(self, bucket: Bucket, group: Group) -> Plan:
        name = (group.bucket, self.drivers.organisation.epoch(group.day))
        plan = self.plans.get(name)
        if plan is None:
            book = self.drivers.book
            if bucket.method == NONE:
                target = Target(model=bucket.model, reason=bucket.reason)
            else:
                target = resolve(self.drivers.organisation, bucket.owner, model=bucket.model, day=group.day)
            part = Part(1, bucket.kind or "direct", ((book.number(target), 1, bucket.owner.rung),))
            plan = self.plans[name] = Plan(parts=(part,))
        return plan

    # ------------------------------------------------------------ traced usage

    def _line(self, bucket: Bucket, group: Group) -> TracedLine:
        name = (group.bucket, self.drivers.organisation.epoch(group.day))
        line = self.lines.get(name)
        if line is None:
            if bucket.key is None:
                raise LookupError("a traced bucket needs a key")
            book = self.drivers.book
            owner = None
            if bucket.owner != Owner():
                target = resolve(self.drivers.organisation, bucket.owner, model=bucket.model, day=group.day)
                owner = book.number(target) if target.reason != NO_TEAM else None
            line = self.lines[name] = TracedLine(
                key=bucket.key,
                token_class=bucket.token_class,
                billed_classes=self.classes.get(bucket.key, frozenset()),
                policy=bucket.source.untraced,
                owner=owner,
                owner_rung=bucket.owner.rung,
                nobody=book.number(Target(model=bucket.model, reason=UNTRACED)),
            )
        return line

    def _billed_tokens(self) -> dict[tuple[Key | None, str | None], Billed]:
        """Tokens billed under each key and class: the denominator of coverage, over all buckets that share it."""
        days: dict[tuple[Key | None, str | None], dict[date, Fraction | None]] = {}
        for group in self.groups:
            bucket = self._bucket(group)
            if bucket.method != TRACED:
                continue
            by_day = days.setdefault(_billed_key(bucket), {})
            tokens, known = _tokens(bucket, group), by_day.get(group.day, ZERO)
            by_day[group.day] = known + tokens if known is not None and tokens is not None else None
        return {
            key: Billed(
                by_day, None if None in by_day.values() else sum((q for q in by_day.values() if q), Fraction(0))
            )
            for key, by_day in days.items()
        }

    # ------------------------------------------------------------ follow

    def _follow_plan(self, bucket: Bucket, group: Group) -> Plan:
        name = (group.bucket, 0)
        plan = self.plans.get(name)
        if plan is None:
            plan = self.plans[name] = self.related.plan(bucket, self.drivers.book)
        return plan


@dataclass
class Adoption:
    """Calls that name no team are the project owner's, where it has one: the trace says what, the key says who."""

    index: UsageIndex
    book: TargetBook
    adopted: dict[tuple[int, str], int] = field(default_factory=dict)  # (target without team, owner's team) -> target
    named: set[tuple[Key, str]] = field(default_factory=set)

    def name(self, line: TracedLine) -> None:
        """Make the targets that this line may need."""
        team = self._team(line)
        if team is None or (line.key, team) in self.named:
            return
        self.named.add((line.key, team))
        for usages in self.index.of_provider(line.key).values():
            for usage in usages:
                target = self.book.targets[usage.target]
                if target.reason == NO_TEAM and (usage.target, team) not in self.adopted:
                    number = self.book.number(target._replace(team=team, reason=None))
                    self.adopted[usage.target, team] = number

    def parts(self, line: TracedLine, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        team = self._team(line)
        if team is None or not self.adopted:
            return parts
        return tuple(replace(part, entries=self._entries(part.entries, team)) for part in parts)

    def _team(self, line: TracedLine) -> str | None:
        return self.book.targets[line.owner].team if line.owner is not None else None

    def _entries(self, entries: tuple[tuple[int, int, int], ...], team: str) -> tuple[tuple[int, int, int], ...]:
        if not any((target, team) in self.adopted for target, _, _ in entries):
            return entries
        merged: dict[int, tuple[int, int]] = {}
        for target, weight, rung in entries:
            owned = self.adopted.get((target, team))
            number = target if owned is None else owned
            before = merged.get(number, (0, 0))
            # The call is known by its trace; whose it is, only by the key.
            merged[number] = (before[0] + weight, max(before[1], rung if owned is None else 4))
        return tuple((number, *merged[number]) for number in sorted(merged, key=self.book.rank.__getitem__))


def _billed_key(bucket: Bucket) -> tuple[Key | None, str | None]:
    return (bucket.key, bucket.token_class)


def _tokens(bucket: Bucket, group: Group) -> Fraction | None:
    """Billed quantity in tokens: ConsumedQuantity where its unit converts, else PricingQuantity."""
    consumed = tokens_of(group.consumed, bucket.consumed_factor)
    return consumed if consumed is not None else tokens_of(group.pricing, bucket.pricing_factor)


LEVELS = ("source", "provider", "sub-account", "service")
RELATED_SQL = """
-- One row per bucket and target of the run so far, over the month.
COPY (
    SELECT bucket, target_id, sum(effective_cost), sum(billed_cost), max(evidence)
    FROM allocated_cost WHERE billing_month = '{month}' AND run_id = {run}
    GROUP BY 1, 2
) TO STDOUT
"""


@dataclass
class Related:
    """What every target was given for each thing that taxes, credits and support may follow."""

    sums: dict[tuple[object, ...], dict[int, list[int]]]  # level -> target -> effective, billed, rung
    places: int

    @classmethod
    def read(cls, *, run_id: int, month: date, buckets: Sequence[Bucket | None], book: TargetBook) -> Related:
        """Sums by level. Customers are left out: a tax line split to every customer helps nobody."""
        lines = [line.split("\t") for line in copy_lines(RELATED_SQL.format(month=month.isoformat(), run=int(run_id)))]
        places = max((places_of(text) for cells in lines for text in cells[2:4]), default=LEAST_PLACES)
        by_id = {pk: number for number, pk in enumerate(book.ids)}
        merged = [book.number(target._replace(customer=None)) for target in list(book.targets)]
        sums: dict[tuple[object, ...], dict[int, list[int]]] = {}
        for number, target_id, effective, billed, rung in lines:
            bucket = buckets[int(number)]
            if bucket is None:
                raise LookupError(f"no bucket {number}")
            target = merged[by_id[int(target_id)]]
            amounts = (quanta_of(effective, places), quanta_of(billed, places))
            for level in followed_keys(bucket):
                row = sums.setdefault(level, {}).setdefault(target, [0, 0, 0])
                row[0] += amounts[0]
                row[1] += amounts[1]
                row[2] = max(row[2], int(rung))
        return cls(sums, places)

    def plan(self, bucket: Bucket, book: TargetBook) -> Plan:
        """Shares by effective cost of the narrowest related charges; by billed cost where none is above zero."""
        levels = followed_keys(bucket)
        for number, level in enumerate(levels):
            rows = self.sums.get(level, {})
            for column, driver in ((0, "effective cost"), (1, "billed cost")):
                entries = tuple(
                    (target, rows[target][column], rows[target][2])
                    for target in sorted(rows, key=book.rank.__getitem__)
                    if rows[target][column] > 0
                )
                if entries:
                    return Plan(
                        parts=(Part(1, bucket.kind or "shared", entries),),
                        driver=f"{driver} of related charges",
                        driver_total=sum(weight for _, weight, _ in entries),
                        places=self.places,
                        widened=LEVELS[len(level) - 1] if number else None,
                    )
        part = Part(1, "unallocated", ((book.numbers[Target(reason=NOTHING_TO_FOLLOW)], 1, 6),))
        return Plan(parts=(part,), note=NOTHING_TO_FOLLOW)
