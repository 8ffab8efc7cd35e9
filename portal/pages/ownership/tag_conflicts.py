"""/ownership/tags/: a work list of tags that name one team while the evidence names another."""

from __future__ import annotations

from datetime import date

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from allocation.values.money import exact_sum
from portal.pages.frame.render import render_page
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Row, Table, arranged, asked_download
from portal.pages.ownership.unowned import whole_month
from portal.pages.ownership.views import tabs
from reports.queries.ownership.organisation import team_names
from reports.queries.ownership.tag_conflicts import (
    BY_USAGE,
    LEAST,
    MOST,
    TagConflict,
    tag_conflicts,
)
from reports.readable import percent


@require_safe
def show_tag_conflicts(request: HttpRequest) -> HttpResponseBase:
    state = whole_month(PageState.from_request(request))
    found = tag_conflicts(month=state.period.start, scope=state.reader_scope)
    own = [conflict for conflict in found if conflict.currency == state.currency]
    table = conflicts_table(request, state, own)
    download = asked_download(request, [table], file_name=f"tags-{state.period.start:%Y-%m}")
    if download:
        return download
    context = {
        "tabs": tabs(state, "ownership_tags"),
        "table": table,
        "cost": exact_sum(conflict.effective_cost for conflict in own),
        "elsewhere": sorted({conflict.currency for conflict in found} - {state.currency}),
        "has_runs": bool(state.billed_in(state.period).runs),
        "most": MOST,
        "least": LEAST,
    }
    title = f"Conflicting tags, {state.period.words}"
    return render_page(
        request, "ownership/tags.html", context, page="ownership", title=title, state=state
    )


def conflicts_table(request: HttpRequest, state: PageState, found: list[TagConflict]) -> Table:
    names = team_names()
    columns = [
        Column("what", "What"),
        Column("tagged", "Tagged"),
        Column("likely", "Rather"),
        Column("cost", f"Cost in doubt, {state.currency}", "money", state.places),
        Column("days", "Charge days"),
        Column("evidence", "Because", "words"),
        Column("fix", "What to do", "words"),
    ]
    rows = [conflict_row(conflict, names) for conflict in found]
    total: Row = {
        "what": Cell(value="Total"),
        "cost": Cell(value=exact_sum(each.effective_cost for each in found)),
    }
    empty = "Nothing: no tag of this month contradicts what usage or the other days show."
    table = Table(
        "tags",
        "Tags that usage or other days contradict",
        columns,
        rows,
        total=total,
        sort="-cost",
        empty=empty,
    )
    return arranged(table, request)


def conflict_row(found: TagConflict, names: dict[str, str]) -> Row:
    likely = names.get(found.likely_team, found.likely_team)
    account = found.sub_account_name or found.sub_account
    where = f"{found.source}, {account}" if account and found.resource_name else found.source
    return {
        "what": Cell(value=found.resource_name or account, note=where),
        "tagged": Cell(value=names.get(found.tagged_team, found.tagged_team)),
        "likely": Cell(value=likely),
        "cost": Cell(value=found.effective_cost),
        "days": Cell(value=day_words(found.first_day, found.last_day)),
        "evidence": Cell(value=evidence_words(found, likely)),
        "fix": Cell(
            value=fix_words(found, names.get(found.tagged_team, found.tagged_team), likely)
        ),
    }


def day_words(first: date, last: date) -> str:
    if first == last:
        return f"{first.day} {first:%b}"
    return (
        f"{first.day} to {last.day} {last:%b}"
        if first.month == last.month
        else f"{first:%-d %b} to {last:%-d %b}"
    )


def evidence_words(found: TagConflict, likely: str) -> str:
    if found.evidence == BY_USAGE:
        return (
            f"{percent(found.share)} of what traces and usage reports show of this account was"
            f" used by {likely}"
        )
    return f"tagged {likely} on {percent(found.share)} of its days"


def fix_words(found: TagConflict, tagged: str, likely: str) -> str:
    """Where to put it right, and who pays until then."""
    if found.evidence == BY_USAGE:
        where = f"sub-account {found.sub_account}"
        until = (
            f"What usage shows is with its users already; until then {tagged} pays what it does"
            " not show."
        )
    else:
        where = f"{found.resource_name} for these days"
        until = (
            f"Until then {tagged} pays for them, unless a rule names {likely} before the one that"
            " reads the tag."
        )
    return (
        f"Tag {where} “{found.likely_team}” at {found.source} and load the corrected bill. {until}"
    )
