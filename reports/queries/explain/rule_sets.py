"""Rule sets and drafts that were previewed, as pages show them. A rule set's text tells nobody's
cost, and who may open these pages is asked before: no scope needed.
"""

from __future__ import annotations

from datetime import date

from allocation.models import RulePreview, RuleSet


def rule_set_in_force(month: date) -> RuleSet | None:
    """None where nothing was applied or allocated yet."""
    return RuleSet.objects.filter(effective_from__lte=month).order_by("-number").first()


def next_rule_set(month: date) -> RuleSet | None:
    """The first one that comes into force after the month."""
    later = RuleSet.objects.filter(effective_from__gt=month)
    return later.order_by("effective_from", "number").first()


def rule_sets(*, limit: int) -> list[RuleSet]:
    """Newest first."""
    return list(RuleSet.objects.order_by("-number")[:limit])


def rule_set_numbered(number: int) -> RuleSet | None:
    return RuleSet.objects.filter(number=number).first()


def rule_set_before(number: int) -> RuleSet | None:
    return RuleSet.objects.filter(number__lt=number).order_by("-number").first()


def rule_preview(preview_id: int) -> RulePreview | None:
    return RulePreview.objects.filter(pk=preview_id).first()
