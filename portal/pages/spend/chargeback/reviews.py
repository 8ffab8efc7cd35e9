"""Which teams have reviewed the month, and what they question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from django.http import HttpRequest

from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Row, Table, arranged
from portal.pages.spend.blocks import team_address
from portal.pages.spend.showback.review import line_address, line_words, reviewed_runs
from portal.reviews.marks import NOT_SEEN, Standing, line_filters, standings
from portal.reviews.models import MarkState
from reports.cost_question.answers import costs
from reports.queries.ownership.organisation import OrganisationNames, names_of
from reports.readable import moment

ORDER = (MarkState.QUESTIONED, NOT_SEEN, MarkState.SEEN, MarkState.ACCEPTED)


@dataclass(frozen=True)
class Reviews:
    """`standings` has every team that owes anything in the month or said something of it."""

    standings: Mapping[str, Standing]
    teams: Table
    questions: Table

    @property
    def accepted(self) -> int:
        return sum(one.state == MarkState.ACCEPTED for one in self.standings.values())

    @property
    def questioned(self) -> int:
        return sum(one.state == MarkState.QUESTIONED for one in self.standings.values())


def month_reviews(request: HttpRequest, state: PageState) -> Reviews:
    """Of every currency, since a team reviews all that it owes; costs are in the page's."""
    everywhere = replace(state.billed_in(state.period), runs=reviewed_runs(state), filters=())
    rows = [row for row in costs(everywhere.by("team", "currency")) if row.key[0] is not None]
    owed = {row.key[0]: row.now for row in rows if row.key[1] == state.currency}
    said = standings(month=state.period.start, scope=state.scope)
    found = {
        team: said.get(team, Standing()) for team in sorted({*said, *(row.key[0] for row in rows)})
    }
    names = names_of(
        teams=found,
        features={
            line_filters(mark.line).get("feature")
            for one in found.values()
            for mark in one.open_questions
        },
    )
    teams = _teams_table(state, found, names, owed)
    questions = _questions_table(state, found, names)
    return Reviews(found, arranged(teams, request), arranged(questions, request))


def _teams_table(
    state: PageState,
    found: Mapping[str, Standing],
    names: OrganisationNames,
    owed: Mapping[str, Decimal],
) -> Table:
    runs = reviewed_runs(state)
    columns = [
        Column("team", "Team"),
        Column("cost", f"Cost, {state.currency}", "money", state.places, is_key=True),
        Column("state", "Review", "words"),
        Column("by", "Last mark by"),
        Column("at", "When"),
    ]
    rows: list[Row] = []
    for team, standing in sorted(found.items(), key=lambda item: ORDER.index(item[1].state)):
        newest = standing.newest
        note = "calculated again since" if standing.is_outdated(runs) else ""
        rows.append(
            {
                "team": Cell(value=names.team(team), href=team_address(state, team)),
                "cost": Cell(value=owed.get(team)),
                "state": Cell(value=standing.state, note=note),
                "by": Cell(value=newest.made_by if newest else ""),
                "at": Cell(value=moment(newest.at) if newest else ""),
            }
        )
    return Table("reviews", "Reviews by team", columns, rows, limit=12, lines=True)


def _questions_table(
    state: PageState, found: Mapping[str, Standing], names: OrganisationNames
) -> Table:
    columns = [
        Column("team", "Team"),
        Column("line", "Line", "words"),
        Column("comment", "Question", "words"),
        Column("by", "By"),
        Column("at", "When"),
    ]
    rows: list[Row] = [
        {
            "team": Cell(value=names.team(team), href=f"{team_address(state, team)}#review"),
            "line": Cell(
                value=line_words(mark.line, names),
                href=line_address(state, team, mark.line),
                explain=True,
            ),
            "comment": Cell(value=mark.comment),
            "by": Cell(value=mark.made_by),
            "at": Cell(value=moment(mark.at)),
        }
        for team, standing in found.items()
        for mark in standing.open_questions
    ]
    return Table("questions", "What is questioned", columns, rows, sortable=False, cards=True)
