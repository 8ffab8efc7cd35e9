"""What a draft of the rules, or of the organisation's catalogue, would change: who gains and who
loses, month by month, to the last digit.

A preview is recorded, carried out over unpublished runs, made by the real engine, balanced and
hashed, and kept for a day. The differences of a source in a currency add up to zero, since both
runs share out the same charges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection, transaction

from allocation.catalogue.own_entries import (
    OwnCatalogue,
    drafted,
    own_catalogue,
    read_catalogue,
)
from allocation.charges.groups import pinned_scopes
from allocation.models import AllocationRun, RulePreview, RuleSet
from allocation.preview.differences import Differences, plain_amounts
from allocation.preview.inputs import billed_months, seen_in
from allocation.preview.rule_test_data import check_draft, rule_reach, unmatched_charges
from allocation.rules.checks import Checked, Finding
from allocation.rules.rule_sets import latest_rule_set, rule_set_for
from allocation.rules.rules import RuleError
from allocation.runs.month import (
    MonthInputs,
    MonthJob,
    Progress,
    RunOutcome,
    delete_rows,
    only_one,
    record_balances,
)
from allocation.values.periods import Period

FRESH = timedelta(hours=24)
MOST_MONTHS = 12
UNMATCHED_KEPT = 200


@dataclass(frozen=True)
class RunPair:
    """One month and currency as the rules in force allocate it, and as the draft would, over the
    same charges.
    """

    month: date
    currency: str
    before: RunOutcome
    after: RunOutcome


class UnpublishedJob(MonthJob):
    """A MonthJob whose runs stay out of every reader's sight."""

    def publish(self, run: AllocationRun, inputs: MonthInputs) -> None:
        record_balances(run, inputs.totals)
        run.save(update_fields=["rows", "sha256"])


@contextmanager
def draft_runs(
    *,
    month: date,
    base: RuleSet,
    draft: RuleSet,
    now: datetime,
    progress: Progress,
    catalogue: OwnCatalogue | None = None,
) -> Iterator[list[RunPair]]:
    """Both outcomes of a month, readable inside the block and gone after it. Raises AllocationBusy.

    The run in force is the current one where it was made of these very inputs, else one made for
    the comparison: a bill that came since must not look like an effect of the draft.
    """
    with only_one(month):
        outcomes: list[RunOutcome] = []
        made: list[int] = []
        try:
            scopes = pinned_scopes(month)
            for rule_set in (base, draft) if scopes else ():
                job = UnpublishedJob(
                    month=month,
                    scopes=scopes,
                    rule_set=rule_set,
                    now=now,
                    report=progress,
                    guard=lambda: None,
                    reuse=True,
                    made=made,
                    catalogue=catalogue if rule_set is draft else None,
                )
                outcomes += job.carry_out()
            after = {run.currency: run for run in outcomes if run.rule_set == draft.number}
            before = [run for run in outcomes if run.rule_set != draft.number]
            yield [RunPair(month, run.currency, run, after[run.currency]) for run in before]
        finally:
            if not connection.needs_rollback:
                forget_drafts(made, draft, month)


def forget_drafts(runs: list[int], draft: RuleSet, month: date) -> None:
    """Delete these unpublished runs, and any that died under the draft, with their rows."""
    found = AllocationRun.objects.filter(billing_month=month, is_current=False)
    doomed = list(
        (found.filter(pk__in=runs) | found.filter(rule_set=draft)).values_list("pk", flat=True)
    )
    delete_rows(doomed, month)
    AllocationRun.objects.filter(pk__in=doomed).delete()


def preview_months(effective_from: date, through: date | None = None) -> list[date]:
    """Months with bills from the first one in force on; the latest month with bills where there is
    none yet.
    """
    billed = billed_months()
    months = [
        month
        for month in billed
        if month >= effective_from and (through is None or month <= through)
    ]
    return months[-MOST_MONTHS:] or billed[-1:]


def record_preview(
    *,
    text: str,
    effective_from: date,
    months: Sequence[date],
    created_by: str | None,
    now: datetime,
    catalogue: str | None = None,
) -> RulePreview:
    """A preview to be carried out. Raises RuleError with every error of the draft, and
    CatalogueError; those that expired are deleted.
    """
    if catalogue is not None:
        read_catalogue(catalogue)
    effective_from = effective_from.replace(day=1)
    checked = check_draft(
        text=text, effective_from=effective_from, month=months[-1] if months else effective_from
    )
    if checked.errors:
        raise RuleError([str(error) for error in checked.errors])
    forget_expired(now)
    return RulePreview.objects.create(
        text=text,
        content_sha256=hashlib.sha256(f"{text}{catalogue or ''}".encode()).hexdigest(),
        catalogue=catalogue,
        effective_from=effective_from,
        base_number=latest_rule_set().number,
        months=[f"{month:%Y-%m}" for month in months],
        created_by=created_by,
        created_at=now,
        expires_at=now + FRESH,
    )


def forget_expired(now: datetime) -> None:
    """Delete old previews, and drafts whose preview died on the way."""
    RulePreview.objects.filter(expires_at__lt=now).delete()
    known = [-pk for pk in RulePreview.objects.values_list("pk", flat=True)]
    for draft in RuleSet.drafts.exclude(number__in=known):
        for month in set(draft.allocationrun_set.values_list("billing_month", flat=True)):
            forget_drafts([], draft, month)
        draft.delete()


def _no_progress(_done: int, _total: int, _note: str) -> None:
    pass


def _no_guard() -> None:
    pass


def carry_out_preview(
    preview: RulePreview,
    *,
    now: datetime,
    progress: Progress = _no_progress,
    guard: Callable[[], None] = _no_guard,
) -> RulePreview:
    """The preview with its outcome; `guard` is called in the transaction that writes it. Harmless
    when called twice.

    Raises AllocationBusy.
    """
    months = [Period.parse(month).start for month in preview.months]
    draft, _ = RuleSet.drafts.update_or_create(
        number=-preview.pk,
        defaults={
            "text": preview.text,
            "content_sha256": preview.content_sha256,
            "effective_from": preview.effective_from,
            "created_by": preview.created_by,
        },
    )
    differences = Differences()
    runs: list[dict[str, Any]] = []
    seen: list[dict[str, Any]] = []
    billed, in_force = billed_months(), own_catalogue().sha256
    catalogue = None if preview.catalogue is None else drafted(preview.catalogue)
    for number, month in enumerate(months):

        def report(
            done: int, total: int, note: str, number: int = number, month: date = month
        ) -> None:
            progress(
                number * 100 + done * 100 // max(total, 1),
                len(months) * 100,
                f"{month:%Y-%m}: {note}",
            )

        with draft_runs(
            month=month,
            base=rule_set_for(month),
            draft=draft,
            now=now,
            progress=report,
            catalogue=catalogue,
        ) as pairs:
            for pair in pairs:
                differences.add(
                    f"{month:%Y-%m}", pair.currency, before=pair.before.run, after=pair.after.run
                )
                runs.append(_run_line(pair))
            seen.append(seen_in(month, [pair.after.run for pair in pairs], catalogue=in_force))
    draft.delete()
    preview.outcome = {
        "runs": runs,
        **differences.as_json(),
        "rules": _reach(preview, months) if catalogue is None else [],
        "seen": seen,
        "billed_months": [f"{month:%Y-%m}" for month in billed],
    }
    with transaction.atomic():
        guard()
        preview.save(update_fields=["outcome"])
    whole = max(len(months), 1) * 100
    progress(whole, whole, "compared")
    return preview


def _run_line(pair: RunPair) -> dict[str, Any]:
    """What the applied rules must come to, and what it was compared with."""
    return {
        "month": f"{pair.month:%Y-%m}",
        "currency": pair.currency,
        "rows": pair.after.rows,
        "sha256": pair.after.sha256,
        "base_rule_set": pair.before.rule_set,
        "base_sha256": pair.before.sha256,
    }


def _reach(preview: RulePreview, months: Iterable[date]) -> list[dict[str, Any]]:
    """Per month: each rule's charges and money, the charges that no rule takes, and what the checks
    found.
    """
    lines = []
    for month in months:
        checked = check_draft(text=preview.text, effective_from=preview.effective_from, month=month)
        lines.append({"month": f"{month:%Y-%m}", **reach_json(checked, month)})
    return lines


def reach_json(checked: Checked, month: date) -> dict[str, Any]:
    if checked.matched is None:
        return {
            "reach": [],
            "unmatched": [],
            "findings": [_finding(each) for each in checked.findings],
        }
    return {
        "reach": [plain_amounts(asdict(each)) for each in rule_reach(checked.matched, month=month)],
        "unmatched": [
            plain_amounts(asdict(each))
            for each in unmatched_charges(checked.matched)[:UNMATCHED_KEPT]
        ],
        "findings": [_finding(each) for each in checked.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return asdict(finding)


# ---------------------------------------------------------------- differences
