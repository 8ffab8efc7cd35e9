"""Teaching the organisation's catalogue what a wording or a unit of a bill means: previewed by the
engine as rules are, then applied with an audit entry.
"""

from __future__ import annotations

from datetime import date

from django.db import transaction
from django.utils import timezone

from allocation.catalogue.entries import Entries
from allocation.catalogue.own_entries import catalogue_csv, own_catalogue
from allocation.catalogue.teaching import (
    CannotTeach,
    entries_for_wording,
    entry_for_unit,
    with_taught,
)
from allocation.models import CatalogueVersion, RulePreview
from allocation.preview.apply import apply_previewed_catalogue
from allocation.preview.inputs import billed_months
from allocation.preview.preview import preview_months
from allocation.rules.rule_sets import rule_set_for
from portal.accounts import audit
from portal.decisions.rules import ask_for_preview
from portal.ingest.bills.delivery import ask_for_allocation
from reports.asking import TeamScope
from reports.cost_question.question import CostQuestion
from reports.cost_question.runs import current_runs
from reports.queries.ownership.unknown import (
    UNIT_KIND,
    Unknown,
    UnknownList,
    unknown_lines,
)


def unknown_of(month: date, currency: str, *, metric: str = "effective_cost") -> UnknownList:
    """What nobody understands of a month's bills in a currency, for somebody who may see it all."""
    runs = (run for run in current_runs() if (run.month, run.currency) == (month, currency))
    return unknown_lines(
        question=CostQuestion(runs=tuple(runs), scope=TeamScope.everything(), metric=metric)
    )


def entries_with(found: UnknownList, one: Unknown, means: str) -> Entries:
    """The catalogue in force with what `one` means taught: a model, or the tokens of a unit. Raises
    CannotTeach.
    """
    means = means.strip()
    if not means:
        raise CannotTeach("say which model it is, or how many tokens a unit is")
    if one.kind == UNIT_KIND:
        taught: Entries = (entry_for_unit(one.name, means, provider=one.provider),)
    else:
        taught = entries_for_wording(
            one.name, means, provider=one.provider, own=one.texts, others=found.others(one)
        )
    return with_taught(own_catalogue().entries, taught)


def identified(found: UnknownList, identity: str) -> Unknown:
    """The wording or unit of the list; raises CannotTeach where it is gone."""
    for one in found.found:
        if one.identity == identity:
            return one
    raise CannotTeach("this is not unknown any more; look at the list as it is now")


def ask_for_catalogue_preview(entries: Entries, *, month: date, asked_by: str) -> RulePreview:
    """A recorded preview of this catalogue under the rules in force, and the job that carries it
    out. Raises CatalogueError.
    """
    return ask_for_preview(
        text=rule_set_for(month).text,
        effective_from=month,
        months=preview_months(month),
        asked_by=asked_by,
        catalogue=catalogue_csv(entries),
    )


def apply_taught(
    preview: RulePreview, *, acting_user: str | None, note: str = ""
) -> tuple[CatalogueVersion | None, bool]:
    """The catalogue of a preview in force, with an audit entry and the months allocated anew.
    Raises NotPreviewed.
    """
    with transaction.atomic():
        made, is_new = apply_previewed_catalogue(
            preview=preview, acting_user=acting_user, now=timezone.now(), note=note
        )
        if made and is_new:
            detail = {"sha256": made.content_sha256, "preview": preview.pk}
            audit.record(acting_user, "apply catalogue", f"catalogue {made.number}", detail)
            for month in billed_months():
                ask_for_allocation(f"{month:%Y-%m}", created_by=acting_user)
    return made, is_new
