"""/explain/: where one amount comes from, down to bill rows and traces; beside a page, by itself,
or as JSON.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from portal.pages.explain.explain_json import as_json
from portal.pages.explain.explanation import (
    Explanation,
    billed_amounts,
    explain,
    page_offset,
    rule_number,
)
from portal.pages.explain.next_steps import next_steps
from portal.pages.frame.render import Crumb, render_page
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Table, csv_response
from portal.pages.registry import holds
from reports.analysis.arithmetic import (
    NotTheAmount,
    Step,
    note_words,
    steps,
    widened_words,
)
from reports.cost_question.answers import rule_methods
from reports.queries.explain.amount import (
    LINES,
    ExplainedDay,
    ExplainedLine,
    ExplainedPart,
    GroupPart,
)
from reports.queries.explain.evidence import BEFORE_ALL, bill_rows
from reports.queries.ownership.organisation import OrganisationNames, names_of
from reports.readable import KINDS, METHODS, calculated, kind_known_by, reason_words

log = logging.getLogger(__name__)

# By whether it is AI only, and whether it is of charge days.
BASIS_WORDS = {
    (True, True): "AI spending only, by the day of the charge",
    (True, False): "AI spending only, on the month's bills",
    (False, False): "everything on the month's bills, also outside AI",
}
OWN_PARAMETERS = ("line", "day", "bill", "offset", "part", "format", "download")
MOST_BILL_ROWS = 50_000  # in one download


@dataclass(frozen=True)
class LineText:
    """One bill line in words."""

    line: ExplainedLine
    title: str
    detail: str
    query: str
    is_chosen: bool


@dataclass(frozen=True)
class PartText:
    part: ExplainedPart
    known_by: str
    query: str
    is_chosen: bool


@dataclass(frozen=True)
class DayText:
    """One day in words and steps; without steps where no calculation gives its amount."""

    day: ExplainedDay
    known_by: str
    steps: list[Step]
    widened: str | None
    note: str | None
    query: str
    is_chosen: bool

    @property
    def less(self) -> Decimal | None:
        return next((step.value for step in self.steps if step.kind == "less"), None)

    @property
    def ratio(self) -> Step | None:
        return next((step for step in self.steps if step.kind == "ratio"), None)

    @property
    def has_rounding(self) -> bool:
        return any(step.kind == "rounding" for step in self.steps)


@require_safe
def show_explain(request: HttpRequest) -> HttpResponseBase:
    state = PageState.from_request(request)
    billed = billed_amounts(request, state)
    if billed and state.currency not in billed:
        state = replace(state, currency=max(billed, key=lambda currency: abs(billed[currency])))
    found = explain(request, state)
    if request.GET.get("download") == "bill" and found.line and found.may_see_bill:
        return bill_rows_csv(found.line, state)
    if request.GET.get("format") == "json":
        return JsonResponse(as_json(found, state), json_dumps_params={"indent": 1})
    context = describe(found, request, state)
    context["billed_otherwise"] = [
        (currency, amount, _in_currency(request, state, currency))
        for currency, amount in billed.items()
        if currency != state.currency
    ]
    if request.headers.get("HX-Request") and not request.headers.get("HX-Boosted"):
        return render(request, "explain/panel.html", {"state": state, "is_panel": True, **context})
    context["crumbs"] = [
        Crumb("Overview", f"{reverse('home')}?{state.query_string()}"),
        Crumb("Explain"),
    ]
    return render_page(
        request, "explain/page.html", context, page="explain", title="Explain", state=state
    )


def _in_currency(request: HttpRequest, state: PageState, currency: str) -> str:
    """The parameters that ask for the same amount as billed in another currency."""
    asked = {name: value for name, value in request.GET.items() if name not in OWN_PARAMETERS}
    return urlencode({**state.parameters(), **asked, "currency": currency})


def describe(found: Explanation, request: HttpRequest, state: PageState) -> dict[str, Any]:
    asked = {name: value for name, value in request.GET.items() if name not in OWN_PARAMETERS}
    kept = {**state.parameters(), **asked}
    place = found.parts.index(found.chosen) if found.chosen else 0
    offset = page_offset(request.GET.get("offset"))

    def query(place: int, line: ExplainedLine | None = None, offset: int = 0, **more: str) -> str:
        own = {
            "part": str(place) if place else None,
            "line": f"{line.run}-{line.split_key_id}" if line else None,
        }
        values = {**kept, **own, "offset": str(offset) if offset else None, **more}
        return urlencode({name: value for name, value in values.items() if value})

    here = query(place, found.line, offset)
    names = names_in(found)
    methods = rule_methods(question=found.question) if found.parts else {}
    days = [
        day_text(
            found.line.method,
            day,
            found.group_parts[day.day],
            query=query(place, found.line, offset, day=day.day.isoformat()),
            is_chosen=day is found.example,
        )
        for day in found.days
        if found.line
    ]
    return {
        "found": found,
        "subject": subject(found, names, state),
        "basis": BASIS_WORDS[found.question.ai_only, found.question.period is not None],
        "parts": [
            PartText(
                part,
                kind_known_by(part.charge_kind, part.evidence, methods.get(part.rule)),
                query(number),
                part is found.chosen,
            )
            for number, part in enumerate(found.parts)
        ],
        "lines": [
            LineText(
                line,
                *line_words(line, names, found.accounts),
                query(place, line, offset),
                line is found.line,
            )
            for line in found.lines
        ],
        "more_lines_query": query(place, offset=offset + LINES) if found.has_more_lines else None,
        "first_lines_query": query(place) if offset else None,
        "is_direct": found.line is not None and found.line.method == "direct",
        "line_words": line_words(found.line, names, found.accounts) if found.line else None,
        "method_words": METHODS[found.line.method] if found.line else None,
        "calculated": calculated([found.run.finished_at]) if found.run else "",
        "rule_number": rule_number(found),
        "days": days,
        "example": next((day for day in days if day.is_chosen), None),
        "next_steps": next_steps(request, state, found.chosen),
        "line_total": sum((day.amount for day in found.days), Decimal(0)),
        "traces": [(trace, names.feature(trace.feature)) for trace in found.traces],
        "bill_query": query(place, found.line, offset, bill="0-0-0"),
        "next_bill_query": query(
            place, found.line, offset, bill="{}-{}-{}".format(*found.next_bill_row)
        )
        if found.next_bill_row
        else None,
        "bill_csv_query": query(place, found.line, offset, download="bill"),
        "page_query": here,
        "json_query": query(place, found.line, offset, format="json", bill="0-0-0"),
        "opens_traces": holds(request, "debug"),
    }


BILL_COLUMNS = (
    Column("file_name", "File"),
    Column("line", "Line", "count"),
    Column("charge_period_start", "Charge period start"),
    Column("charge_period_end", "Charge period end"),
    Column("description", "Description"),
    Column("sku", "SKU"),
    Column("resource", "Resource"),
    Column("sub_account", "Sub-account"),
    Column("invoice_id", "Invoice"),
    Column("consumed_quantity", "Consumed quantity", "count"),
    Column("consumed_unit", "Consumed unit"),
    Column("billed_cost", "Billed cost", "money"),
    Column("effective_cost", "Effective cost", "money"),
)


def bill_rows_csv(line: ExplainedLine, state: PageState) -> HttpResponse:
    """The delivered rows of a line, exact, at most 50,000 of them."""
    delivered = bill_rows(
        run=line.run,
        split_key_id=line.split_key_id,
        after=BEFORE_ALL,
        teams=state.reader_scope,
        limit=MOST_BILL_ROWS,
    )
    rows = [
        {column.key: Cell(value=_plain(getattr(row, column.key))) for column in BILL_COLUMNS}
        for row in delivered
    ]
    table = Table(name="bill-rows", caption="Bill lines", columns=BILL_COLUMNS, rows=rows)
    return csv_response(table, file_name=f"explain-{line.run}-{line.split_key_id}")


def _plain(value: str | int | Decimal | datetime | None) -> str | int | Decimal | None:
    return value.isoformat() if isinstance(value, datetime) else value


def names_in(found: Explanation) -> OrganisationNames:
    """Of the question's team and feature, of the lines' and of the sample traces'. Where nothing
    was found, the question's words stay as they are: whose feature it is may be nothing that the
    reader may know.
    """
    targets = [
        json.loads(line.split_key).get("target", {})
        for line in [*found.lines, *filter(None, [found.line])]
    ]
    value = found.question.value
    return names_of(
        teams=[value("team"), *(target.get("team") for target in targets)],
        features=[
            value("feature") if found.parts else None,
            *(target.get("feature") for target in targets),
            *(trace.feature for trace in found.traces),
        ],
    )


def subject(found: Explanation, names: OrganisationNames, state: PageState) -> str:
    """What the amount is of: `Support, gpt-4o, no trace`, or `everything`."""
    value = found.question.value
    team, feature, kind = value("team"), value("feature"), value("charge_kind")
    words = [
        names.team(team) if team else None,
        names.feature(feature) if feature else None,
        *map(value, ("product", "model", "environment", "provider", "service", "source", "rule")),
        KINDS.get(kind, kind) if kind else None,
        reason_words(value("reason")),
        state.unit,
    ]
    return ", ".join(word for word in words if word) or (
        "everything" if state.reader_scope.is_everything else "your teams"
    )


def line_words(
    line: ExplainedLine, names: OrganisationNames, accounts: Mapping[str, str]
) -> tuple[str, str]:
    """What the bill line is about, and where on the bill it stands."""
    key = json.loads(line.split_key)
    about = [key.get("model"), (key.get("token_class") or "").replace("_", " "), key.get("tier")]
    title = " ".join(word for word in about if word)
    service = line.service_name or line.provider_name or "Bill lines"
    if not title:
        title = (
            f"{service}, {line.charge_category.lower()}"
            if line.charge_category != "Usage"
            else service
        )
    target = key.get("target", {})
    team, feature = target.get("team"), target.get("feature")
    owner = names.feature(feature) if feature else names.team(team) if team else None
    where = [owner, line.source, service]
    account = key.get("project") or key.get("sub_account")
    named = accounts.get(account)
    where.append(f"{named} ({account})" if named and named != account else account)
    return title, ", ".join(dict.fromkeys(word for word in where if word and word != title))


def day_text(
    method: str,
    day: ExplainedDay,
    parts: Sequence[GroupPart],
    *,
    query: str,
    is_chosen: bool,
) -> DayText:
    try:
        found = steps(method, day, parts)
    except NotTheAmount:
        log.exception("explain: an amount that no steps give")
        found = []
    return DayText(
        day=day,
        known_by=kind_known_by(day.charge_kind, day.evidence, method),
        steps=found,
        widened=widened_words(method, day.widened),
        note=note_words(day),
        query=query,
        is_chosen=is_chosen,
    )
