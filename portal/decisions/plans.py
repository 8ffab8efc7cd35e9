"""Changing what is planned to be spent: previewed, applied, and written down."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from allocation.planning.plan_file import PlanChange, PlanDifference
from allocation.planning.store import apply_plans
from portal.accounts import audit

LINES_AUDITED = 200


def change_plans(
    *, text: str, previewed: str, origin: str, acting_user: str | None, now: datetime
) -> PlanDifference:
    """Add a previewed version and record it. Raises PlanError; then nothing has changed.

    `acting_user` is None for the command line.
    """
    with transaction.atomic():
        found = apply_plans(
            text=text, previewed=previewed, origin=origin, acting_user=acting_user, now=now
        )
        if found.changes:
            changes = [_told(change) for change in found.changes[:LINES_AUDITED]]
            detail = {
                "previewed": found.token,
                "changes": changes,
                "more_changes": len(found.changes) - len(changes),
            }
            audit.record(acting_user, "plans changed", f"{len(found.changes)} amounts", detail)
    return found


def _told(change: PlanChange) -> str:
    before, after = (one.words if one else "none" for one in (change.before, change.after))
    account = f", account {change.key.account}" if change.key.account else ""
    return f"{change.key.month:%Y-%m} {change.key.holder.words}{account}: {before} to {after}"
