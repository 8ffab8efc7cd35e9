"""The job that allocates a month: one more door into `allocate_period`."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from allocation.runs.month import allocate_period
from allocation.values.errors import AllocationBusy
from allocation.values.periods import Period
from portal.ingest.otlp.rollup.fold import fold
from portal.jobs.jobs import JobContext, Temporary, handles


@handles("allocate")
def allocate(context: JobContext) -> dict[str, Any]:
    """Allocate the month of the payload, {"period": "YYYY-MM"}."""
    period = Period.parse(context.payload["period"])
    fold()  # list prices weigh what no token class does, and only merged usage is priced
    try:
        outcome = allocate_period(
            period=period, now=timezone.now(), progress=context.progress, guard=context.finish_guard
        )
    except AllocationBusy as busy:
        raise Temporary(str(busy)) from busy
    return {
        "period": str(period),
        "runs": [
            {"run": run.run, "currency": run.currency, "rows": run.rows} for run in outcome.runs
        ],
    }
