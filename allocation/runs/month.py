"""Allocation runs: one billing month, every currency, from pinned inputs to a published, balanced,
hashed ledger.

Readers follow AllocationRun.is_current. All rows of a run are written under an unpublished run; one
short transaction checks the balance and moves the pointer, so that an interrupted run is never seen
and costs nothing but a clean-up.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.db.models import Max

from allocation.catalogue.own_entries import OwnCatalogue, own_catalogue
from allocation.catalogue.vocabulary import vocabulary_sha256
from allocation.charges.groups import (
    SourceTotal,
    charge_days,
    day_sums,
    pinned_scopes,
    read_groups,
    source_totals,
)
from allocation.charges.split_key_map import SplitKeyMap, billed_of_models, read_map
from allocation.charges.split_keys import SourceSettings
from allocation.ledger.slices import (
    AllocationError,
    NotBalanced,
    SliceStore,
    balance_slices,
    forget_slices,
    run_balances,
)
from allocation.models import (
    AllocationRun,
    PriceVersion,
    RuleSet,
    RunSource,
    RunStatus,
    Source,
)
from allocation.organisation.stored import load_organisation
from allocation.plans.planner import Planner
from allocation.rules.row_tests import month_variant_sql
from allocation.rules.rule_sets import rule_set_for
from allocation.rules.rules import CALLER, parse_rules
from allocation.runs.inputs import MonthDrivers, month_drivers
from allocation.runs.splitting import split_groups, write_usage
from allocation.usage.keys import digest_of
from allocation.usage.month_usage import called_names
from allocation.usage.sampling import record_sampling
from allocation.values.money import exact_sum
from allocation.values.periods import Period

# Grows with every change that can move a cost: part of what makes a run reproducible.
ENGINE_VERSION = "12"

KEPT_RUNS = 3  # per month and currency: the current one and its predecessors keep their rows
# Of what a month's runs have in common, what every slice depends on.
FINGERPRINTED = ("organisation_sha256", "engine", "catalogue", "vocabulary")
METRICS = ("billed_cost", "effective_cost")

Progress = Callable[[int, int, str], None]


class AllocationBusy(AllocationError):
    """Another allocation of the same month is under way."""


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
class MonthInputs:
    """What a month's runs have in common. `known` says by currency and name what they depend on."""

    split_keys: SplitKeyMap
    totals: list[SourceTotal]
    sums: str  # the table of the charges' day sums
    month: MonthDrivers
    known: dict[str, dict[str, Any]]


@dataclass
class MonthJob:
    """The runs of one month, one for each currency, over pinned inputs.

    `made` are the ids of all that were begun.
    """

    month: date
    scopes: list[int]
    rule_set: RuleSet
    now: datetime
    report: Progress
    guard: Callable[[], None]
    reuse: bool
    made: list[int] = field(default_factory=list)
    catalogue: OwnCatalogue | None = None  # None: the one in force

    def carry_out(self) -> list[RunOutcome]:
        with collector_paused(), self.read() as inputs:
            return [self._run(currency, inputs) for currency in inputs.known]

    def _run(self, currency: str, inputs: MonthInputs) -> RunOutcome:
        known = inputs.known[currency]
        unchanged = self._unchanged(currency, known)
        if unchanged is not None:
            return unchanged
        run = AllocationRun.objects.create(
            billing_month=self.month,
            currency=currency,
            rule_set=self.rule_set,
            inputs=known,
            started_at=self.now,
        )
        self.made.append(run.pk)
        try:
            slices = self.split(run, inputs)
            self.check(run, slices)
            self.publish(run, inputs)
        except BaseException as error:
            if not connection.needs_rollback:
                AllocationRun.objects.filter(pk=run.pk).update(
                    status=RunStatus.FAILED, detail=f"{type(error).__name__}: {error}"[:2000]
                )
                delete_rows([run.pk], self.month)
            raise
        return self._outcome(run, reused=False)

    def _unchanged(self, currency: str, known: dict[str, Any]) -> RunOutcome | None:
        """The current run, where nothing that it depends on has changed."""
        if not self.reuse:
            return None
        run = AllocationRun.objects.filter(
            billing_month=self.month, currency=currency, is_current=True
        ).first()
        if run is None or run.inputs != known or run.sha256 is None:
            return None
        return self._outcome(run, reused=True)

    def _outcome(self, run: AllocationRun, *, reused: bool) -> RunOutcome:
        number, sha256 = self.rule_set.number, run.sha256 or ""
        return RunOutcome(run.pk, run.currency, number, run.rows, sha256, reused=reused)

    # ------------------------------------------------------------ read, split, check, publish

    @contextmanager
    def read(self) -> Iterator[MonthInputs]:
        """What the month's runs depend on, to be asked inside the block."""
        rules = parse_rules(self.rule_set.text)
        catalogue = self.catalogue or own_catalogue()
        organisation = load_organisation()
        totals = source_totals(month=self.month, scopes=self.scopes)
        sources = {
            s.pk: SourceSettings(s.pk, s.name, s.project_match, s.untraced)
            for s in Source.objects.all()
        }
        called = called_names(*charge_days(month=self.month, scopes=self.scopes))
        tests = rules.row_tests
        variant = month_variant_sql(tests, month=self.month, scopes=self.scopes) if tests else None
        common = {
            "scopes": self.scopes,
            "rule_set": self.rule_set.number,
            "rules_sha256": self.rule_set.content_sha256,
            "organisation_sha256": organisation.digest(),
            "price_version": PriceVersion.objects.aggregate(Max("id"))["id__max"],
            "engine": ENGINE_VERSION,
            "catalogue": catalogue.sha256,
            "vocabulary": vocabulary_sha256(),
            "called_sha256": called.sha256,
            "agents": rules.agents,
        }
        fingerprint = [common[name] for name in FINGERPRINTED]
        with day_sums(month=self.month, scopes=self.scopes, variant=variant) as sums:
            split_keys = read_map(
                month=self.month,
                scopes=self.scopes,
                sums=sums,
                rules=rules,
                entries=catalogue.entries,
                called=called,
                sources=sources,
            )
            self.report(10, 100, "reading traces")
            with month_drivers(
                month=self.month,
                scopes=self.scopes,
                split_keys=split_keys.split_keys,
                organisation=organisation,
                caller_pays=rules.agents == CALLER,
                entries=catalogue.entries,
                settings=digest_of([*fingerprint, rules.agents]),
                billed=partial(billed_of_models, split_keys, scopes=self.scopes, sums=sums),
            ) as drivers:
                common |= drivers.inputs
                known = {
                    currency: common | {"sources": _settings_of(currency, totals, sources)}
                    for currency in sorted({total.currency for total in totals})
                }
                yield MonthInputs(split_keys, totals, sums, drivers, known)

    def split(self, run: AllocationRun, inputs: MonthInputs) -> SliceStore:
        """Fill the run's slices of shares and of usage."""
        numbers = inputs.split_keys.put(run)
        self.report(20, 100, f"summing charges in {run.currency}")
        groups = read_groups(run_id=run.pk, scopes=self.scopes, sums=inputs.sums)
        with connection.cursor() as cursor:
            cursor.execute("SELECT ensure_slice_share_partition(%s)", [self.month])
        slices = SliceStore.of(run, reuse=self.reuse)
        total = max(len(groups), 1)
        split_groups(
            planner=Planner(numbers, groups, inputs.month.drivers),
            rows=inputs.month.rows,
            slices=slices,
            progress=lambda done: self.report(
                30 + 60 * done // total, 100, f"splitting {run.currency}"
            ),
        )
        write_usage(inputs.month, slices)
        record_sampling(run.pk, inputs.month.clustering)
        return slices

    def check(self, run: AllocationRun, slices: SliceStore) -> None:
        """Sum up what was written, in the database."""
        self.report(95, 100, f"checking {run.currency}")
        run.rows = slices.rows
        run.sha256 = slices.sha256()
        balance_slices(self.month, slices.written)

    def publish(self, run: AllocationRun, inputs: MonthInputs) -> None:
        """Make the run current, in one short transaction that checks its balance."""
        with transaction.atomic():
            record_balances(run, inputs.totals)
            self.guard()
            with connection.cursor() as cursor:
                key = [0x41505051, run.billing_month.toordinal()]
                cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", key)
            AllocationRun.objects.filter(
                billing_month=run.billing_month, currency=run.currency, is_current=True
            ).update(is_current=False)
            run.status = RunStatus.SUCCEEDED
            run.is_current = True
            run.finished_at = self.now
            run.save(update_fields=["status", "is_current", "finished_at", "rows", "sha256"])


def _settings_of(
    currency: str, totals: Iterable[SourceTotal], sources: Mapping[int, SourceSettings]
) -> dict[str, list[object]]:
    """Settings of the sources that bill in the currency, by their ids."""
    own = [total.source_id for total in totals if total.currency == currency]
    return {str(source): list(sources[source][1:]) for source in own}


def record_balances(run: AllocationRun, totals: Iterable[SourceTotal]) -> None:
    """Write run_source, whose CHECK refuses a difference; raises NotBalanced naming source and
    amounts. Of the totals, those in the run's currency.
    """
    found = run_balances(run.pk)
    rows = []
    for total in totals:
        if total.currency != run.currency:
            continue
        shares = found.pop(total.source_id, (Decimal(0),) * 6)
        for n, (metric, charges) in enumerate(
            zip(METRICS, (total.billed_cost, total.effective_cost), strict=True)
        ):
            allocated, unallocated, other = shares[3 * n : 3 * n + 3]
            if exact_sum((allocated, unallocated)) != charges:
                raise NotBalanced(
                    f"source {total.source_id}, {run.currency} {metric}: charges {charges}, "
                    f"allocated {allocated}, unallocated {unallocated}"
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
    """Take these runs' rows away; slices that other runs have stay."""
    with connection.cursor() as cursor:
        for table in ("run_slice", "run_split_key", "charge_to_split_key"):
            cursor.execute(f"DELETE FROM {table} WHERE run_id = ANY(%s)", [runs])  # noqa: S608 - constants
    forget_slices(month)
