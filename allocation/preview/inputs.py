"""What a preview of rules was made of, kept with its outcome, and what of it has changed since."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from allocation.models import AllocationRun, ChargeScope, RulePreview, ScopeState, SourceRole
from allocation.runs.changes import bill_changes, setting_changes
from allocation.values.periods import Period


def billed_months() -> list[date]:
    """Months with published bills, in order."""
    scopes = ChargeScope.objects.filter(state=ScopeState.CURRENT, source__role=SourceRole.INVOICE)
    return sorted(set(scopes.values_list("billing_month", flat=True)))


def seen_in(month: date, runs: Iterable[int], *, catalogue: str) -> dict[str, Any]:
    """The inputs of a month's runs of one preview, which end with it, as they are kept in its
    outcome; with the catalogue that was in force, of which the draft may have another.
    """
    inputs = (
        AllocationRun.objects.filter(pk__in=runs)
        .order_by("currency")
        .values_list("inputs", flat=True)
    )
    return {
        "month": f"{month:%Y-%m}",
        "inputs": [{**own, "catalogue": catalogue} for own in inputs],
    }


def changes_since_preview(preview: RulePreview) -> list[str]:
    """In words, why the engine would come to something else now; nothing of a preview that did not
    keep its inputs.

    Rules are left out: which set a preview was drawn up against is a question of its own. So are
    traces.
    """
    outcome = preview.outcome or {}
    causes: dict[str, None] = {}
    for seen in outcome.get("seen", []):
        month = Period.parse(seen["month"]).start
        scopes = {scope for inputs in seen["inputs"] for scope in inputs["scopes"]}
        for change in bill_changes(month=month, before=scopes):
            causes[f"{change.cause} for {month:%B %Y}"] = None
        for inputs in seen["inputs"]:
            causes |= dict.fromkeys(setting_changes(inputs, month=month, since=preview.created_at))
    known = set(outcome.get("billed_months", map("{:%Y-%m}".format, billed_months())))
    for month in billed_months():
        if month >= preview.effective_from and f"{month:%Y-%m}" not in known:
            causes[f"the first bill of {month:%B %Y} was loaded"] = None
    return list(causes)
