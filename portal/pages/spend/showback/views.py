"""Showback: the teams a reader may see, and what one of them cost, why, by which features and
models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from operator import attrgetter
from typing import cast

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect

from allocation.values.money import exact_sum
from allocation.values.periods import Period
from portal.accounts.access import team_for_user
from portal.accounts.models import User
from portal.pages.frame.render import Chart, Crumb, render_page
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Row, Table, arranged, asked_download
from portal.pages.registry import page_address
from portal.pages.spend.between import provided_table
from portal.pages.spend.blocks import (
    UNALLOCATED_NAME,
    apart_by_team,
    before_of,
    change_chart,
    day_chart,
    explain_address,
    headline_words,
    like_for_like,
    names_and_shades,
    spend_table,
    sums_apart,
    team_address,
)
from portal.pages.spend.on_plan import (
    PlanBook,
    PlanView,
    month_chart,
    outcome,
    plan_cells,
    plan_columns,
    plan_view,
    read_plans,
    recent_costs,
)
from portal.pages.spend.showback.review import review_block
from portal.pages.spend.why import change_address, why_in_words
from reports.analysis.sampling_error import sampling_error
from reports.analysis.spend import (
    Amounts,
    CallerCost,
    UnitCost,
    caller_costs,
    total_of,
    totals_by,
    unit_costs,
    why_changed,
)
from reports.charts.spend import DaySeries
from reports.charts.style import OTHER, shade_of
from reports.cost_question.answers import (
    Named,
    SpendCell,
    SpendPart,
    UsageCell,
    costs_by_day,
    spend_cells,
    spend_parts,
    usage_cells,
)
from reports.queries.costs.spend_items import SpendItem, spend_items
from reports.queries.ownership.organisation import (
    OrganisationNames,
    TeamInTree,
    names_of,
    teams_in_tree,
)
from reports.readable import capitalised, ratio, reason_words

MATRIX_MODELS = 6


def showback(request: HttpRequest) -> HttpResponseBase:
    """Every team the reader may see; a lead of one team goes straight to it."""
    state = PageState.from_request(request, converts=True)
    tree = teams_in_tree(scope=state.reader_scope, day=state.period.last_day)
    teams = [team for team in tree if state.scope.allows(team.slug)]
    if len(teams) == 1 and not state.reader_scope.is_everything:
        return redirect(team_address(state, teams[0].slug))
    if not state.has_data:
        return render_page(
            request, "spend/showback/empty.html", {}, page="showback", title="Showback", state=state
        )
    plans = plan_view(state, read_plans(state))
    table = _teams_table(request, state, teams, plans)
    download = asked_download(request, [table], file_name=f"showback-{state.period.start}")
    context = {
        "table": table,
        "plans": plans,
        "period_words": headline_words(state),
        "like_for_like": like_for_like(state),
    }
    return download or render_page(
        request,
        "spend/showback/teams.html",
        context,
        page="showback",
        title="Showback",
        state=state,
        tree=tree,
    )


def _teams_table(
    request: HttpRequest, state: PageState, teams: list[TeamInTree], plans: PlanView | None
) -> Table:
    cells = spend_cells(state.question)
    known = names_and_shades(teams)
    by_slug = {team.slug: team for team in teams}

    def name_cell(slug: str | None) -> Cell:
        team = by_slug.get(slug or "")
        if team is None:
            return Cell(
                value=UNALLOCATED_NAME if slug is None else slug,
                shade=known.get(slug, ("", OTHER))[1],
            )
        return Cell(
            value=team.name, shade=shade_of(team.shade), href=team_address(state, team.slug)
        )

    def unit_of(slug: str | None) -> str:
        team = by_slug.get(slug or "")
        return (team.unit_name or "") if team else ""

    totals: dict[str | None, Amounts] = totals_by(cells, attrgetter("team"))
    for team in teams:
        totals.setdefault(team.slug, Amounts(Decimal(0), Decimal(0)))
    return spend_table(
        request,
        state,
        totals,
        name="teams",
        label="Team",
        caption="AI cost by team",
        name_cell=name_cell,
        amount_filters=lambda slug: {"team": slug} if slug else {"kind": "unallocated"},
        days=costs_by_day(question=state.question, dimension="team"),
        units=unit_costs(caller_costs(cells, usage_cells(state.question)), attrgetter("team")),
        limit=0,
        second=("Business unit", unit_of),
        apart=apart_by_team(state),
        more=_plans_of_teams(state, plans) if plans else None,
    )


def _plans_of_teams(
    state: PageState, plans: PlanView
) -> tuple[Sequence[Column], dict[str | None, Row]]:
    return plan_columns(state), {team: plan_cells(line) for team, line in plans.teams.items()}


@dataclass(frozen=True)
class TeamFigures:
    """Everything one team's page reads."""

    cells: list[SpendCell]
    items: list[SpendItem]
    by_feature: Named  # cost per day
    usage: list[UsageCell]
    parts: list[SpendPart]
    of_all_months: Named  # cost per feature and day

    @cached_property
    def callers(self) -> list[CallerCost]:
        return caller_costs(self.cells, self.usage)

    @property
    def months(self) -> list[DaySeries]:
        return _feature_series(self.names, self.of_all_months)

    @cached_property
    def names(self) -> OrganisationNames:
        told = {
            *(cell.feature for cell in self.cells),
            *(use.feature for use in self.usage),
            *self.by_feature,
            *self.of_all_months,
        }
        return names_of(features=told)


def showback_team(request: HttpRequest, slug: str) -> HttpResponseBase:
    team = team_for_user(cast(User, request.user), slug)
    state = PageState.from_request(request, team=slug, converts=True)
    teams = teams_in_tree(scope=state.reader_scope, day=state.period.last_day)
    frame = {"page": "showback", "title": team.name, "state": state, "tree": teams}
    context = {"crumbs": _crumbs(state, team.name, teams), "others": _others(state, teams)}
    if not state.has_data:
        return render_page(request, "spend/showback/empty.html", context, **frame)  # type: ignore[arg-type]
    every = state.every_month
    book = read_plans(state)
    plans = plan_view(state, book)
    plan = plans.teams.get(slug) if plans else None
    figures = TeamFigures(
        cells=spend_cells(state.question),
        items=spend_items(state.question),
        by_feature=costs_by_day(question=state.question, dimension="feature"),
        usage=usage_cells(state.question),
        parts=spend_parts(state.question),
        of_all_months=costs_by_day(question=every, dimension="feature") if every else {},
    )
    parts = {
        **_team_tables(request, state, figures, slug),
        **_team_charts(request, state, figures, book),
    }
    tables = [part if isinstance(part, Table) else part.table for part in parts.values() if part]
    month = Period.month(state.period.last_day)
    between = provided_table(request, state, month=month)
    review = review_block(request, state, team, figures.names, figures.parts)
    tables += [between, *([review.table] if review else [])]
    download = asked_download(request, tables, file_name=f"showback-{slug}-{state.period.start}")
    total = total_of(figures.cells)
    context |= {
        **parts,
        "team": team,
        "between": between,
        "between_month": month,
        "review": review,
        "total": total,
        "before": before_of(state, total),
        "plans": plans,
        "plan": plan,
        "plan_outcome": outcome(state, plan) if plan else "",
        "recent": recent_costs(state, figures.months),
        "like_for_like": like_for_like(state),
        "apart": sums_apart(state),
        "movers": why_in_words(state, state.question, figures.items, figures.usage),
        "change_address": change_address(state),
        "period_words": headline_words(state),
        "compare_words": state.compare.words if state.compare else "",
        "unit": unit_costs(figures.callers, lambda _: None).get(None),
        "kinds": _kinds(figures.parts),
        "sampling_error": sampling_error(figures.usage),
    }
    return download or render_page(request, "spend/showback/team.html", context, **frame)  # type: ignore[arg-type]


def _crumbs(state: PageState, name: str, teams: Sequence[TeamInTree]) -> list[Crumb]:
    if len(teams) == 1:
        return []
    return [
        Crumb("Showback", f"{page_address('showback')}?{state.query_string(team=None)}"),
        Crumb(name),
    ]


def _others(state: PageState, teams: Sequence[TeamInTree]) -> list[tuple[str, str, bool]]:
    """(name, address, is this one) of the teams a lead of several can switch between."""
    if state.reader_scope.is_everything or len(teams) < 2:
        return []
    return [(team.name, team_address(state, team.slug), team.slug == state.team) for team in teams]


def _team_tables(
    request: HttpRequest, state: PageState, figures: TeamFigures, slug: str
) -> dict[str, Table]:
    units = unit_costs(figures.callers, attrgetter("feature"))
    return {
        "matrix": _matrix(request, state, figures, slug),
        "parts": _parts_table(request, state, figures.parts, slug),
        "features": spend_table(
            request,
            state,
            totals_by(figures.cells, attrgetter("feature")),
            name="features",
            label="Feature",
            caption="AI cost by feature",
            name_cell=lambda feature: Cell(value=figures.names.feature(feature)),
            amount_filters=lambda feature: {"team": slug, "feature": feature},
            days=figures.by_feature,
            units=units,
            limit=0,
        ),
        "unit_costs": _units_table(request, state, units, figures.names),
    }


def _team_charts(
    request: HttpRequest, state: PageState, figures: TeamFigures, book: PlanBook
) -> dict[str, Chart | None]:
    series = _feature_series(figures.names, figures.by_feature)
    return {
        "day_chart": day_chart(
            request, state, series, question="What did each feature cost per day?"
        ),
        "change_chart": change_chart(
            request, state, why_changed(figures.cells, figures.usage), total_of(figures.cells)
        ),
        "month_chart": month_chart(request, state, figures.months, book),
    }


def _feature_series(names: OrganisationNames, by_feature: Named) -> list[DaySeries]:
    return [
        DaySeries(
            names.feature(feature),
            shade_of(names.feature_number(feature)) if feature else OTHER,
            costs,
        )
        for feature, costs in by_feature.items()
    ]


def _matrix(request: HttpRequest, state: PageState, figures: TeamFigures, slug: str) -> Table:
    """Features by models; models beyond the six costliest stand together."""
    cells = figures.cells
    by_model = totals_by(cells, attrgetter("model"))
    named = [model for model in by_model if model]
    shown = named[:MATRIX_MODELS]
    rest = "no model" if named == shown else "other"
    by_pair = totals_by(
        cells, lambda cell: (cell.feature, cell.model if cell.model in shown else None)
    )
    by_feature = totals_by(cells, attrgetter("feature"))
    peak = max((abs(amounts.now) for amounts in by_pair.values()), default=Decimal(0))
    models = [*shown, None] if any(model is None for _, model in by_pair) else list(shown)
    rows: list[Row] = []
    for feature, whole in by_feature.items():
        row: Row = {"feature": Cell(value=figures.names.feature(feature))}
        for model in models:
            amounts = by_pair.get((feature, model))
            row[_model_key(model)] = (
                _pair_cell(state, slug, feature, model, amounts, peak) if amounts else Cell()
            )
        rows.append(
            {
                **row,
                "all": Cell(
                    value=whole.now, href=_explain_address(state, slug, feature, None), explain=True
                ),
            }
        )
    total: Row = {"feature": Cell(value="Total"), "all": Cell(value=total_of(cells).now)}
    for model in models:
        column = [amounts.now for (_, of), amounts in by_pair.items() if of == model]
        total[_model_key(model)] = Cell(value=exact_sum(column))
    columns = [
        Column("feature", "Feature"),
        *(Column(_model_key(model), model or rest, "money", state.places) for model in models),
    ]
    columns.append(
        Column("all", f"All, {state.shown_currency}", "money", state.places, is_key=True)
    )
    table = Table(
        "matrix", "Features by models", columns, rows, total=total, sort="-all", lines=True
    )
    return arranged(table, request)


def _model_key(model: str | None) -> str:
    return f"model:{model}" if model else "other-models"


def _pair_cell(
    state: PageState,
    slug: str,
    feature: str | None,
    model: str | None,
    amounts: Amounts,
    peak: Decimal,
) -> Cell:
    share = ratio(abs(amounts.now), peak) or Decimal(0)
    heat = sum(
        share > level
        for level in (Decimal("0.05"), Decimal("0.2"), Decimal("0.45"), Decimal("0.75"))
    )
    return Cell(
        value=amounts.now,
        heat=heat,
        href=_explain_address(state, slug, feature, model),
        explain=True,
    )


def _explain_address(state: PageState, slug: str, feature: str | None, model: str | None) -> str:
    return explain_address(state, team=slug, feature=feature, model=model)


def _parts_table(
    request: HttpRequest, state: PageState, parts: Sequence[SpendPart], slug: str
) -> Table:
    """One line per kind, rule and reason, which an explanation can be asked for; its words say
    each way in which its owner is known.
    """
    columns = [Column("kind", "How we know", "words"), Column("rule", "Rule", "words")]
    columns.append(
        Column("cost", f"Cost, {state.shown_currency}", "money", state.places, is_key=True)
    )
    columns.append(Column("share", "Share", "percent"))
    whole = exact_sum(part.cost for part in parts)
    grouped: dict[tuple[str, str, str | None], list[SpendPart]] = {}
    for part in parts:
        grouped.setdefault((part.kind, part.rule, part.reason), []).append(part)
    rows: list[Row] = []
    for (kind, rule, reason), same in grouped.items():
        cost = exact_sum(part.cost for part in same)
        words = ", ".join(dict.fromkeys(part.kind_words for part in same))
        href = explain_address(state, team=slug, kind=kind, rule=rule)
        rows.append(
            {
                "kind": Cell(value=capitalised(words), note=reason_words(reason)),
                "rule": Cell(value=rule),
                "cost": Cell(value=cost, href=href, explain=True),
                "share": Cell(value=ratio(cost, whole)),
            }
        )
    total = {
        "kind": Cell(value="Total"),
        "cost": Cell(value=whole),
        "share": Cell(value=ratio(whole, whole)),
    }
    return arranged(
        Table("parts", "Parts by rule", columns, rows, total=total, sort="-cost", lines=True),
        request,
    )


def _units_table(
    request: HttpRequest,
    state: PageState,
    units: dict[str | None, UnitCost],
    names: OrganisationNames,
) -> Table:
    columns = [
        Column("feature", "Feature"),
        Column("calls", "Calls", "count"),
        Column("calls_change", "Calls against before", "change"),
        Column("unit", f"{state.shown_currency} per 1,000 calls", "unit", is_key=True),
        Column("before", "Before", "unit"),
    ]
    rows: list[Row] = [
        {
            "feature": Cell(value=names.feature(feature)),
            "calls": Cell(value=unit.calls),
            "calls_change": Cell(
                value=unit.calls, before=unit.calls_before if state.comparison_known else None
            ),
            "unit": Cell(value=unit.now),
            "before": Cell(value=unit.before if state.comparison_known else None),
        }
        for feature, unit in units.items()
    ]
    empty = "No calls of this team were traced."
    return arranged(
        Table("units", "Unit costs", columns, rows, sort="-calls", empty=empty, lines=True), request
    )


def _kinds(parts: Sequence[SpendPart]) -> list[tuple[str, Decimal, Decimal | None]]:
    """(words, cost, share) per kind, largest first."""
    sums: dict[str, Decimal] = {}
    for part in parts:
        words = capitalised(part.kind_words)
        sums[words] = exact_sum([sums.get(words, Decimal(0)), part.cost])
    whole = exact_sum(sums.values())
    return [
        (words, cost, ratio(cost, whole))
        for words, cost in sorted(sums.items(), key=lambda kind: -abs(kind[1]))
    ]
