"""Runs of a month under rules that are not in force: made by the real engine, balanced, hashed,
never published.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime

from django.db import connection

from allocation.charges.groups import pinned_scopes
from allocation.models import AllocationRun, RuleSet
from allocation.runs.month import (
    MonthInputs,
    MonthJob,
    Progress,
    RunOutcome,
    delete_rows,
    only_one,
    record_balances,
)


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
    *, month: date, base: RuleSet, draft: RuleSet, now: datetime, progress: Progress
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
                    reuse=rule_set is base,
                    made=made,
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
