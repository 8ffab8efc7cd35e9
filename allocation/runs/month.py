"""Allocation runs: one billing month, every currency, from pinned inputs to a published, balanced,
hashed ledger.

Readers follow AllocationRun.is_current. All rows of a run are written under an unpublished run; one
short transaction checks the balance and moves the pointer, so that an interrupted run is never seen
and costs nothing but a clean-up.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from allocation.catalogue.entries import Entries
from allocation.catalogue.own_entries import own_catalogue
from allocation.charges.groups import SourceTotal, pinned_scopes, read_groups, source_totals
from allocation.charges.split_key_map import Members, Namer, all_members
from allocation.charges.split_keys import SourceSettings
from allocation.ledger.slices import SliceStore, balance_slices, forget_slices, run_balances
from allocation.ledger.usage_slices import write_usage_daily
from allocation.ledger.writer import LedgerWriter
from allocation.models import (
    AllocationRun,
    PriceVersion,
    RuleSet,
    RunSource,
    RunStatus,
    Source,
)
from allocation.organisation.target_book import TargetBook
from allocation.organisation.targets import Organisation, load_organisation
from allocation.plans.planner import Engine
from allocation.rules.rule_sets import rule_set_for
from allocation.rules.rules import CALLER, Rules, parse_rules
from allocation.runs.inputs import Drivers, load_drivers
from allocation.runs.late import LateChanges, basis_of, late_changes
from allocation.usage.index import AllReportsNeeded, WholeMonthNeeded
from allocation.usage.sampling import record_sampling
from allocation.values.errors import AllocationBusy, NotBalanced
from allocation.values.money import exact_sum
from allocation.values.periods import Period
from allocation.values.stages import BY_DAY, USAGE

ENGINE_VERSION = (
    "6"  # grows with every change that can move a cost: part of what makes a run reproducible
)
logger = logging.getLogger(__name__)

KEPT_RUNS = 3  # per month and currency: the current one and its predecessors keep their rows
METRICS = ("billed_cost", "effective_cost")

Progress = Callable[[int, int, str], None]


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
    """Allocate the charges billed in one month and publish the result; `guard` is called in the
    publishing transaction.

    `reuse` keeps the current run where nothing it depends on has changed. Raises AllocationBusy or
    RuleError; NotBalanced, which leaves the former run current, is a fault of the program.
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
        job = MonthJob(
            month=month,
            scopes=scopes,
            rule_set=rule_set,
            now=now,
            report=report,
            guard=guard,
            reuse=reuse,
        )
        runs = job.carry_out()
        retire_runs(month, {run.currency for run in runs}, guard)
        report(100, 100, "published")
        forget_old_runs(month)
        return AllocationOutcome(period, tuple(runs))


@contextmanager
def only_one(month: date) -> Iterator[None]:
    """Held by one session at a time for each month; a session that dies gives it up."""
    key = [0x41505052, month.year * 12 + month.month]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
        if not cursor.fetchone()[0]:
            raise AllocationBusy(
                f"an allocation of {month:%Y-%m} is already running; wait for it to end"
            )
    try:
        yield
    finally:
        if not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Runs hold millions of plain values, hardly any in circles; the collector would walk them over
    and over.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


# ---------------------------------------------------------------- one month


@dataclass(frozen=True)
class MonthWorld:
    """What a month's runs depend on besides usage and drivers. `inputs` say it by currency and
    name.
    """

    rules: Rules
    entries: Entries
    organisation: Organisation
    totals: list[SourceTotal]
    namer: Namer
    inputs: dict[str, dict[str, Any]]


@dataclass
class MonthJob:
    """The runs of one month, one for each currency, over pinned inputs. `made` are the ids of all
    that were begun.
    """

    month: date
    scopes: list[int]
    rule_set: RuleSet
    now: datetime
    report: Progress
    guard: Callable[[], None]
    reuse: bool
    made: list[int] = field(default_factory=list)

    def carry_out(self) -> list[RunOutcome]:
        """Reads only what changed since the current runs where that is enough."""
        with collector_paused():
            return self._carry_out()

    def _carry_out(self) -> list[RunOutcome]:
        world = self._world()
        late = (
            late_changes(month=self.month, scopes=self.scopes, inputs=world.inputs)
            if self.reuse
            else None
        )
        if late is not None:
            try:
                return self._allocate_late(world, late)
            except WholeMonthNeeded as reason:
                logger.info("%s is read whole: %s", self.month.strftime("%Y-%m"), reason)
        return self._allocate(world, all_members(world.namer, scopes=self.scopes), None)

    def _allocate_late(self, world: MonthWorld, late: LateChanges) -> list[RunOutcome]:
        members = late.members(world.namer, scopes=self.scopes)
        try:
            return self._allocate(world, members, late)
        except AllReportsNeeded as reason:
            logger.info("%s needs all reports: %s", self.month.strftime("%Y-%m"), reason)
            return self._allocate(world, members, late.with_all_reports())

    def _world(self) -> MonthWorld:
        rules = parse_rules(self.rule_set.text)
        catalogue = own_catalogue()
        organisation = load_organisation()
        totals = source_totals(month=self.month, scopes=self.scopes)
        sources = {
            s.pk: SourceSettings(s.pk, s.name, s.project_match, s.untraced)
            for s in Source.objects.all()
        }
        price_version = PriceVersion.objects.order_by("-id").values_list("id", flat=True).first()
        inputs = {
            currency: {
                "scopes": self.scopes,
                "sources": {
                    str(total.source_id): list(sources[total.source_id][1:])
                    for total in totals
                    if total.currency == currency
                },
                "rule_set": self.rule_set.number,
                "rules_sha256": self.rule_set.content_sha256,
                "organisation_sha256": organisation.digest(),
                "price_version": price_version,
                "engine": ENGINE_VERSION,
                "catalogue": catalogue.sha256,
                "agents": rules.agents,
            }
            for currency in sorted({total.currency for total in totals})
        }
        namer = Namer(self.month, rules, catalogue.entries, sources)
        return MonthWorld(rules, catalogue.entries, organisation, totals, namer, inputs)

    def _allocate(
        self, world: MonthWorld, members: Members, late: LateChanges | None
    ) -> list[RunOutcome]:
        self.report(10, 100, late.reason(self.month) if late else "reading traces")
        drivers = load_drivers(
            month=self.month,
            scopes=self.scopes,
            buckets=members.buckets,
            organisation=world.organisation,
            book=TargetBook(),
            caller_pays=world.rules.agents == CALLER,
            entries=world.entries,
            late=late.usage if late else None,
        )
        if late:
            late.check(drivers, members)
        outcomes: list[RunOutcome] = []
        for currency, known in world.inputs.items():
            if outcomes:
                gc.collect(
                    0
                )  # the last currency's engine is a circle, and holds all of its charge groups
            inputs = known | {
                "usage_sha256": drivers.usage_sha256,
                "drivers_sha256": drivers.other_sha256,
                "drivers_look": drivers.look.to_json(),
            }
            outcomes.append(
                self._known(currency, inputs)
                or self._run(currency, world, members, drivers, inputs, late)
            )
        return outcomes

    def _known(self, currency: str, inputs: dict[str, Any]) -> RunOutcome | None:
        if not self.reuse:
            return None
        run = AllocationRun.objects.filter(
            billing_month=self.month, currency=currency, is_current=True
        ).first()
        if run is None or run.inputs != inputs or run.sha256 is None:
            return None
        return RunOutcome(run.pk, currency, self.rule_set.number, run.rows, run.sha256, reused=True)

    def _run(
        self,
        currency: str,
        world: MonthWorld,
        members: Members,
        drivers: Drivers,
        inputs: dict[str, Any],
        late: LateChanges | None,
    ) -> RunOutcome:
        run = AllocationRun.objects.create(
            billing_month=self.month,
            currency=currency,
            rule_set=self.rule_set,
            inputs=inputs,
            started_at=self.now,
        )
        self.made.append(run.pk)
        try:
            slices = SliceStore.of(run, reuse=self.reuse)
            engine = self._split(run, members, drivers, slices, late)
            write_usage_daily(slices, drivers.daily, is_shared=drivers.clustering is None)
            record_sampling(run.pk, drivers.clustering)
            run.basis = basis_of(drivers, members.lines, engine, late, currency)
            run.rows = slices.rows
            run.sha256 = slices.sha256()
            self.report(95, 100, f"checking {currency}")
            balance_slices(self.month, slices.written)
            self._publish(run, [total for total in world.totals if total.currency == currency])
        except WholeMonthNeeded:
            delete_rows([run.pk], self.month)
            run.delete()
            raise
        except BaseException as error:
            if not connection.needs_rollback:
                AllocationRun.objects.filter(pk=run.pk).update(
                    status=RunStatus.FAILED, detail=f"{type(error).__name__}: {error}"[:2000]
                )
                delete_rows([run.pk], self.month)
            raise
        return RunOutcome(
            run.pk, currency, self.rule_set.number, run.rows, run.sha256, reused=False
        )

    def _split(
        self,
        run: AllocationRun,
        members: Members,
        drivers: Drivers,
        slices: SliceStore,
        late: LateChanges | None,
    ) -> Engine:
        """Fill the run's slices of shares."""
        numbers = members.put(run, late.former[run.currency] if late else None)
        self.report(20, 100, f"summing charges in {run.currency}")
        groups = read_groups(
            run_id=run.pk, month=self.month, extent=members.extent, variant=members.variant
        )
        with connection.cursor() as cursor:
            cursor.execute("SELECT ensure_slice_share_partition(%s)", [self.month])
        late_days = None
        if late:
            former = late.former[run.currency].pk
            groups = late.with_kept(groups, former)
            slices.carry_over(former, parts=(BY_DAY, USAGE), but=late.days)
            staying = late.staying_parts(members, drivers)
            slices.carry_over(former, parts=staying, but=())
            late_days = late.scope(run.currency, numbers, staying)
        engine = Engine(
            month=self.month,
            run_id=run.pk,
            numbers=numbers,
            groups=groups,
            drivers=drivers,
            late=late_days,
        )
        total = max(len(groups), 1)
        engine.carry_out(
            LedgerWriter(book=drivers.book, slices=slices),
            lambda done: self.report(30 + 60 * done // total, 100, f"splitting {run.currency}"),
        )
        return engine

    def _publish(self, run: AllocationRun, totals: list[SourceTotal]) -> None:
        with transaction.atomic():
            record_balances(run, totals)
            self.guard()
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_advisory_xact_lock(%s, %s)",
                    [0x41505051, run.billing_month.toordinal()],
                )
            AllocationRun.objects.filter(
                billing_month=run.billing_month, currency=run.currency, is_current=True
            ).update(is_current=False, basis={})  # only what is current is built upon
            run.status = RunStatus.SUCCEEDED
            run.is_current = True
            run.finished_at = self.now
            run.save(
                update_fields=["status", "is_current", "finished_at", "rows", "sha256", "basis"]
            )


def record_balances(run: AllocationRun, totals: list[SourceTotal]) -> None:
    """Write run_source, whose CHECK refuses a difference; raises NotBalanced naming source and
    amounts.
    """
    found = run_balances(run.pk)
    rows = []
    for total in totals:
        shares = found.pop(total.source_id, (Decimal(0),) * 6)
        for n, (metric, charges) in enumerate(
            zip(METRICS, (total.billed_cost, total.effective_cost), strict=True)
        ):
            allocated, unallocated, other = shares[3 * n : 3 * n + 3]
            if exact_sum((allocated, unallocated)) != charges:
                raise NotBalanced(
                    f"source {total.source_id}, {run.currency} {metric}: charges {charges}, allocated {allocated}, "
                    f"unallocated {unallocated}"
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
    stale = AllocationRun.objects.filter(billing_month=month, is_current=True).exclude(
        currency__in=currencies
    )
    if stale.exists():
        with transaction.atomic():
            guard()
            stale.update(is_current=False, basis={})


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
    with connection.cursor() as cursor:
        built_upon = runs.filter(is_current=True).values_list("pk", flat=True)
        cursor.execute(NO_MORE_BUILT_UPON, {"month": month, "runs": list(built_upon)})
    if forgotten:
        delete_rows(forgotten, month)


NO_MORE_BUILT_UPON = """
DELETE FROM run_given
WHERE run_id IN (SELECT id FROM allocation_allocationrun WHERE billing_month = %(month)s)
    AND run_id <> ALL(%(runs)s)
"""


def delete_rows(runs: list[int], month: date) -> None:
    """Take these runs' rows away; slices that other runs have stay."""
    with connection.cursor() as cursor:
        for table in ("run_slice", "run_bucket", "bucket_member", "run_given"):
            cursor.execute(f"DELETE FROM {table} WHERE run_id = ANY(%s)", [runs])  # noqa: S608 - constants
    forget_slices(month)
