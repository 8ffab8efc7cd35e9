"""/explore/feature/NAME/ and /explore/model/NAME/: what one feature or model cost, who used it and
what a thousand calls cost, day by day.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_safe

from portal.pages.frame.render import Chart, Crumb, render_page
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Table, asked_download
from portal.pages.registry import holds, page_address
from portal.pages.spend.blocks import (
    before_of,
    day_chart,
    explain_address,
    like_for_like,
    spend_table,
    team_address,
    team_series,
)
from reports.analysis.spend import (
    CallerCost,
    caller_costs,
    total_of,
    totals_by,
    unit_costs,
)
from reports.charts.spend import DaySeries
from reports.charts.style import OTHER, shade_of
from reports.cost_question.answers import (
    Named,
    SpendCell,
    UsageCell,
    costs_by_day,
    spend_cells,
    usage_cells,
)
from reports.queries.ownership.organisation import (
    OrganisationNames,
    TeamInTree,
    names_of,
    teams_in_tree,
)


@dataclass(frozen=True)
class Explored:
    """What the page is about; `other` is what it is told apart by, beside teams."""

    kind: str
    name: str
    other: str

    def is_of(self, cell: SpendCell | UsageCell) -> bool:
        return bool(getattr(cell, self.kind) == self.name)


@require_safe
def show_feature(request: HttpRequest, name: str) -> HttpResponseBase:
    return _show(request, Explored("feature", name, "model"))


@require_safe
def show_model(request: HttpRequest, name: str) -> HttpResponseBase:
    return _show(request, Explored("model", name, "feature"))


def _show(request: HttpRequest, subject: Explored) -> HttpResponseBase:
    """404 where nothing of this name is in what the reader may see of either period."""
    state = PageState.from_request(request, converts=True)
    cells = [cell for cell in spend_cells(state.question) if subject.is_of(cell)]
    usage = [cell for cell in usage_cells(state.question) if subject.is_of(cell)]
    if not cells and not usage:
        raise Http404
    question = state.question.where(**{subject.kind: subject.name})
    days = {
        name: costs_by_day(question=question, dimension=name) for name in ("team", subject.other)
    }
    teams = teams_in_tree(scope=state.reader_scope, day=state.period.last_day)
    names = names_of(
        teams={cell.team for cell in cells},
        features={cell.feature for cell in cells} | {subject.name},
    )
    callers = caller_costs(cells, usage)
    tables = [
        _team_table(request, state, subject, cells, days["team"], callers, names),
        _other_table(request, state, subject, cells, days[subject.other], callers, names),
    ]
    chart = _chart(request, state, subject, days, teams, names)
    download = asked_download(
        request, [*tables, *([chart.table] if chart else [])], file_name=f"{subject.kind}"
    )
    if download:
        return download
    total = total_of(cells)
    called = names.feature(subject.name) if subject.kind == "feature" else subject.name
    context: dict[str, Any] = {
        "subject": subject,
        "total": total,
        "before": before_of(state, total),
        "like_for_like": like_for_like(state),
        "unit": unit_costs(callers, lambda _: None).get(None),
        "tables": tables,
        "chart": chart,
        "links": _links(request, state, subject),
        "crumbs": [
            Crumb("Explore", f"{page_address('explore')}?{state.query_string()}"),
            Crumb(called),
        ],
    }
    return render_page(
        request, "spend/explore/subject.html", context, page="explore", title=called, state=state
    )


def _links(request: HttpRequest, state: PageState, subject: Explored) -> list[Crumb]:
    """Where more is said of it."""
    asked = {subject.kind: subject.name}
    links = [Crumb("Explain its cost", explain_address(state, **asked))]
    if holds(request, "debug"):
        debug = f"{page_address('debug')}?{state.query_string(**asked)}"
        links.append(Crumb("Latency, errors and calls", debug))
    by_month = {"rows": "month", "columns": subject.other, "span": "all", **asked}
    links.append(Crumb("By month", f"{page_address('explore')}?{state.query_string(**by_month)}"))
    return links


def _team_table(
    request: HttpRequest,
    state: PageState,
    subject: Explored,
    cells: list[SpendCell],
    days: Named,
    callers: list[CallerCost],
    names: OrganisationNames,
) -> Table:
    def name_cell(team: str | None) -> Cell:
        href = team_address(state, team) if team and team in names.teams else ""
        return Cell(value=names.team(team), href=href)

    return spend_table(
        request,
        state,
        totals_by(cells, attrgetter("team")),
        name="teams",
        label="Team",
        caption="Which team?",
        name_cell=name_cell,
        amount_filters=lambda team: {"team": team, subject.kind: subject.name} if team else {},
        days=days,
        units=unit_costs(callers, attrgetter("team")),
    )


def _other_table(
    request: HttpRequest,
    state: PageState,
    subject: Explored,
    cells: list[SpendCell],
    days: Named,
    callers: list[CallerCost],
    names: OrganisationNames,
) -> Table:
    called: Callable[[str | None], str] = (
        names.feature if subject.other == "feature" else lambda model: model or "no model"
    )

    def name_cell(value: str | None) -> Cell:
        href = f"{reverse(subject.other, args=[value])}?{state.query_string()}" if value else ""
        return Cell(value=called(value), href=href)

    return spend_table(
        request,
        state,
        totals_by(cells, attrgetter(subject.other)),
        name="others",
        label=subject.other.capitalize(),
        caption=f"Which {subject.other}?",
        name_cell=name_cell,
        amount_filters=lambda value: (
            {subject.other: value, subject.kind: subject.name} if value else {}
        ),
        days=days,
        units=unit_costs(callers, attrgetter(subject.other)),
    )


def _chart(
    request: HttpRequest,
    state: PageState,
    subject: Explored,
    days: dict[str, Named],
    teams: list[TeamInTree],
    names: OrganisationNames,
) -> Chart | None:
    """By model of a feature, by team of a model."""
    by = subject.other if subject.kind == "feature" else "team"
    question = f"What did it cost each day, by {by}?"
    if subject.kind == "model":
        return day_chart(request, state, team_series(days["team"], teams), question=question)
    series = [
        DaySeries(model or "no model", OTHER if model is None else shade_of(place), costs)
        for place, (model, costs) in enumerate(
            sorted(days["model"].items(), key=lambda item: (item[0] is None, item[0] or ""))
        )
    ]
    return day_chart(request, state, series, question=question)
