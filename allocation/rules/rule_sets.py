"""Versions of the rules: what is in force, and a new one, which needs a preview."""

from __future__ import annotations

import hashlib
from datetime import date, datetime
from importlib.resources import files

from django.db import transaction

from allocation.models import RulePreview, RuleSet
from allocation.preview.inputs import changes_since_preview
from allocation.rules.rules import parse_rules

EVER = date(1970, 1, 1)


class NotPreviewed(Exception):
    """The text has no preview that is fresh, for that month, against the rule set that is the
    latest now, and made of the bills, tree, catalogue, prices and driver data of now.
    """


def default_rules_text() -> str:
    return files("allocation.rules").joinpath("default_rules.yaml").read_text(encoding="utf-8")


def rule_set_for(month: date) -> RuleSet:
    """The latest rule set in force in the month; the built-in one becomes number 1 where there is
    none yet.
    """
    found = RuleSet.objects.filter(effective_from__lte=month).order_by("-number").first()
    return found or first_rule_set()


def latest_rule_set() -> RuleSet:
    return RuleSet.objects.order_by("-number").first() or first_rule_set()


def first_rule_set() -> RuleSet:
    text = default_rules_text()
    made, _ = RuleSet.objects.get_or_create(
        number=1,
        defaults={
            "text": text,
            "content_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "effective_from": EVER,
            "note": "built-in rules",
        },
    )
    return made


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
        return _next_version(text, effective_from, acting_user, note), True


def add_owner_rule(
    *, text: str, effective_from: date, acting_user: str | None, note: str
) -> RuleSet:
    """The rules in force with one accepted owner more. Its reach is counted before, by the caller,
    and needs no preview.

    Raises RuleError, and saves nothing then.
    """
    parse_rules(text)
    with transaction.atomic():
        RuleSet.objects.select_for_update().get(pk=first_rule_set().pk)
        return _next_version(text, effective_from.replace(day=1), acting_user, note)


def _next_version(text: str, effective_from: date, acting_user: str | None, note: str) -> RuleSet:
    return RuleSet.objects.create(
        number=latest_rule_set().number + 1,
        text=text,
        content_sha256=hashlib.sha256(text.encode()).hexdigest(),
        effective_from=effective_from,
        created_by=acting_user,
        note=note,
    )


def fresh_preview(*, text: str, effective_from: date, now: datetime) -> RulePreview:
    """The newest preview that lets this very text be applied from the month on; raises
    NotPreviewed, saying why.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()
    found = RulePreview.objects.filter(content_sha256=digest, outcome__isnull=False).order_by("-pk")
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
    latest = latest_rule_set().number
    preview = found.filter(base_number=latest).first()
    if preview is None:
        raise NotPreviewed(f"rule set {latest} was applied after the preview of these rules")
    if changes := changes_since_preview(preview):
        raise NotPreviewed(f"since the preview of these rules {', '.join(changes)}")
    return preview
