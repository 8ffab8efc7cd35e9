"""Allocation runs: one billing month, every currency, from pinned inputs to a published, balanced, hashed ledger.

Readers follow AllocationRun.is_current. All rows of a run are written under an unpublished run; one short transaction
checks the balance and moves the pointer, so that an interrupted run is never seen and costs nothing but a clean-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import connection, transaction

from allocation.buckets import Bucket, MemberKey, SourceSettings, bucket_of, numbered, with_follower_scopes
from allocation.catalogue_entries import own_catalogue
from allocation.charges import SourceTotal, dimension_rows, pinned_scopes, read_groups, source_totals, whole_month_plans
from allocation.engine import Engine
from allocation.inputs import Drivers, load_drivers
from allocation.ledger import LedgerWriter, TargetBook
from allocation.models import (
    AllocationRun,
    ChargeBucket,
    PriceVersion,
    RuleSet,
    RunSource,
    RunStatus,
    Source,
)
from allocation.money import exact_sum
from allocation.periods import Period
from allocation.rollup import roll_up
from allocation.rule_sets import rule_set_for
from allocation.rules import CALLER, parse_rules
from allocation.sampling import record_sampling
from allocation.targets import OUTSIDE_SCOPE, load_organisation
from allocation.usage_daily import write_usage_daily

ENGINE_VERSION = "3"  # grows with every change that can move a cost: part of what makes a run reproducible
KEPT_RUNS = 3  # per month and currency: the current one and its predecessors keep their rows
METRICS = ("billed_cost", "effective_cost")

Progress = Callable[[int, int, str], None]


class AllocationError(Exception):
    """An allocation cannot be carried out; nothing readers see has changed."""


class AllocationBusy(AllocationError):
    """Another allocation of the same month is under way."""


class NotBalanced(AllocationError):
    """Shares do not add up to the charges: a fault of this program, so the run is not published."""


@dataclass(frozen=True)
class RunOutcome:
    run: int
    currency: str
    rule_set: int
    rows: int
    sha256: str
    reused: bool  # nothing it depends on has changed since


@dataclass(frozen=True)
class AllocationOutcome:
    """One run per currency of the month, by currency; none where no bill has a charge in it."""

    period: Period
    runs: tuple[RunOutcome, ...]


def _no_progress(_done: int, _total: int, _note: str) -> None:
    pass


def _no_guard() -> None:
    pass


def allocate_period(
    *,
    period: Period,
    now: datetime,
    rule_set: RuleSet | None = None,
    progress: Progress | None = None,
    guard: Callable[[], None] = _no_guard,
    reuse: bool = True,
) -> AllocationOutcome:
    """Allocate the charges billed in one month and publish the result; `guard` is called in the publishing transaction.

    `reuse` keeps the current run where nothing it depends on has changed. Raises AllocationBusy or RuleError;
    NotBalanced, which leaves the former run current, is a fault of the program.
    """
    month = Period.month(period.start).start
    report = progress or _no_progress
    rule_set = rule_set or rule_set_for(month)
    with only_one(month):
        scopes = pinned_scopes(month)
        if not scopes:
            outcome = AllocationOutcome(period, ())
            retire_runs(month, set(), guard)
            return outcome
        report(0, 100, "reading charges")
        job = MonthJob(month=month, scopes=scopes, rule_set=rule_set, now=now, report=report, guard=guard, reuse=reuse)
        runs = job.carry_out()
        retire_runs(month, {run.currency for run in runs}, guard)
        forget_old_runs(month)
        report(100, 100, "published")
        return AllocationOutcome(period, tuple(runs))


@contextmanager
def only_one(month: date) -> Iterator[None]:
    """Held by one session at a time for each month; a session that dies gives it up."""
    key = [0x41505052, month.year * 12 + month.month]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
        if not cursor.fetchone()[0]:
            raise AllocationBusy(f"an allocation of {month:%Y-%m} is already running; wait for it to end")
    try:
        yield
    finally:
        if not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)


# ---------------------------------------------------------------- one month


@dataclass
class MonthJob:
    """The runs of one month, one for each currency, over pinned inputs."""

    month: date
    scopes: list[int]
    rule_set: RuleSet
    now: datetime
    report: Progress
    guard: Callable[[], None]
    reuse: bool

    def carry_out(self) -> list[RunOutcome]:
        rules = parse_rules(self.rule_set.text)
        catalogue = own_catalogue()
        totals = source_totals(month=self.month, scopes=self.scopes)
        sources = {s.pk: SourceSettings(s.pk, s.name, s.project_match, s.untraced) for s in Source.objects.all()}
        members = with_follower_scopes(
            {
                MemberKey(row.source_id, row.dimension_id, row.variant): bucket_of(
                    row, source=sources[row.source_id], rules=rules, month=self.month, entries=catalogue.entries
                )
                for row in dimension_rows(month=self.month, scopes=self.scopes, tests=rules.row_tests)
            }
        )
        book = TargetBook()
        self.report(10, 100, "reading traces")
        drivers = load_drivers(
            month=self.month,
            scopes=self.scopes,
            buckets=set(members.values()),
            organisation=load_organisation(),
            book=book,
            caller_pays=rules.agents == CALLER,
            entries=catalogue.entries,
        )
        outcomes = []
        for currency in sorted({total.currency for total in totals}):
            own = {member: bucket for member, bucket in members.items() if bucket.currency == currency}
            own_totals = [total for total in totals if total.currency == currency]
            inputs = self._inputs(currency, own_totals, drivers) | {
                "catalogue": catalogue.sha256,
                "agents": rules.agents,
            }
            outcomes.append(self._known(currency, inputs) or self._run(currency, own, own_totals, drivers, inputs))
        return outcomes

    def _inputs(self, currency: str, totals: list[SourceTotal], drivers: Drivers) -> dict[str, Any]:
        """Everything the result depends on, by name; equal inputs give equal bytes."""
        price_version = PriceVersion.objects.order_by("-id").values_list("id", flat=True).first()
        return {
            "scopes": self.scopes,
            "sources": {
                str(s.pk): [s.name, s.project_match, s.untraced]
                for s in Source.objects.filter(pk__in=[total.source_id for total in totals])
            },
            "rule_set": self.rule_set.number,
            "rules_sha256": self.rule_set.content_sha256,
            "usage_sha256": drivers.usage_sha256,
            "drivers_sha256": drivers.other_sha256,
            "drivers_look": drivers.look.to_json(),
            "organisation_sha256": drivers.organisation_sha256,
            "price_version": price_version,
            "engine": ENGINE_VERSION,
        }

    def _known(self, currency: str, inputs: dict[str, Any]) -> RunOutcome | None:
        if not self.reuse:
            return None
        run = AllocationRun.objects.filter(billing_month=self.month, currency=currency, is_current=True).first()
        if run is None or run.inputs != inputs or run.sha256 is None:
            return None
        return RunOutcome(run.pk, currency, self.rule_set.number, run.rows, run.sha256, reused=True)

    def _run(
        self,
        currency: str,
        members: dict[MemberKey, Bucket],
        totals: list[SourceTotal],
        drivers: Drivers,
        inputs: dict[str, Any],
    ) -> RunOutcome:
        run = AllocationRun.objects.create(
            billing_month=self.month, currency=currency, rule_set=self.rule_set, inputs=inputs, started_at=self.now
        )
        try:
            writer = self._write(run, members, drivers)
            self.report(85, 100, f"rolling up {currency}")
            roll_up(run, drivers.book.ids)
            write_usage_daily(run.pk, drivers.daily)
            record_sampling(run.pk, drivers.clustering)
            run.rows = writer.rows
            run.sha256 = writer.hash.hexdigest()
            self.report(95, 100, f"checking {currency}")
            self._publish(run, totals)
        except BaseException as error:
            if not connection.needs_rollback:
                AllocationRun.objects.filter(pk=run.pk).update(
                    status=RunStatus.FAILED, detail=f"{type(error).__name__}: {error}"[:2000]
                )
                delete_rows([run.pk], self.month)
            raise
        return RunOutcome(run.pk, currency, self.rule_set.number, run.rows, run.sha256, reused=False)

    def _write(self, run: AllocationRun, members: dict[MemberKey, Bucket], drivers: Drivers) -> LedgerWriter:
        numbers = numbered(members.values())
        write_buckets(run, numbers, members)
        self.report(20, 100, f"summing charges in {run.currency}")
        tests = parse_rules(run.rule_set.text).row_tests
        groups = read_groups(run_id=run.pk, month=self.month, scopes=self.scopes, tests=tests)
        with connection.cursor() as cursor:
            cursor.execute("SELECT ensure_allocated_cost_partition(%s)", [self.month])
        writer = LedgerWriter(run_id=run.pk, month=self.month, book=drivers.book)
        engine = Engine(month=self.month, run_id=run.pk, numbers=numbers, groups=groups, drivers=drivers)
        total = len(groups)
        engine.carry_out(
            writer, lambda done: self.report(30 + 50 * done // max(total, 1), 100, f"splitting {run.currency}")
        )
        return writer

    def _publish(self, run: AllocationRun, totals: list[SourceTotal]) -> None:
        with transaction.atomic():
            record_balances(run, totals)
            self.guard()
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [0x41505051, run.billing_month.toordinal()])
            AllocationRun.objects.filter(
                billing_month=run.billing_month, currency=run.currency, is_current=True
            ).update(is_current=False)
            run.status = RunStatus.SUCCEEDED
            run.is_current = True
            run.finished_at = self.now
            run.save(update_fields=["status", "is_current", "finished_at", "rows", "sha256"])


def write_buckets(run: AllocationRun, numbers: dict[Bucket, int], members: dict[MemberKey, Bucket]) -> None:
    """charge_bucket and bucket_member of the run."""
    ChargeBucket.objects.bulk_create(
        [
            ChargeBucket(
                run=run,
                bucket=number,
                source_id=bucket.source.id,
                rule=bucket.rule,
                method=bucket.method,
                ai_scope=bucket.ai_scope,
                provider_name=bucket.provider_name,
                service_name=bucket.service_name,
                charge_category=bucket.charge_category,
                split_key=bucket.split_key,
            )
            for bucket, number in numbers.items()
        ],
        batch_size=2000,
    )
    with connection.cursor() as cursor, cursor.copy(MEMBER_COPY) as copy:
        lines = [
            f"{run.pk}\t{source}\t{dimension}\t{variant}\t{numbers[bucket]}\n"
            for (source, dimension, variant), bucket in sorted(members.items(), key=lambda member: member[0])
        ]
        for first in range(0, len(lines), 20_000):
            copy.write("".join(lines[first : first + 20_000]))


MEMBER_COPY = "COPY bucket_member (run_id, source_id, dimension_id, variant, bucket) FROM STDIN"


BALANCE_SQL = """
-- One row per source: what was allocated and what was not, from the ledger's own rows.
SELECT b.source_id,
    coalesce(sum(a.billed_cost) FILTER (WHERE a.charge_kind <> 'unallocated'), 0),
    coalesce(sum(a.billed_cost) FILTER (WHERE a.charge_kind = 'unallocated'), 0),
    coalesce(sum(a.effective_cost) FILTER (WHERE a.charge_kind <> 'unallocated'), 0),
    coalesce(sum(a.effective_cost) FILTER (WHERE a.charge_kind = 'unallocated'), 0),
    coalesce(sum(a.billed_cost) FILTER (WHERE b.ai_scope = 'other' OR t.reason = %(outside)s), 0),
    coalesce(sum(a.effective_cost) FILTER (WHERE b.ai_scope = 'other' OR t.reason = %(outside)s), 0)
FROM allocated_cost a
JOIN charge_bucket b ON b.run_id = a.run_id AND b.bucket = a.bucket
JOIN allocation_target t ON t.id = a.target_id
WHERE a.billing_month = %(month)s AND a.run_id = %(run)s
GROUP BY 1
"""
ROLLED_UP_SQL = """
SELECT source_id, sum(billed_cost), sum(effective_cost) FROM cost_daily WHERE run_id = %(run)s GROUP BY 1
"""


def record_balances(run: AllocationRun, totals: list[SourceTotal]) -> None:
    """Write run_source, whose CHECK refuses a difference; raises NotBalanced naming source and amounts."""
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute(BALANCE_SQL, {"run": run.pk, "month": run.billing_month, "outside": OUTSIDE_SCOPE})
        found = {row[0]: row[1:] for row in cursor.fetchall()}
        cursor.execute(ROLLED_UP_SQL, {"run": run.pk})
        rolled_up = {row[0]: row[1:] for row in cursor.fetchall()}
    rows = []
    for total in totals:
        shares = found.pop(total.source_id, (0, 0, 0, 0, 0, 0))
        for n, (metric, charges) in enumerate(zip(METRICS, (total.billed_cost, total.effective_cost), strict=True)):
            allocated, unallocated, other = shares[2 * n], shares[2 * n + 1], shares[4 + n]
            rolled = rolled_up.get(total.source_id, (0, 0))[n]
            if exact_sum((allocated, unallocated)) != charges or rolled != charges:
                raise NotBalanced(
                    f"source {total.source_id}, {run.currency} {metric}: charges {charges}, allocated {allocated}, "
                    f"unallocated {unallocated}, rolled up {rolled}"
                )
            rows.append(
                RunSource(
                    run=run,
                    source_id=total.source_id,
                    metric=metric,
                    charges=charges,
                    allocated=allocated,
                    unallocated=unallocated,
                    other=other,
                )
            )
    if found:
        raise NotBalanced(f"shares without charges in sources {sorted(found)}")
    RunSource.objects.bulk_create(rows)


# ---------------------------------------------------------------- old runs


def retire_runs(month: date, currencies: set[str], guard: Callable[[], None]) -> None:
    """Runs of currencies that the month's bills no longer have stop being current."""
    stale = AllocationRun.objects.filter(billing_month=month, is_current=True).exclude(currency__in=currencies)
    if stale.exists():
        with transaction.atomic():
            guard()
            stale.update(is_current=False)


def forget_old_runs(month: date) -> None:
    """Delete the rows, not the record, of runs superseded more than twice and of runs that died."""
    AllocationRun.objects.filter(billing_month=month, status=RunStatus.RUNNING).update(
        status=RunStatus.FAILED, detail="interrupted"
    )
    keep: dict[str, int] = {}
    forgotten = []
    runs = AllocationRun.objects.filter(billing_month=month).order_by("-is_current", "-id")
    for run in runs:
        if run.status == RunStatus.SUCCEEDED and keep.setdefault(run.currency, 0) < KEPT_RUNS:
            keep[run.currency] += 1
        else:
            forgotten.append(run.pk)
    if forgotten:
        delete_rows(forgotten, month)


def delete_rows(runs: list[int], month: date) -> None:
    with connection.cursor() as cursor:
        for table in ("cost_daily", "usage_daily", "charge_group", "bucket_member", "charge_bucket"):
            cursor.execute(f"DELETE FROM {table} WHERE run_id = ANY(%s)", [runs])  # noqa: S608 - constants
        cursor.execute("DELETE FROM allocated_cost WHERE billing_month = %s AND run_id = ANY(%s)", [month, runs])
