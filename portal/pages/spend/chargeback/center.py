"""One cost centre of a month: its teams, their features, and the explanation of each amount."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import reverse

from allocation.values.money import exact_sum
from portal.pages.frame.render import Crumb, render_page
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Row, Table, arranged, asked_download
from portal.pages.registry import page_address
from portal.pages.spend.blocks import explain_address, team_address
from reports.queries.costs.cost_centers import CenterLine, center_lines, center_of_code
from reports.queries.ownership.organisation import OrganisationNames, names_of
from reports.readable import ratio

WITHOUT = "Teams without a cost centre"


def center_address(state: PageState, code: str | None) -> str:
    """`code` None: of the teams without one. A code is free text, so it is no part of the path."""
    query = state.query_string() + (f"&{urlencode({'code': code})}" if code else "")
    return f"{reverse('chargeback_center')}?{query}"


def cost_center(request: HttpRequest) -> HttpResponseBase:
    """404 for a code that no centre has."""
    state = PageState.from_request(request).whole_month("chargeback")
    code = request.GET.get("code")
    center = center_of_code(code) if code else None
    if code and center is None:
        raise Http404
    lines = center_lines(
        question=state.billed_in(state.period), center=center.pk if center else None
    )
    names = names_of(teams={line.team for line in lines}, features={line.feature for line in lines})
    table = _lines_table(request, state, lines, names)
    download = asked_download(
        request, [table], file_name=f"chargeback-{state.period.start:%Y-%m}-center"
    )
    context = {
        "table": table,
        "center": center,
        "total": exact_sum(line.cost for line in lines),
        "moved": any(not line.is_whole for line in lines),
        "crumbs": [
            Crumb("Chargeback", f"{page_address('chargeback')}?{state.query_string()}"),
            Crumb(center.code if center else WITHOUT),
        ],
    }
    title = f"{center.name} ({center.code})" if center else WITHOUT
    return download or render_page(
        request,
        "spend/chargeback/center.html",
        context,
        page="chargeback",
        title=title,
        state=state,
    )


def _lines_table(
    request: HttpRequest, state: PageState, lines: list[CenterLine], names: OrganisationNames
) -> Table:
    whole = exact_sum(line.cost for line in lines)
    columns = [
        Column("feature", "Feature"),
        Column("team", "Team"),
        Column("cost", f"Cost, {state.currency}", "money", state.places, is_key=True),
        Column("share", "Share", "percent"),
    ]
    alone = {line.team for line in lines} - {line.team for line in lines if line.feature}
    rows: list[Row] = [
        {
            "feature": Cell(value=names.feature(line.feature)),
            "team": Cell(value=names.team(line.team), href=team_address(state, line.team)),
            "cost": _cost_cell(state, line, is_all=line.team in alone),
            "share": Cell(value=ratio(line.cost, whole)),
        }
        for line in lines
    ]
    total = {
        "feature": Cell(value="Total"),
        "cost": Cell(value=whole),
        "share": Cell(value=ratio(whole, whole)),
    }
    table = Table(
        "lines", "Teams and features of the centre", columns, rows, total=total, sort="-cost",
        lines=True,
    )  # fmt: skip
    return arranged(table, request)


def _cost_cell(state: PageState, line: CenterLine, *, is_all: bool) -> Cell:
    """Leads to what makes exactly this amount; where nothing can be asked that does, it leads
    nowhere.
    """
    if not line.is_whole or not (line.feature or is_all):
        return Cell(value=line.cost)
    href = explain_address(state, team=line.team, feature=line.feature, whole="1")
    return Cell(value=line.cost, href=href, explain=True)
