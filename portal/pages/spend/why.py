"""Why a cost changed, in words: what moved most, each with what it is, whose, and the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from django.urls import reverse

from portal.pages.frame.state import PageState
from reports.analysis.movers import Mover, movers, reason_of
from reports.analysis.spend import ChangePart
from reports.cost_question.answers import UsageCell, costs
from reports.cost_question.question import CostQuestion
from reports.queries.costs.spend_items import SpendItem
from reports.queries.ownership.organisation import OrganisationNames, names_of
from reports.readable import KINDS, MODEL_GROUPS, capitalised

SENTENCES = 3
# What the smaller changes of a kind are called beside those told by feature.
OTHERS = {
    "New": "Others, new",
    "Gone": "Others, gone",
    "GPU and infrastructure": "Other infrastructure",
    "No trace": "Others without trace",
}


@dataclass(frozen=True)
class MoverText:
    """One sentence, such as `Ranker retraining (training, Search) 20,052 -> 2,279: ended`."""

    name: str
    about: str
    before: Decimal
    now: Decimal
    reason: str
    href: str


def change_address(state: PageState, **filters: str | None) -> str:
    """Where a change of this view is explained."""
    chosen = {key: value for key, value in filters.items() if value}
    return f"{reverse('explain_change')}?{state.query_string(**chosen)}"


def why_in_words(
    state: PageState,
    question: CostQuestion,
    items: Sequence[SpendItem],
    usage: Sequence[UsageCell],
    **kept: str | None,
) -> list[MoverText]:
    """The largest movers of a question; `kept` are the filters of its page. Nothing where nothing
    is compared.
    """
    if state.compare is None or not state.comparison_known:
        return []
    periods = (state.elapsed, state.compare)
    found = movers(items)[:SENTENCES]
    names = names_of(
        teams=[mover.key.team for mover in found], features=[mover.key.feature for mover in found]
    )
    return [
        MoverText(
            *_words(mover, names),
            before=mover.before,
            now=mover.now,
            reason=reason_of(mover, usage, _days(mover, question, state), periods),
            href=change_address(state, **{**kept, **_filters(mover)}),
        )
        for mover in found
    ]


def _days(mover: Mover, question: CostQuestion, state: PageState) -> Mapping[date, Decimal]:
    """Cost by day of both periods, of what has no calls to tell more."""
    if mover.key.model or mover.key.apart or state.compare is None:
        return {}
    asked = question.where(**_filters(mover)).by("day")
    return {
        row.key[0]: row.now
        for period in (state.elapsed, state.compare)
        for row in costs(replace(asked, period=period, compare=None))
    }


def _filters(mover: Mover) -> dict[str, str | None]:
    key = mover.key
    if key.apart:
        return {"charge_kind": key.apart}
    return {
        "team": key.team,
        "feature": key.feature,
        "model": key.model,
        "service": key.service,
        "model_group": None if key.model else key.group,
    }


def _words(mover: Mover, names: OrganisationNames) -> tuple[str, str]:
    key = mover.key
    if key.apart:
        return capitalised(KINDS[key.apart]), ""
    group = MODEL_GROUPS[key.group]
    what = key.model or key.service or group[:1].lower() + group[1:]
    team = names.team(key.team)
    if key.feature is None:
        return team, what
    return names.feature(key.feature), f"{what}, {team}"


def part_names(parts: Sequence[ChangePart]) -> list[str]:
    """What the parts of a change are called, no two the same."""
    subjects = [part.subject for part in parts if part.subject]
    names = names_of(
        teams=[team for team, _ in subjects], features=[feature for _, feature in subjects]
    )
    found: list[str] = []
    for part in parts:
        name = part.label
        if part.subject:
            team, feature = part.subject
            name = names.feature(feature) if feature else names.team(team)
            name = f"{name} ({names.team(team)})" if name in found else name
        elif part.is_rest:
            name = OTHERS[part.label]
        found.append(name)
    return found
