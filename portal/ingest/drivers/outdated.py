"""Months whose current runs saw other driver data than a new run would."""

from __future__ import annotations

from datetime import date

from allocation.models import AllocationRun, Import
from allocation.runs.changes import driver_data_changed


def outdated_months(*, since: Import | None = None) -> list[date]:
    """First days of the months that want another allocation; `since` looks at one delivery only."""
    found: set[date] = set()
    for run in AllocationRun.objects.filter(is_current=True).order_by("billing_month", "currency"):
        by_import = since.pk if since else None
        if run.billing_month not in found and driver_data_changed(
            run.inputs, month=run.billing_month, since=run.started_at, by_import=by_import
        ):
            found.add(run.billing_month)
    return sorted(found)
