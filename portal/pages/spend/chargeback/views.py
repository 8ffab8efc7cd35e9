"""Chargeback: a month as a path of stations, what each source's bills became, and the cost of each
cost centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import cast
from urllib.parse import urlencode

from django import forms
from django.http import (
    Http404,
    HttpRequest,
    HttpResponseBadRequest,
    HttpResponseBase,
)
from django.urls import reverse
from django.utils import timezone

from allocation.runs.changes import StaleReason, changes_since_runs
from allocation.values.money import exact_sum
from allocation.values.names import OUTSIDE_SCOPE
from allocation.values.periods import Period
from portal.accounts.access import team_scope
from portal.accounts.models import User
from portal.exports import chargeback_file, export_formats
from portal.pages.frame.render import render_page
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Row, Table, arranged, asked_download
from portal.pages.registry import page_address
from portal.pages.spend.between import hosting_table, provided_table
from portal.pages.spend.blocks import explain_address
from portal.pages.spend.chargeback.bridge import bridge_block
from portal.pages.spend.chargeback.center import center_address
from portal.pages.spend.chargeback.months import months_tables
from portal.pages.spend.chargeback.reviews import Reviews, month_reviews
from reports.cost_question.alike import Compared, alike
from reports.cost_question.question import Alike
from reports.cost_question.runs import MonthRun
from reports.exports.format import NotAllocated
from reports.queries.costs.cost_centers import CostCenterSpend, cost_centers
from reports.queries.reconcile.sources import (
    AllocatedSource,
    LoadedSource,
    allocated_sources,
    difference,
    differences,
    loaded_sources,
)
from reports.readable import COSTS, calculated, grouped

NO_OWNER = ("no owner", "AI cost that nobody owns yet")
OUTSIDE_AI = ("outside AI", "charged to nobody")


@dataclass(frozen=True)
class Station:
    """One step of the month. `state` is a class of the stylesheet: done, trouble or open."""

    name: str
    state: str
    evidence: str


@dataclass(frozen=True)
class MonthFigures:
    loaded: list[LoadedSource]
    allocated: list[AllocatedSource]
    allocated_otherwise: list[AllocatedSource]  # in the other metric
    centers: list[CostCenterSpend]
    like: Alike | None  # what the comparison of an open month counts
    runs: tuple[MonthRun, ...]
    changes: list[StaleReason]


def chargeback(request: HttpRequest) -> HttpResponseBase:
    state = PageState.from_request(request).whole_month("chargeback")
    month = state.period.start
    question = state.billed_in(state.period)
    allocated, allocated_otherwise = (
        allocated_sources(runs=question.runs, metric=metric, scope=state.reader_scope)
        for metric in (state.metric, _other_metric(state))
    )
    compared = Compared(state.question.runs, state.period, state.elapsed, state.elapsed.before())
    like = alike(compared, today=timezone.now().date())
    loaded = loaded_sources(months=[month], metric=state.metric, scope=state.reader_scope)
    figures = MonthFigures(
        loaded=[one for one in loaded if one.currency == state.currency],
        allocated=allocated,
        allocated_otherwise=allocated_otherwise,
        centers=cost_centers(
            question=question,
            before=state.billed_in(state.period.before()),
            like=like,
            mode_on=state.period.last_day,
        ),
        like=like,
        runs=question.runs,
        changes=changes_since_runs(question.run_ids),
    )
    frame = {"page": "chargeback", "title": f"Chargeback, {state.period.words}", "state": state}
    if not (figures.loaded or figures.runs):
        return render_page(request, "spend/chargeback/empty.html", {}, **frame)  # type: ignore[arg-type]
    sources, centers = (
        _sources_table(request, state, figures),
        _centers_table(request, state, figures),
    )
    between = provided_table(request, state, month=state.period)
    hosting = hosting_table(request, state, month=state.period)
    bridge = bridge_block(request, state, month=state.period)
    months, restated = months_tables(request, state)
    reviews = month_reviews(request, state)
    tables = [sources, bridge.table, centers, months, restated, between, hosting]
    tables += [reviews.teams, reviews.questions]
    download = asked_download(request, tables, file_name=f"chargeback-{month:%Y-%m}")
    context = {
        "stations": _stations(figures, reviews),
        "reviews": reviews,
        "sources": sources,
        "bridge": bridge,
        "centers": centers,
        "months": months,
        "restated": restated,
        "between": between,
        "hosting": hosting,
        "charges": exact_sum(one.cost for one in figures.allocated),
        "other_metric_charges": exact_sum(one.cost for one in figures.allocated_otherwise),
        "other_metric": COSTS[_other_metric(state)],
        "downloads": _downloads(state) if figures.runs else [],
        "page_address": page_address("chargeback"),
    }
    return download or render_page(request, "spend/chargeback/page.html", context, **frame)  # type: ignore[arg-type]


def _other_metric(state: PageState) -> str:
    return "billed_cost" if state.metric == "effective_cost" else "effective_cost"


def _sources_table(request: HttpRequest, state: PageState, figures: MonthFigures) -> Table:
    """Loaded against charges tells whether the run saw the newest bills; the difference is of the
    whole chain.
    """
    loaded = {source.source: source for source in figures.loaded}
    allocated = {one.source: one for one in figures.allocated}
    rows = [
        _source_row(state, name, loaded.get(name), allocated.get(name))
        for name in sorted({*loaded, *allocated})
    ]
    columns = [
        Column("source", "Source"),
        Column("rows", "Bill lines", "count"),
        Column("rejected", "Rejected", "count"),
        Column("loaded", f"Loaded, {state.currency}", "money", state.places),
        Column("allocated", "Allocated", "money", state.places),
        Column("unallocated", "No owner yet", "money", state.places),
        Column("outside", "Outside AI", "money", state.places),
        Column("difference", "Difference", "money", state.places),
    ]
    total: Row = {"source": Cell(value="Total")}
    for column in columns[1:]:
        values = [row[column.key].value for row in rows if column.key in row]
        total[column.key] = Cell(
            value=exact_sum(Decimal(value) for value in values if value is not None)
        )
    table = Table(
        "sources", "Bills per source", columns, rows, total=total, sort="source", sums=True
    )
    return arranged(table, request)


def _source_row(
    state: PageState, name: str, loaded: LoadedSource | None, made: AllocatedSource | None
) -> Row:
    row: Row = {"source": Cell(value=name)}
    if loaded:
        row |= {
            "rows": Cell(value=loaded.rows),
            "rejected": Cell(value=loaded.rejected),
            "loaded": Cell(value=loaded.cost),
        }
    if made:
        row |= {
            "allocated": Cell(value=made.allocated),
            "unallocated": Cell(
                value=made.without_owner,
                href=explain_address(state, source=name, kind="unallocated", whole="ai"),
                explain=True,
            ),
            "outside": Cell(
                value=made.outside_ai,
                href=explain_address(state, source=name, reason=OUTSIDE_SCOPE, whole="1"),
                explain=True,
            ),
        }
    row["difference"] = Cell(value=difference(loaded, made))
    return row


def _centers_table(request: HttpRequest, state: PageState, figures: MonthFigures) -> Table:
    known = bool(state.billed_in(state.period.before()).runs)
    columns = [
        Column("center", "Cost centre"),
        Column("name", "Name"),
        Column("mode", "Mode"),
        Column("cost", f"Cost, {state.currency}", "money", state.places, is_key=True),
        Column(
            "change",
            "Against last month, like for like" if figures.like else "Against last month",
            "change",
        ),
    ]
    rows = [_center_row(state, center, known) for center in figures.centers]
    now = exact_sum(center.now for center in figures.centers)
    before = exact_sum(center.before for center in figures.centers) if known else None
    compared = exact_sum(center.compared for center in figures.centers)
    total = {
        "center": Cell(value="Total"),
        "cost": Cell(value=now),
        "change": Cell(value=compared, before=before),
    }
    table = Table("centers", "Cost centres", columns, rows, total=total, sort="-cost", lines=True)
    return arranged(table, request)


def _center_row(state: PageState, center: CostCenterSpend, known: bool) -> Row:
    """A centre leads to its teams; what nobody pays leads to its explanation."""
    if center.is_unallocated or center.is_outside_ai:
        code, name = OUTSIDE_AI if center.is_outside_ai else NO_OWNER
        filters = (
            {"reason": OUTSIDE_SCOPE, "whole": "1"}
            if center.is_outside_ai
            else {"kind": "unallocated", "whole": "ai"}
        )
        label = Cell(value=code)
        cost = Cell(value=center.now, href=explain_address(state, **filters), explain=True)
    else:
        name = center.name or "team without placement"
        href = center_address(state, center.code)
        label = Cell(value=center.code or "no cost centre", href=href)
        cost = Cell(value=center.now, href=href)
    return {
        "center": label,
        "name": Cell(value=name),
        "mode": Cell(value=center.mode or ""),
        "cost": cost,
        "change": Cell(value=center.compared, before=center.before if known else None),
    }


def _stations(figures: MonthFigures, reviews: Reviews) -> list[Station]:
    """The stations that exist, with their evidence."""
    rejected = sum(source.rejected for source in figures.loaded)
    bills = sum(source.bills for source in figures.loaded)
    found = list(differences(figures.loaded, figures.allocated).values())
    return [
        Station(
            "Imported",
            "trouble" if rejected else "done" if bills else "open",
            f"bills: {grouped(bills)}, sources: {len(figures.loaded)},"
            f" rejected rows: {grouped(rejected)}",
        ),
        Station("Reconciled", *_reconciled(figures, found)),
        Station(
            "Allocated",
            *_allocated(figures),
        ),
        *([Station("Reviewed", *_reviewed(reviews))] if reviews.standings else []),
    ]


def _reviewed(reviews: Reviews) -> tuple[str, str]:
    teams = len(reviews.standings)
    words = f"accepted: {reviews.accepted} of {teams} team{'' if teams == 1 else 's'}"
    if reviews.questioned:
        return "trouble", f"{words}, questioned: {reviews.questioned}"
    return "done" if reviews.accepted == teams else "open", words


def _allocated(figures: MonthFigures) -> tuple[str, str]:
    if not figures.runs:
        return "open", "not calculated yet"
    when = calculated(run.finished_at for run in figures.runs)
    if not any(one.allocated for one in figures.allocated):
        return "trouble", f"{when}: no charge has an owner yet"
    if not figures.changes:
        return "done", when
    causes = "; ".join(change.cause + _days_words(change.days) for change in figures.changes)
    return "trouble", f"{when}, out of date: {causes}. Allocate the month again"


def _days_words(days: tuple[date, ...] | None) -> str:
    """Which charge days a change can move: `, charge days 3 to 5 Oct`; nothing where it can move
    any.
    """
    if not days:
        return ""
    first, last = days[0], days[-1]
    if first == last:
        return f", charge day {first.day} {first:%b}"
    return f", charge days {first.day} {first:%b} to {last.day} {last:%b}"


def _reconciled(figures: MonthFigures, found: Sequence[Decimal]) -> tuple[str, str]:
    if not figures.runs:
        return "open", "nothing to compare before the month is allocated"
    if any(found):
        return "trouble", "bills changed since: allocate the month again"
    return "done", f"difference 0 for {len(found)} source{'' if len(found) == 1 else 's'}"


def _downloads(state: PageState) -> list[tuple[str, str]]:
    """(label, address) of the month's file in each format."""
    month = urlencode({"period": f"{state.period.start:%Y-%m}"})
    return [
        (f"{each.label}, every line", f"{reverse('chargeback_file', args=[each.name])}?{month}")
        for each in export_formats().values()
    ]


class DownloadForm(forms.Form):
    period = forms.RegexField(r"^\d{4}-(0[1-9]|1[0-2])$")


def download(request: HttpRequest, format: str) -> HttpResponseBase:
    """The month's lines with control totals, streamed; 404 where the month is not allocated."""
    wanted, form = export_formats().get(format), DownloadForm(request.GET)
    if wanted is None:
        raise Http404
    if not form.is_valid():
        return HttpResponseBadRequest("period is a month such as 2026-10\n")
    try:
        return chargeback_file(
            wanted,
            period=Period.parse(form.cleaned_data["period"]),
            scope=team_scope(cast(User, request.user)),
        )
    except NotAllocated:
        raise Http404 from None
