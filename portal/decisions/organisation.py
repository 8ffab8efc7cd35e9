"""Changing the organisation by file, as people do: previewed, applied, and written down."""

from __future__ import annotations

from datetime import date

from django.db import transaction

from allocation.organisation.store import apply_organisation
from allocation.organisation.tree_changes import ACTIONS, TreePlan
from portal.accounts import audit

LINES_AUDITED = 200


def apply_file(
    *, text: str, previewed: str, rewrite: bool, acting_user: str | None, today: date
) -> TreePlan:
    """Carry out a previewed file and record it. Raises OrganisationError; then nothing has changed.

    `acting_user` is None for the command line.
    """
    with transaction.atomic():
        plan = apply_organisation(text=text, previewed=previewed, rewrite=rewrite, today=today)
        if plan.changes:
            audit.record(
                acting_user,
                "organisation changed",
                ", ".join(
                    f"{plan.count(action)} {action}" for action in ACTIONS if plan.count(action)
                ),
                {
                    "previewed": plan.token,
                    "content_sha256": plan.content_sha256,
                    "state_before": plan.state_sha256,
                    "state_after": plan.after.sha256(),
                    "changes": [
                        f"{change.kind} {change.own}, {change.action}: {change.words}"
                        for change in plan.changes[:LINES_AUDITED]
                    ],
                    "more_changes": max(0, len(plan.changes) - LINES_AUDITED),
                },
            )
    return plan
