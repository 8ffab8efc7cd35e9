"""Reconciliation: what became of each bill, and why a bill of model usage is not what the traces
say.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import cast

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse

from allocation.values.money import exact_sum, minor_units
from portal.accounts.models import User
from portal.pages.frame.render import Chart, render_page
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Row, Table, arranged, asked_download
from portal.pages.registry import page_address, rights_of
from portal.pages.spend.blocks import explain_address
from reports.analysis.gap_causes import NamedCause
from reports.charts.spend import bridge
from reports.cost_question.question import ATTRIBUTED, LEDGER_PARTS
from reports.cost_question.runs import MonthRun, runs_of_months
from reports.queries.reconcile.gap_inputs import OffTheBill
from reports.queries.reconcile.gaps import MonthGaps, SourceGap, month_gaps
from reports.queries.reconcile.ledger import attributed_sources
from reports.queries.reconcile.other_months import earlier_cost
from reports.queries.reconcile.rejected import RejectedMoney, rejected_money
from reports.queries.reconcile.sources import (
    AllocatedSource,
    LoadedSource,
    allocated_sources,
    difference,
    loaded_sources,
)
from reports.readable import PARTS, capitalised, exact, ratio, safe_text

BILLED = "billed_cost"
ZERO = Decimal(0)


@dataclass(frozen=True)
class GapBlock:
    """One source's part of the page. `is_more` tells which way the gap goes.

    `table` has every cause, for the download; the page shows `moving`, and folded away `still`,
    those of exactly zero.
    """

    source: SourceGap
    chart: Chart
    table: Table
    moving: Table
    still: Table

    @property
    def gap_size(self) -> Decimal:
        return abs(self.source.gap.total)

    @property
    def still_names(self) -> str:
        return ", ".join(cause.label for cause in self.source.causes if not _is_shown(cause))

    @property
    def is_more(self) -> bool:
        return self.source.gap.total > 0


def reconciliation(request: HttpRequest) -> HttpResponseBase:
    state = PageState.from_request(request).whole_month("reconciliation")
    month = state.period.start
    runs = runs_of_months(state.runs, [month])
    loaded = loaded_sources(months=[month], metric=BILLED, scope=state.reader_scope)
    frame = {
        "page": "reconciliation",
        "title": f"Reconciliation, {state.period.words}",
        "state": state,
    }
    if not (loaded or runs):
        return render_page(request, "reconcile/empty.html", {}, **frame)  # type: ignore[arg-type]
    rejected = rejected_money(month) if state.reader_scope.is_everything else {}
    numbers = [run.id for run in runs] if state.reader_scope.is_everything else []
    earlier = earlier_cost(month=month, runs=numbers)
    made = allocated_sources(runs=runs, metric=BILLED, scope=state.reader_scope)
    gaps = month_gaps(month=month, runs=runs, scope=state.reader_scope)
    sources = _sources_table(request, state, loaded, made, rejected)
    attributed = _attributed_table(request, state, runs)
    blocks = [_block(request, state, source) for source in gaps.sources]
    off_the_bill = _off_the_bill_table(request, gaps.off_the_bill)
    tables = [sources, attributed, *(block.table for block in blocks), off_the_bill]
    context = {
        "sources": sources,
        "attributed": attributed,
        "unbalanced": sum(1 for row in sources.rows if row["difference"].value),
        "left_out": [
            (source, money.words(currency))
            for (source, currency), money in sorted(rejected.items())
            if money.is_open
        ],
        "earlier": [cost.words for cost in earlier if not cost.is_shown],
        "blocks": blocks,
        "off_the_bill": off_the_bill,
        "csv_address": f"{reverse('reconciliation_csv')}?period={month:%Y-%m}" if blocks else "",
    }
    download = asked_download(request, tables, file_name=f"reconciliation-{month:%Y-%m}")
    return download or render_page(request, "reconcile/page.html", context, **frame)  # type: ignore[arg-type]


# ---------------------------------------------------------------- bills


def _sources_table(
    request: HttpRequest,
    state: PageState,
    loaded: list[LoadedSource],
    made: list[AllocatedSource],
    rejected: dict[tuple[str, str], RejectedMoney],
) -> Table:
    """One line per source and currency, so that nothing is added over currencies."""
    bills = {(one.source, one.currency): one for one in loaded}
    runs = {(one.source, one.currency): one for one in made}
    columns = [
        Column("source", "Source"),
        Column("currency", "Currency"),
        Column("rows", "Bill lines", "count"),
        Column("rejected", "Rejected", "count"),
        Column("rejected_cost", "Rejected, invoiced", "money"),
        Column("loaded", "Loaded", "money"),
        Column("allocated", "Allocated", "money"),
        Column("unallocated", "Unallocated", "money"),
        Column("difference", "Difference", "money"),
    ]
    rows = [
        _source_row(state, key, bills.get(key), runs.get(key), rejected.get(key))
        for key in sorted({*bills, *runs, *rejected})
    ]
    return arranged(
        Table("sources", "Bills per source", columns, rows, sort="source", sums=True), request
    )


def _source_row(
    state: PageState,
    key: tuple[str, str],
    bill: LoadedSource | None,
    made: AllocatedSource | None,
    rejected: RejectedMoney | None,
) -> Row:
    name, currency = key
    places = minor_units(currency)
    row: Row = {
        "source": Cell(value=name),
        "currency": Cell(value=currency),
        "rejected_cost": Cell(value=rejected.billed_cost if rejected else ZERO, places=places),
    }
    if bill:
        row |= {
            "rows": Cell(value=bill.rows),
            "rejected": Cell(value=bill.rejected),
            "loaded": Cell(value=bill.cost, places=places),
        }
    if made:
        href = explain_address(
            state, source=name, kind="unallocated", whole="1", currency=currency, metric=BILLED
        )
        row |= {
            "allocated": Cell(value=made.allocated, places=places),
            "unallocated": Cell(value=made.unallocated, href=href, explain=True, places=places),
        }
    row["difference"] = Cell(value=difference(bill, made), places=places)
    return row


def _attributed_table(request: HttpRequest, state: PageState, runs: Sequence[MonthRun]) -> Table:
    """What of each source's cost is attributed, and the rest by its reason."""
    columns = [
        Column("source", "Source"),
        Column("currency", "Currency"),
        *(Column(part, capitalised(PARTS[part]), "money") for part in LEDGER_PARTS),
        Column("share", "Share attributed", "percent"),
    ]
    rows: list[Row] = []
    for run in runs:
        found = attributed_sources(question=run, scope=state.reader_scope)
        for source, parts in found.items():
            amounts = {part: parts.get(part, (ZERO, ZERO))[0] for part in LEDGER_PARTS}
            places = minor_units(run.currency)
            rows.append(
                {"source": Cell(value=source), "currency": Cell(value=run.currency)}
                | {part: Cell(value=cost, places=places) for part, cost in amounts.items()}
                | {"share": Cell(value=ratio(amounts[ATTRIBUTED], exact_sum(amounts.values())))}
            )
    caption = "Attributed cost per source"
    table = Table("attributed", caption, columns, rows, sort="source", sums=True)
    return arranged(table, request)


# ---------------------------------------------------------------- the gap


def _block(request: HttpRequest, state: PageState, source: SourceGap) -> GapBlock:
    gap, bill = source.gap, source.gap.bill
    name = f"gap-{bill.source_id}-{bill.currency.lower()}"
    table = _gap_table(request, state, source, name)
    shown = [(cause.label, cause.amount) for cause in source.causes if _is_shown(cause)]
    question = f"Why is the bill of {bill.source} not what the traces say?"
    figure = bridge(
        before=gap.start,
        parts=shown,
        after=bill.billed,
        net_label="Invoiced minus traced" if gap.is_compared else "Invoiced minus list",
    )
    short = "" if len(shown) > 4 else "short"
    still = {cause.label for cause in source.causes if not _is_shown(cause)}
    return GapBlock(
        source,
        Chart(name, question, figure, table, short),
        table,
        moving=replace(table, rows=[row for row in table.rows if row["cause"].value not in still]),
        still=replace(
            table,
            name=f"{name}-zero",
            caption=f"Causes of zero for {bill.source}",
            rows=[row for row in table.rows if row["cause"].value in still],
            total=None,
        ),
    )


def _is_shown(cause: NamedCause) -> bool:
    """Causes that move nothing stand aside; that nothing remains is worth a line."""
    return bool(cause.amount) or cause.key == "remainder"


def _gap_table(request: HttpRequest, state: PageState, source: SourceGap, name: str) -> Table:
    gap, bill = source.gap, source.gap.bill
    held = rights_of(cast(User, request.user))
    start = Cell(value="Traces at list price" if gap.is_compared else "Bill at its own list price")
    rows: list[Row] = [
        {
            "cause": start,
            "amount": Cell(value=gap.start),
            "share": Cell(value=ratio(gap.start, bill.billed)),
        }
    ]
    for cause in source.causes:
        rows.append(
            {
                "cause": Cell(value=cause.label),
                "amount": Cell(value=cause.amount),
                "share": Cell(value=ratio(cause.amount, bill.billed)),
                "evidence": Cell(value=cause.evidence),
                "fix": Cell(value=cause.fix, href=_fix_address(state, source, cause, held)),
            }
        )
    columns = [
        Column("cause", "Cause"),
        Column("amount", f"Amount, {bill.currency}", "money", minor_units(bill.currency)),
        Column("share", "Share of invoiced", "percent"),
        Column("evidence", "How we know", "words"),
        Column("fix", "Fix", "words"),
    ]
    total: Row = {
        "cause": Cell(value="Invoiced"),
        "amount": Cell(value=bill.billed),
        "share": Cell(value=ratio(bill.billed, bill.billed)),
    }
    return arranged(
        Table(
            name,
            f"The gap of {bill.source} by cause",
            columns,
            rows,
            total=total,
            sortable=False,
            cards=True,
        ),
        request,
    )


def _fix_address(state: PageState, source: SourceGap, cause: NamedCause, held: list[str]) -> str:
    """Where the fix begins, for a reader who may open it."""
    if cause.page is None or cause.page not in held:
        return ""
    bill = source.gap.bill
    if cause.page == "explain":
        return explain_address(
            state,
            source=bill.source,
            kind="untraced",
            whole="1",
            currency=bill.currency,
            metric=BILLED,
        )
    query = state.query_string(currency=bill.currency, metric=BILLED, team=None)
    return f"{page_address(cause.page)}?{query}"


def _off_the_bill_table(request: HttpRequest, found: tuple[OffTheBill, ...]) -> Table:
    columns = [
        Column("model", "Model"),
        Column("project", "Project"),
        Column("provider", "Provider"),
        Column("calls", "Calls", "count"),
        Column("unpriced", "Without a price", "count"),
        Column("estimate", "Estimate, USD", "money"),
        Column("reason", "Why", "words"),
    ]
    rows: list[Row] = [
        {
            "model": Cell(value=one.model or "no model"),
            "project": Cell(value=one.project or "no project"),
            "provider": Cell(value=one.provider or "no provider"),
            "calls": Cell(value=one.calls),
            "unpriced": Cell(value=one.unpriced_calls),
            # Nothing of it has a price: unknown, which is not zero.
            "estimate": Cell(
                value=None if one.calls and one.unpriced_calls == one.calls else one.estimate
            ),
            "reason": Cell(value=one.reason),
        }
        for one in found
    ]
    table = Table(
        "unbilled", "Traced, but on no bill", columns, rows, sort="-estimate", limit=12, cards=True
    )
    return arranged(table, request)


# ---------------------------------------------------------------- download

CSV_COLUMNS = (
    "BillingMonth",
    "Source",
    "BillingCurrency",
    "Line",
    "Amount",
    "ShareOfBilled",
    "Evidence",
    "Fix",
)


def download_csv(request: HttpRequest) -> HttpResponseBase:
    """Every gap of the month, exact: per source and currency the start, its causes and what was
    billed.
    """
    state = PageState.from_request(request).whole_month("reconciliation")
    month = state.period.start
    gaps = month_gaps(month=month, runs=state.runs, scope=state.reader_scope)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="gap-{month:%Y-%m}.csv"'
    writer = csv.writer(response, lineterminator="\r\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(_csv_rows(month, gaps))
    return response


def _csv_rows(month: date, gaps: MonthGaps) -> Iterator[list[str]]:
    for source in gaps.sources:
        gap, bill = source.gap, source.gap.bill
        head = [f"{month:%Y-%m}", safe_text(bill.source), bill.currency]
        start = "traces at list price" if gap.is_compared else "bill at its own list price"
        yield [*head, start, exact(gap.start), "", "", ""]
        for cause in source.causes:
            share = ratio(cause.amount, bill.billed)
            words = [safe_text(cause.evidence), safe_text(cause.fix)]
            yield [
                *head,
                cause.label.lower(),
                exact(cause.amount),
                "" if share is None else f"{share:.6f}",
                *words,
            ]
        yield [*head, "billed", exact(bill.billed), "", "", ""]
