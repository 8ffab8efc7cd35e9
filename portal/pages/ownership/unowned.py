"""/ownership/unowned/: what nobody owns, by money, with who might. /ownership/coverage/: how that
went over time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import cast

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from allocation.rules.suggestions import LEAST_CONFIDENCE, Suggestion, Unowned, WorkLine
from allocation.values.money import exact_sum
from allocation.values.periods import Period
from portal.accounts.models import User
from portal.decisions.owners import OwnerError, accept_owner
from portal.pages.frame.posts import sent_from
from portal.pages.frame.render import Chart, render_page
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Kind, Row, Table, arranged, asked_download
from portal.pages.ownership.views import may_change, tabs
from portal.pages.spend.blocks import explain_address
from reports.charts.coverage_lines import coverage_lines
from reports.cost_question.question import CostQuestion
from reports.queries.ownership.organisation import team_names, teams_in_tree
from reports.queries.ownership.required_keys import KeyCoverage, key_coverage
from reports.queries.ownership.unowned import SpendCoverage, coverage, unowned
from reports.readable import grouped, ratio, reason_words

MOST_MONTHS = 12
SUGGESTIONS_SHOWN = 40
COUNTED = {"cost": "cost", "charges": "bill lines"}
SHARES = {
    "allocated": "Allocated",
    "attributed": "Attributed",
    "tagged": "Tagged",
    "traced": "Measured",
}


@dataclass(frozen=True)
class SuggestionLine:
    """One suggestion as the page shows it."""

    found: Suggestion
    team: str
    confidence: Decimal
    where: str


@require_safe
def show_unowned(request: HttpRequest) -> HttpResponseBase:
    state = whole_month(PageState.from_request(request))
    names = team_names()
    question = everything(state, state.period)
    found = unowned(question=question, months=[state.period.start], currency=state.currency)
    table = work_table(request, state, found, names)
    download = asked_download(request, [table], file_name=f"unowned-{state.period.words}")
    if download:
        return download
    context = {
        "tabs": tabs(state, "ownership_unowned"),
        "table": table,
        "found": found,
        "suggestions": [
            suggestion_line(one, names) for one in found.suggestions[:SUGGESTIONS_SHOWN]
        ],
        "share": ratio(found.suggested, found.total),
        "least": Decimal(LEAST_CONFIDENCE.numerator) / LEAST_CONFIDENCE.denominator,
        "may_change": may_change(request),
        "has_runs": bool(question.runs),
        "month": f"{state.period.start:%Y-%m}",
    }
    title = f"Without an owner, {state.period.words}"
    return render_page(
        request, "ownership/unowned.html", context, page="ownership", title=title, state=state
    )


def whole_month(state: PageState) -> PageState:
    """Owners are found for billing months: a custom range becomes the month of its last day."""
    if state.period.is_month:
        return state
    month = Period.month(state.period.last_day)
    problem = f"owners are found for whole months: {month.words} is shown"
    return replace(state, period=month, elapsed=month, problems=(*state.problems, problem))


def everything(state: PageState, period: Period) -> CostQuestion:
    """The AI cost of the period's runs as the reader may see it: what has no owner is not narrowed
    to a team.
    """
    asked = state.billed_in(period)
    return replace(asked, scope=state.reader_scope, filters=(), ai_only=True)


def suggestion_line(found: Suggestion, names: dict[str, str]) -> SuggestionLine:
    services = found.condition.get("ServiceName", [])
    where = " · ".join(filter(None, [found.provider, ", ".join(services)])) or found.source
    confidence = Decimal(found.confidence.numerator) / found.confidence.denominator
    return SuggestionLine(found, names.get(found.team, found.team), confidence, where)


def work_table(
    request: HttpRequest, state: PageState, found: Unowned, names: dict[str, str]
) -> Table:
    columns = [
        Column("reason", "Why nobody owns it"),
        Column("cost", f"Cost, {state.currency}", "money", state.places),
        Column("charges", "Bill lines", "count"),
        Column("provider", "Provider"),
        Column("service", "Service"),
        Column("account", "Sub-account"),
        Column("owner", "Perhaps"),
        Column("confidence", "Confidence", "percent"),
    ]
    rows = [work_row(state, line, names) for line in found.lines]
    total: Row = {
        "reason": Cell(value="Total"),
        "charges": Cell(value=sum(line.charges for line in found.lines)),
        "cost": Cell(value=found.total),
    }
    table = Table(
        "lines",
        "AI cost without an owner",
        columns,
        rows,
        total=total,
        limit=40,
        sort="-cost",
        empty="Nothing: all AI cost of this month has an owner.",
        cards=True,
    )
    return arranged(table, request)


def work_row(state: PageState, line: WorkLine, names: dict[str, str]) -> Row:
    one = line.suggestion
    href = explain_address(
        state,
        kind="unallocated",
        whole="1",
        reason=line.reason,
        provider=line.provider,
        service=line.service,
    )
    row: Row = {
        "reason": Cell(
            value=reason_words(line.reason),
            note="" if line.rule == line.reason else f"rule: {line.rule}",
        ),
        "provider": Cell(value=line.provider or "not named"),
        "service": Cell(value=line.service or "not named"),
        "account": Cell(value=line.sub_account or "not named"),
        "charges": Cell(value=line.charges),
        "cost": Cell(value=line.cost, href=href, explain=True),
        "owner": Cell(
            value=names.get(one.team, one.team) if one else "", note=one.kind if one else ""
        ),
    }
    if one:
        row["confidence"] = Cell(
            value=Decimal(one.confidence.numerator) / one.confidence.denominator
        )
    return row


class AcceptForm(forms.Form):
    suggestion = forms.RegexField(r"^[0-9a-f]{24}$")
    month = forms.RegexField(r"^\d{4}-(0[1-9]|1[0-2])$")
    currency = forms.RegexField(r"^[A-Z]{3}$")


@sent_from("ownership_unowned")
def accept(request: HttpRequest) -> HttpResponseBase:
    """Makes a rule of one suggestion and goes back to the list."""
    form = AcceptForm(request.POST)
    if not form.is_valid():
        messages.error(request, "That is no suggestion of this list.")
        return HttpResponseRedirect(reverse("ownership_unowned"))
    given = form.cleaned_data
    month = date.fromisoformat(f"{given['month']}-01")
    user = cast(User, request.user).get_username()
    try:
        made = accept_owner(
            identity=given["suggestion"],
            month=month,
            currency=given["currency"],
            acting_user=user,
            today=timezone.now().date(),
        )
    except OwnerError as error:
        messages.error(request, f"Nothing has changed: {error}.")
    else:
        kept = "; what of it has an owner keeps it" if made.is_copy else ""
        messages.success(
            request,
            f"Rule set {made.rule_set} has the rule “{made.rule}” from {month:%B %Y} on. It takes"
            f" {grouped(made.charges)} bill lines of the month, {grouped(made.billed_cost, 2)}"
            f" {made.currency} invoiced{kept}; the month is being allocated again.",
        )
    return back_to("ownership_unowned", given)


def back_to(page: str, given: Mapping[str, str]) -> HttpResponseRedirect:
    """To the list in the month and currency that a form was sent for."""
    return HttpResponseRedirect(
        f"{reverse(page)}?period={given['month']}&currency={given['currency']}"
    )


# ---------------------------------------------------------------- coverage


@require_safe
def show_coverage(request: HttpRequest) -> HttpResponseBase:
    state = PageState.from_request(request)
    until = max(state.period.months())
    months = sorted(
        {run.month for run in state.runs if run.currency == state.currency and run.month <= until}
    )
    known = [
        one
        for month in months[-MOST_MONTHS:]
        if (one := coverage(question=everything(state, Period.month(month)), month=month))
        is not None
    ]
    by_cost = coverage_chart(
        request, state, known, by="cost", question="How much of the AI cost has an owner?"
    )
    by_count = coverage_chart(
        request, state, known, by="charges", question="How many of the AI bill lines have one?"
    )
    keys = keys_of_month(state, known[-1].month) if known else ()
    by_key, gaps = keys_table(request, state, keys), gaps_table(request, state, keys)
    tables = [by_cost.table, by_count.table, by_key, gaps]
    download = asked_download(request, tables, file_name="coverage")
    if download:
        return download
    context = {
        "tabs": tabs(state, "ownership_coverage"),
        "known": known,
        "charts": [by_cost, by_count],
        "newest": [
            (SHARES[what], known[-1].share(what, "cost"), known[-1].share(what, "charges"))
            for what in SHARES
        ]
        if known
        else [],
        "newest_month": known[-1].month if known else None,
        "by_key": by_key,
        "gaps": gaps,
    }
    return render_page(
        request,
        "ownership/coverage.html",
        context,
        page="ownership",
        title="Coverage over time",
        state=state,
    )


KEYS = {
    "team": "Team",
    "product": "Product",
    "model": "Model",
    "environment": "Environment",
    "region": "Region",
    "business_unit": "Business unit",
}
CLOSED_BY = {
    "team": "Give it an owner: a tag, a rule, or a suggestion accepted.",
    "product": "Name the feature in calls or tags, and its product in the organisation.",
    "model": "Teach the catalogue the wording; cost of machines and services has none.",
    "environment": "Send deployment.environment.name, or tag the resource.",
    "region": "Ask for a bill with RegionId.",
    "business_unit": "Give the team a place in the organisation.",
}


def keys_of_month(state: PageState, month: date) -> tuple[KeyCoverage, ...]:
    period = Period.month(month)
    teams = teams_in_tree(scope=state.reader_scope, day=period.last_day)
    return key_coverage(
        question=everything(state, period), units={team.slug: team.unit for team in teams}
    )


def keys_table(request: HttpRequest, state: PageState, keys: Sequence[KeyCoverage]) -> Table:
    columns = [
        Column("key", "Key"),
        Column("cost", f"AI cost, {state.currency}", "money", state.places),
        Column("known", "Cost with the key", "money", state.places),
        Column("missing", "Cost without it", "money", state.places),
        Column("share", "Covered", "percent"),
    ]
    rows: list[Row] = [
        {
            "key": Cell(value=KEYS[one.key]),
            "cost": Cell(value=one.cost),
            "known": Cell(value=one.known),
            "missing": Cell(value=exact_sum(gap.cost for gap in one.gaps)),
            "share": Cell(value=one.share),
        }
        for one in keys
    ]
    table = Table("keys", "AI cost by required key", columns, rows, sortable=False)
    return arranged(table, request)


def gaps_table(request: HttpRequest, state: PageState, keys: Sequence[KeyCoverage]) -> Table:
    """Each gap with who can close it."""
    names = team_names() if keys else {}
    columns = [
        Column("key", "Key"),
        Column("owner", "Whose"),
        Column("missing", "Cost without it", "money", state.places),
        Column("share", "Share of AI cost", "percent"),
        Column("fix", "What to do", "words"),
    ]
    rows: list[Row] = [
        {
            "key": Cell(value=KEYS[gap.key]),
            "owner": Cell(value=names.get(gap.team, gap.team))
            if gap.team
            else Cell(value=f"bill of {gap.source}", note="no team"),
            "missing": Cell(value=gap.cost),
            "share": Cell(value=ratio(gap.cost, one.cost)),
            "fix": Cell(value=CLOSED_BY[gap.key]),
        }
        for one in keys
        for gap in one.gaps
    ]
    empty = "None: all AI cost of the month carries every key."
    table = Table(
        "gaps", "Cost without a key", columns, rows, sort="-missing", limit=20, empty=empty
    )
    return arranged(table, request)


def coverage_chart(
    request: HttpRequest, state: PageState, known: list[SpendCoverage], *, by: str, question: str
) -> Chart:
    """Shares as lines; the table has the exact amounts, or counts, beside them."""
    shares = {label: [one.share(what, by) for one in known] for what, label in SHARES.items()}
    figure = coverage_lines([one.month for one in known], shares)
    kind: Kind = "money" if by == "cost" else "count"
    whole = f"AI cost, {state.currency}" if by == "cost" else "AI bill lines"
    columns = [Column("month", "Month"), Column(by, whole, kind)]
    for what, label in SHARES.items():
        columns += [
            Column(f"{by}_{what}", f"{label} {COUNTED[by]}", kind),
            Column(f"{what}_share", label, "percent"),
        ]
    rows: list[Row] = []
    for one in reversed(known):
        row: Row = {"month": Cell(value=f"{one.month:%Y-%m}"), by: Cell(value=getattr(one, by))}
        for what in SHARES:
            row[f"{by}_{what}"] = Cell(value=getattr(one, f"{by}_{what}"))
            row[f"{what}_share"] = Cell(value=one.share(what, by))
        rows.append(row)
    total: Row = {"month": Cell(value="Total")}
    for column in columns[1:]:
        if column.kind == kind:
            total[column.key] = Cell(
                value=exact_sum(Decimal(getattr(one, column.key)) for one in known)
            )
    table = Table(f"coverage-{by}", question, columns, rows, total=total, sortable=False)
    return Chart(table.name, question, figure, arranged(table, request))
