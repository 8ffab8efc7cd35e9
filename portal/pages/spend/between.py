"""Tables of what teams provided to each other, and of hosted models that nobody calls."""

from __future__ import annotations

from decimal import Decimal

from django.http import HttpRequest

from allocation.values.money import exact_sum, minor_units
from allocation.values.periods import Period
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Row, Table, arranged
from reports.queries.costs.cross_charges import CrossCharge, cross_charges
from reports.queries.costs.uncalled_hosting import uncalled_hosting
from reports.queries.ownership.organisation import OrganisationNames, names_of


def provided_table(request: HttpRequest, state: PageState, *, month: Period) -> Table:
    """Who served whose calls; by the whole billing month, since that is what a run covers."""
    found = cross_charges(question=state.billed_in(month))
    names = names_of(
        teams={team for row in found for team in (row.from_team, row.to_team)},
        features={feature for row in found for feature in (row.from_feature, row.to_feature)},
    )
    rows: list[Row] = [
        {
            "from": Cell(value=_side(names, row.from_team, row.from_feature)),
            "to": Cell(value=_side(names, row.to_team, row.to_feature)),
            "cost": Cell(value=_cost(row, state)),
        }
        for row in found
    ]
    columns = [
        Column("from", "Provided by", "words"),
        Column("to", "Consumed by", "words"),
        Column(
            "cost", f"Cost, {state.currency}", "money", minor_units(state.currency), is_key=True
        ),
    ]
    total: Row = {
        "from": Cell(value="Total"),
        "cost": Cell(value=exact_sum(_cost(row, state) for row in found)),
    }
    caption = "Calls that one team's agents served for another's"
    table = Table("between", caption, columns, rows, total=total, sort="-cost", lines=True)
    return arranged(table, request)


def hosting_table(request: HttpRequest, state: PageState, *, month: Period) -> Table:
    found = uncalled_hosting(question=state.billed_in(month))
    names = names_of(teams={row.team for row in found})
    costs = [
        row.billed_cost if state.metric == "billed_cost" else row.effective_cost for row in found
    ]
    rows: list[Row] = [
        {
            "model": Cell(value=row.model or "not named"),
            "team": Cell(value=names.team(row.team) if row.team else "nobody"),
            "cost": Cell(value=cost),
        }
        for row, cost in zip(found, costs, strict=True)
    ]
    cost_column = Column("cost", f"Cost, {state.currency}", "money", minor_units(state.currency))
    columns = [Column("model", "Model"), Column("team", "Team"), cost_column]
    total: Row = {"model": Cell(value="Total"), "cost": Cell(value=exact_sum(costs))}
    return arranged(
        Table("hosting", "Hosted models without a call", columns, rows, total=total, sort="-cost"),
        request,
    )


def _cost(row: CrossCharge, state: PageState) -> Decimal:
    return row.billed_cost if state.metric == "billed_cost" else row.effective_cost


def _side(names: OrganisationNames, team: str | None, feature: str | None) -> str:
    return f"{names.team(team)} / {names.feature(feature)}" if feature else names.team(team)
