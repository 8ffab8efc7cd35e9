"""Jobs that allocate a month and carry out a preview: one more door into each service."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from allocation.models import RulePreview
from allocation.preview.preview import carry_out_preview
from allocation.runs.month import AllocationBusy, allocate_period
from allocation.values.periods import Period
from portal.decisions.rules import PREVIEW_RULES
from portal.errors import Refused
from portal.ingest.otlp.rollup.merge import merge_deltas
from portal.jobs.claims import JobContext, Temporary
from portal.jobs.kinds import job_kind


@job_kind("allocate")
def allocate(context: JobContext) -> dict[str, Any]:
    """Allocate the month of the payload, {"period": "YYYY-MM"}."""
    period = Period.parse(context.payload["period"])
    merge_deltas()  # list prices weigh what no token class does, and only merged usage is priced
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


@job_kind(PREVIEW_RULES)
def preview_rules(context: JobContext) -> dict[str, Any]:
    """Carry out the preview of the payload, {"preview": id}."""
    preview = RulePreview.objects.filter(pk=context.payload["preview"]).first()
    if preview is None:
        raise Refused("the preview has expired; ask for another")
    merge_deltas()  # as before an allocation, so that both see the same usage
    try:
        carry_out_preview(
            preview, now=timezone.now(), progress=context.progress, guard=context.finish_guard
        )
    except AllocationBusy as busy:
        raise Temporary(str(busy)) from busy
    return {"preview": preview.pk, "sha256": preview.content_sha256}
