"""Previewing and applying rules: the job that carries a preview out, and the one way to apply with
an audit entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from django.db import transaction
from django.utils import timezone

from allocation.models import RulePreview, RuleSet
from allocation.preview.apply import apply_rules
from allocation.preview.preview import carry_out_preview, record_preview
from allocation.values.errors import AllocationBusy
from portal.accounts import audit
from portal.errors import Refused
from portal.ingest.otlp.rollup.fold import fold
from portal.jobs.jobs import JobContext, Temporary, enqueue, handles
from portal.jobs.models import Job

KIND = "preview_rules"


def ask_for_preview(
    *, text: str, effective_from: date, months: Sequence[date], asked_by: str
) -> RulePreview:
    """A recorded preview and the job that will carry it out. Raises RuleError."""
    with transaction.atomic():
        preview = record_preview(
            text=text,
            effective_from=effective_from,
            months=months,
            created_by=asked_by,
            now=timezone.now(),
        )
        enqueue(KIND, {"preview": preview.pk}, dedupe_key=key_of(preview), created_by=asked_by)
    return preview


def key_of(preview: RulePreview) -> str:
    return f"{KIND}:{preview.pk}"


def job_of(preview: RulePreview) -> Job | None:
    """The newest job of the preview."""
    return Job.objects.filter(dedupe_key=key_of(preview)).order_by("-pk").first()


@handles(KIND)
def preview_rules(context: JobContext) -> dict[str, Any]:
    """Carry out the preview of the payload, {"preview": id}."""
    preview = RulePreview.objects.filter(pk=context.payload["preview"]).first()
    if preview is None:
        raise Refused("the preview has expired; ask for another")
    fold()  # as before an allocation, so that both see the same usage
    try:
        carry_out_preview(
            preview, now=timezone.now(), progress=context.progress, guard=context.finish_guard
        )
    except AllocationBusy as busy:
        raise Temporary(str(busy)) from busy
    return {"preview": preview.pk, "sha256": preview.content_sha256}


def apply_previewed(
    *, text: str, effective_from: date, acting_user: str | None, note: str = ""
) -> tuple[RuleSet, bool]:
    """As `apply_rules`, with an audit entry in the same transaction. `acting_user` is None on the
    command line.
    """
    with transaction.atomic():
        made, is_new = apply_rules(
            text=text,
            effective_from=effective_from,
            acting_user=acting_user,
            now=timezone.now(),
            note=note,
        )
        if is_new:
            detail = {
                "from": f"{made.effective_from:%Y-%m}",
                "sha256": made.content_sha256,
                "note": note,
            }
            audit.record(acting_user, "apply rules", f"rule set {made.number}", detail)
    return made, is_new
