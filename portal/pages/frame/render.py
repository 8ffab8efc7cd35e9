"""The frame that every page is shown in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from portal.accounts.models import User
from portal.pages.frame.state import PageState
from portal.pages.frame.top_bar import top_bar
from portal.pages.frame.trust_line import read_trust, trust_parts
from portal.pages.registry import holds, page_address, pages, rights_of
from portal.pages.spec import Choice
from reports.cost_question.answers import unconverted_costs
from reports.cost_question.runs import MonthRate
from reports.queries.costs.trust import Trust
from reports.queries.ownership.organisation import TeamInTree, teams_in_tree


@dataclass(frozen=True)
class RailLink:
    label: str
    href: str
    is_here: bool


@dataclass(frozen=True)
class Crumb:
    label: str
    href: str | None = None


def render_page(
    request: HttpRequest,
    template: str,
    context: dict[str, Any],
    *,
    page: str,
    title: str,
    state: PageState,
    known: Trust | None = None,
    tree: list[TeamInTree] | None = None,
    choices: Sequence[Choice] | None = None,
    status: int = 200,
) -> HttpResponse:
    """A page in its frame: rail, top bar, trust line. `page` is the name of its PageSpec; the
    template extends base.html.

    `choices` are those of the top bar where this one view heeds fewer than its page; without any
    there is no bar.

    The template also sees `state`, `state_query` (for links that keep the view), `teams` (the
    readable tree) and `crumbs` where the context gives a list of `Crumb`. A page that has read
    trust or tree already passes them.
    """
    held = rights_of(cast(User, request.user))
    spec = pages()[page]
    if tree is None:
        tree = teams_in_tree(scope=state.reader_scope, day=state.period.last_day)
    known = known or read_trust(state)
    frame = {
        "page": page,
        "title": title,
        "state": state,
        "state_query": state.query_string(),
        "rail": _rail(held, page, state),
        "bar": top_bar(state, tree, spec.choices if choices is None else choices),
        "rates": _rates(state),
        "unconverted": unconverted_costs(state.question),
        "teams": tree,
        "trust": known,
        "elsewhere": _elsewhere(state) if spec.sums_money else [],
        "first_step": _first_step(held),
        "trust_parts": trust_parts(known, state, held, timezone.now()),
    }
    return render(request, template, {**frame, **context}, status=status)


def _rail(held: Collection[str], here: str, state: PageState) -> list[RailLink]:
    """The pages that the reader may open, each with the view of this one but for the team."""
    query = state.query_string(team=None)
    return [
        RailLink(spec.label, f"{page_address(spec.name)}?{query}", spec.name == here)
        for spec in pages().values()
        if spec.label and spec.name in held
    ]


def _first_step(held: Collection[str]) -> RailLink | None:
    """The one button that leads out of an empty database, for readers who may press it."""
    if "imports" not in held:
        return None
    return RailLink("Import a bill", f"{page_address('imports')}#load", is_here=False)


def key_step(request: HttpRequest) -> RailLink | None:
    """The one button that leads to traces where none came yet, for readers who may press it."""
    if not holds(request, "admin"):
        return None
    return RailLink("Make a key for the exporter", f"{page_address('admin')}#make-key", False)


def _elsewhere(state: PageState) -> list[RailLink]:
    """The same view in the other currencies of the period, where none are converted."""
    if state.conversion:
        return []
    return [
        RailLink(code, f"?{state.query_string(currency=code)}", is_here=False)
        for code in state.other_currencies
    ]


def _rates(state: PageState) -> list[MonthRate]:
    """The rates behind the page's figures, for its title."""
    if state.conversion is None:
        return []
    months = [*state.period.months(), *(state.compare.months() if state.compare else [])]
    return state.conversion.rates_of(months)
