"""Putting previewed rules, or a previewed catalogue, in force: exactly the text that was previewed,
upon what it was previewed on.
"""

from __future__ import annotations

import hashlib
from datetime import date, datetime

from django.db import transaction

from allocation.catalogue.own_entries import apply_catalogue, read_catalogue
from allocation.models import CatalogueVersion, RulePreview, RuleSet
from allocation.preview.inputs import changes_since_preview
from allocation.rules.rule_sets import first_rule_set, latest_rule_set, next_version, rule_set_for
from allocation.rules.rules import parse_rules


class NotPreviewed(Exception):
    """The text has no preview that is fresh, for that month, against the rule set that is the
    latest now, and made of the bills, tree, catalogue, prices and driver data of now.
    """


def apply_rules(
    *, text: str, effective_from: date, acting_user: str | None, now: datetime, note: str = ""
) -> tuple[RuleSet, bool]:
    """The new version, in force from that month on, and True; the one in force and False where it
    is the same text.

    Earlier months keep their rules, and no month is allocated by this. Raises RuleError, which
    names every problem, or NotPreviewed; nothing is saved then.
    """
    parse_rules(text)
    effective_from = effective_from.replace(day=1)
    digest = hashlib.sha256(text.encode()).hexdigest()
    with transaction.atomic():
        RuleSet.objects.select_for_update().get(pk=first_rule_set().pk)  # one at a time
        in_force = rule_set_for(effective_from)
        if in_force.content_sha256 == digest:
            return in_force, False
        fresh_preview(text=text, effective_from=effective_from, now=now)
        return next_version(text, effective_from, acting_user, note), True


def fresh_preview(*, text: str, effective_from: date, now: datetime) -> RulePreview:
    """The newest preview that lets this very text be applied from the month on; raises
    NotPreviewed, saying why.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()
    found = RulePreview.objects.filter(
        content_sha256=digest, catalogue=None, outcome__isnull=False
    ).order_by("-pk")
    if not found.exists():
        raise NotPreviewed(
            "these rules have no preview; what is applied is exactly what was previewed"
        )
    found = found.filter(effective_from=effective_from)
    if not found.exists():
        raise NotPreviewed(
            f"these rules were previewed for another month than {effective_from:%Y-%m}"
        )
    found = found.filter(expires_at__gt=now)
    if not found.exists():
        raise NotPreviewed("the preview of these rules is older than a day")
    preview = found.filter(base_number=latest_rule_set().number).first() or found[0]
    _check_inputs(preview)
    return preview


def _check_inputs(preview: RulePreview) -> None:
    """Raises NotPreviewed where the preview was made of something else than there is now."""
    latest = latest_rule_set().number
    if preview.base_number != latest:
        raise NotPreviewed(f"rule set {latest} was applied after the preview of these rules")
    if changes := changes_since_preview(preview):
        raise NotPreviewed(f"since the preview of these rules {', '.join(changes)}")


def apply_previewed_catalogue(
    *, preview: RulePreview, acting_user: str | None, now: datetime, note: str = ""
) -> tuple[CatalogueVersion | None, bool]:
    """The catalogue of a preview as `apply_catalogue` puts it in force; raises NotPreviewed."""
    with transaction.atomic():
        RuleSet.objects.select_for_update().get(pk=first_rule_set().pk)  # one at a time
        check_catalogue_preview(preview, now=now)
        entries = read_catalogue(preview.catalogue or "")
        return apply_catalogue(entries=entries, acting_user=acting_user, note=note)


def check_catalogue_preview(preview: RulePreview, *, now: datetime) -> None:
    """Raises NotPreviewed, saying why the preview's catalogue can't be applied."""
    if preview.catalogue is None or preview.outcome is None:
        raise NotPreviewed("this catalogue has no preview that has come to its end")
    if preview.expires_at <= now:
        raise NotPreviewed("the preview of this catalogue is older than a day")
    _check_inputs(preview)
