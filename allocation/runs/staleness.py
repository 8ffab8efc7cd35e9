"""What has changed since a run was made: its causes in words, and the charge days each can move."""

from __future__ import annotations

from collections.abc import Iterable

from allocation.models import AllocationRun
from allocation.rules.rule_sets import rule_set_for
from allocation.runs.changes import Change, bill_changes, setting_changes


def changes_since_runs(runs: Iterable[int]) -> list[Change]:
    """The same of several runs, by id, in the order in which they were made."""
    found = AllocationRun.objects.filter(pk__in=runs).order_by("pk")
    return [change for run in found for change in changes_since(run)]


def changes_since(run: AllocationRun) -> list[Change]:
    """Everything that a new run of the month would see differently, but for traces, which change
    all the time.

    Bills first, with the days of the charges that came or went; then rules, tree, prices, driver
    data and source settings.
    """
    found = bill_changes(
        month=run.billing_month, before=run.inputs.get("scopes", []), currency=run.currency
    )
    causes = setting_changes(run.inputs, month=run.billing_month, since=run.started_at)
    rule_set = rule_set_for(run.billing_month)
    if rule_set.content_sha256 != run.inputs.get("rules_sha256"):
        causes.insert(0, f"rule set {rule_set.number} is in force")
    return [*found, *(Change(cause, None) for cause in causes)]
