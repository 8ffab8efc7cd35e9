"""The review of a team's statement: what its leads said of the month, and the form to say more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import cast
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from allocation.models import Team
from allocation.values.money import exact_sum
from portal.accounts.access import team_for_user
from portal.accounts.models import Role, User
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Row, Table, arranged
from portal.pages.spend.blocks import explain_address, team_address
from portal.reviews.marks import (
    COMMENT_LENGTH,
    MarkError,
    Standing,
    add_mark,
    line_filters,
    standings,
)
from reports.asking import TeamScope
from reports.cost_question.answers import SpendPart, costs
from reports.cost_question.runs import MonthRun, runs_of_months
from reports.queries.ownership.organisation import OrganisationNames
from reports.readable import capitalised, moment

WHOLE_STATEMENT = "Whole statement"


@dataclass(frozen=True)
class ReviewBlock:
    """`charged` is what the month's bills hold for the team, which is what chargeback says: the
    statement goes by the day of the charge. `options` are the lines that can be marked, with how
    the form sends each.
    """

    standing: Standing
    charged: Decimal
    charged_address: str
    table: Table
    may_mark: bool
    is_outdated: bool
    options: Sequence[tuple[str, str]]
    comment_length: int = COMMENT_LENGTH


def review_block(
    request: HttpRequest,
    state: PageState,
    team: Team,
    names: OrganisationNames,
    parts: Sequence[SpendPart],
) -> ReviewBlock | None:
    """None where the page shows no whole month: what is reviewed is a month."""
    runs = reviewed_runs(state)
    if not runs:
        return None
    month = state.period.start
    scope = TeamScope(frozenset({team.slug}))
    standing = standings(month=month, scope=scope).get(team.slug, Standing())
    return ReviewBlock(
        standing=standing,
        charged=_charged(state, scope),
        charged_address=explain_address(state, team=team.slug, whole="1"),
        table=arranged(_marks_table(state, standing, names), request),
        may_mark=leads(cast(User, request.user), team),
        is_outdated=standing.is_outdated(runs),
        options=list(_options(names, parts)),
    )


@require_POST
def mark_statement(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Keeps one mark of a lead of this very team; 404 for anyone else."""
    user = cast(User, request.user)
    team = team_for_user(user, slug)
    state = PageState.from_request(request, team=slug)
    runs = reviewed_runs(state)
    if not leads(user, team) or not runs:
        raise Http404
    try:
        add_mark(
            team=team,
            month=state.period.start,
            state=request.POST.get("state", ""),
            line=request.POST.get("line", ""),
            comment=request.POST.get("comment", ""),
            runs=runs,
            acting_user=user.username,
        )
    except MarkError as problem:
        messages.error(request, f"Not kept: {problem}.")
    else:
        messages.success(request, "Your mark is kept; finance sees it on Chargeback.")
    return redirect(f"{team_address(state, slug)}#review")


def _charged(state: PageState, scope: TeamScope) -> Decimal:
    """Of every environment, as cost centres pay for all of them."""
    question = replace(state.billed_in(state.period), scope=scope, filters=())
    return exact_sum(row.now for row in costs(question.by("team")))


def leads(user: User, team: Team) -> bool:
    return (Role.TEAM_LEAD, team.slug) in user.held


def reviewed_runs(state: PageState) -> tuple[MonthRun, ...]:
    """The month's runs in all currencies: a statement is all that a team owes. None for days that
    are no whole month.
    """
    return runs_of_months(state.runs, [state.period.start]) if state.period.is_month else ()


def line_words(line: str, names: OrganisationNames) -> str:
    """The line of a mark as its page calls it."""
    named = line_filters(line)
    words = [names.feature(value) if key == "feature" else value for key, value in named.items()]
    return ", ".join(words) or WHOLE_STATEMENT


def line_address(state: PageState, team: str, line: str) -> str:
    """Where the marked line is explained, which is also where the whole of a team is."""
    return explain_address(state, team=team, **line_filters(line))


def _marks_table(state: PageState, standing: Standing, names: OrganisationNames) -> Table:
    columns = [
        Column("at", "When"),
        Column("by", "Who"),
        Column("state", "Mark"),
        Column("line", "Line", "words"),
        Column("comment", "Comment", "words"),
    ]
    rows: list[Row] = [
        {
            "at": Cell(value=moment(mark.at)),
            "by": Cell(value=mark.made_by),
            "state": Cell(value=mark.state),
            "line": Cell(
                value=line_words(mark.line, names),
                href=line_address(state, state.team or "", mark.line),
                explain=True,
            ),
            "comment": Cell(value=mark.comment),
        }
        for mark in reversed(standing.marks)
    ]
    return Table("marks", "What was said of the month", columns, rows, sortable=False, cards=True)


def _options(names: OrganisationNames, parts: Sequence[SpendPart]) -> Iterator[tuple[str, str]]:
    """(reference, words) of the whole, each feature, and each part by rule."""
    yield "", WHOLE_STATEMENT
    for slug, name in sorted(names.features.items(), key=lambda item: item[1]):
        yield urlencode({"feature": slug}), f"Feature: {name}"
    for kind, rule in dict.fromkeys((part.kind, part.rule) for part in parts):
        words = next(p.kind_words for p in parts if (p.kind, p.rule) == (kind, rule))
        yield urlencode({"kind": kind, "rule": rule}), f"{capitalised(words)}: {rule}"
