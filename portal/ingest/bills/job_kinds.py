"""Jobs around bills."""

from __future__ import annotations

from typing import Any

from portal.errors import Refused
from portal.ingest.bills.delivery import close_abandoned, load_bill
from portal.ingest.bills.files.stream import BillFile
from portal.ingest.bills.formats import AUTO
from portal.ingest.bills.uploads import JOB_KIND, stored_path
from portal.jobs.claims import JobContext
from portal.jobs.kinds import job_kind


@job_kind(JOB_KIND)
def import_bill(context: JobContext) -> dict[str, Any]:
    """Load an uploaded bill. A worker that dies leaves nothing; the next one starts over and gets
    exact totals.
    """
    payload = context.payload
    outcome = load_bill(
        files=[BillFile(stored_path(each["sha256"]), each["name"]) for each in payload["uploads"]],
        source_name=payload["source"],
        format=payload.get("format", AUTO),
        confirm_shrink=payload.get("confirm_shrink", False),
        month=payload.get("month"),
        created_by=payload.get("created_by"),
        progress=context.progress,
        finish_guard=context.finish_guard,
    )
    if outcome.status == "refused":
        raise Refused(f"import {outcome.import_id}: {outcome.reason}")
    return outcome.to_json()


@job_kind("close_abandoned_imports", every_seconds=300)
def close_abandoned_imports(context: JobContext) -> dict[str, Any]:
    """Imports whose loader died are shown as failed, not as loading for ever."""
    return {"closed": close_abandoned()}
