"""Versions of the rules: what is in force in a month, and the next one."""

from __future__ import annotations

import hashlib
from datetime import date
from importlib.resources import files

from django.db import transaction

from allocation.models import RuleSet
from allocation.rules.rules import parse_rules

EVER = date(1970, 1, 1)


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
        return next_version(text, effective_from.replace(day=1), acting_user, note)


def next_version(text: str, effective_from: date, acting_user: str | None, note: str) -> RuleSet:
    return RuleSet.objects.create(
        number=latest_rule_set().number + 1,
        text=text,
        content_sha256=hashlib.sha256(text.encode()).hexdigest(),
        effective_from=effective_from,
        created_by=acting_user,
        note=note,
    )
