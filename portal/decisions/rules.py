"""Asking for a preview of rules, and the one way to apply them with an audit entry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from django.db import transaction
from django.utils import timezone

from allocation.models import RulePreview, RuleSet
from allocation.preview.apply import apply_rules
from allocation.preview.preview import record_preview
from portal.accounts import audit
from portal.jobs.models import Job
from portal.jobs.queue import enqueue

PREVIEW_RULES = "preview_rules"


def ask_for_preview(
    *,
    text: str,
    effective_from: date,
    months: Sequence[date],
    asked_by: str,
    catalogue: str | None = None,
) -> RulePreview:
    """A recorded preview, of rules or of a catalogue under them, and the job that will carry it
    out. Raises RuleError or CatalogueError.
    """
    with transaction.atomic():
        preview = record_preview(
            text=text,
            effective_from=effective_from,
            months=months,
            created_by=asked_by,
            now=timezone.now(),
            catalogue=catalogue,
        )
        enqueue(
            PREVIEW_RULES, {"preview": preview.pk}, dedupe_key=key_of(preview), created_by=asked_by
        )
    return preview


def key_of(preview: RulePreview) -> str:
    return f"{PREVIEW_RULES}:{preview.pk}"


def job_of(preview: RulePreview) -> Job | None:
    """The newest job of the preview."""
    return Job.objects.filter(dedupe_key=key_of(preview)).order_by("-pk").first()


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
