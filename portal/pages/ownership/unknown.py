"""/ownership/unknown/: what nobody understands of bills and calls, by money, and teaching it to the
organisation's catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import cast

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from allocation.catalogue.own_entries import CatalogueError
from allocation.catalogue.teaching import CannotTeach, likely_model
from portal.accounts.models import User
from portal.decisions.teaching import (
    ask_for_catalogue_preview,
    entries_with,
    identified,
    unknown_of,
)
from portal.pages.frame.posts import sent_from
from portal.pages.frame.render import render_page
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Row, Table, arranged, asked_download
from portal.pages.ownership.unowned import back_to, everything, whole_month
from portal.pages.ownership.views import may_change, tabs
from portal.pages.registry import holds
from reports.queries.ownership.unknown import (
    UNIT_KIND,
    WORDING_KIND,
    SilentEmitter,
    Unknown,
    UnknownList,
    called_models,
    silent_emitters,
    unknown_lines,
)
from reports.readable import grouped

TAUGHT_AT_ONCE = 40
KINDS = {WORDING_KIND: "Wording of a model", UNIT_KIND: "Unit"}
ASKS = {WORDING_KIND: "model", UNIT_KIND: "tokens in one unit"}


@dataclass(frozen=True)
class Lesson:
    """One wording or unit as the page asks what it means."""

    found: Unknown
    kind: str
    asks: str
    likely: str  # "" where nothing is like it


@require_safe
def show_unknown(request: HttpRequest) -> HttpResponseBase:
    state = whole_month(PageState.from_request(request))
    question = everything(state, state.period)
    found = unknown_lines(question=question)
    days = {"start": state.period.start, "end": state.period.end}
    silent = silent_emitters(**days, scope=question.scope)
    table = unknown_table(request, state, found, silent)
    download = asked_download(request, [table], file_name=f"unknown-{state.period.start:%Y-%m}")
    if download:
        return download
    context = {
        "tabs": tabs(state, "ownership_unknown"),
        "table": table,
        "found": found,
        "lessons": lessons(found, called_models(**days)),
        "may_change": may_change(request),
        "reads_imports": holds(request, "imports"),
        "has_runs": bool(question.runs),
        "month": f"{state.period.start:%Y-%m}",
    }
    title = f"Unknown wordings, {state.period.words}"
    return render_page(
        request, "ownership/unknown.html", context, page="ownership", title=title, state=state
    )


def lessons(found: UnknownList, called: list[str]) -> list[Lesson]:
    """What the page asks about, with the called model whose name is most like a wording."""
    made = []
    for one in found.found[:TAUGHT_AT_ONCE]:
        likely = likely_model(one.name, called) if one.kind == WORDING_KIND else None
        made.append(Lesson(one, KINDS[one.kind], ASKS[one.kind], likely or ""))
    return made


def unknown_table(
    request: HttpRequest, state: PageState, found: UnknownList, silent: list[SilentEmitter]
) -> Table:
    """Cost of bill lines, and beside it, never in the sum, the estimate of silent calls."""
    columns = [
        Column("kind", "What"),
        Column("name", "As it is worded"),
        Column("cost", f"Cost, {state.currency}", "money", state.places),
        Column("estimate", "Estimate at list price, USD", "money", 2, if_any=True),
        Column("count", "Bill lines or calls", "count"),
        Column("source", "Source"),
        Column("example", "For example", "words"),
    ]
    rows: list[Row] = [
        {
            "kind": Cell(value=KINDS[one.kind]),
            "name": Cell(value=one.name),
            "cost": Cell(value=one.cost),
            "count": Cell(value=one.charges),
            "source": Cell(value=one.source, note=one.provider or ""),
            "example": Cell(value=one.example),
        }
        for one in found.found
    ]
    rows += [
        {
            "kind": Cell(value="Emitter without tokens"),
            "name": Cell(value=one.scope or "no instrumentation scope"),
            "estimate": Cell(value=one.list_cost),
            "count": Cell(value=one.silent),
            "source": Cell(value="traces"),
            "example": Cell(
                value=f"{grouped(one.silent)} of {grouped(one.calls)} calls,"
                f" {one.example or 'no model'}"
            ),
        }
        for one in silent
    ]
    total: Row = {"kind": Cell(value="Total"), "cost": Cell(value=found.total)}
    table = Table(
        "unknown",
        "What nobody understands",
        columns,
        rows,
        total=total,
        limit=40,
        empty="Nothing: every model, unit and emitter of this month is understood.",
    )
    return arranged(table, request)


class TeachForm(forms.Form):
    what = forms.RegexField(r"^[0-9a-f]{24}$")
    means = forms.CharField(max_length=200)
    month = forms.RegexField(r"^\d{4}-(0[1-9]|1[0-2])$")
    currency = forms.RegexField(r"^[A-Z]{3}$")


@sent_from("ownership_unknown")
def teach(request: HttpRequest) -> HttpResponseBase:
    """Asks for the preview of a catalogue that knows this wording or unit, and shows it."""
    form = TeachForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Say which model it is, or how many tokens a unit is.")
        return HttpResponseRedirect(reverse("ownership_unknown"))
    given = form.cleaned_data
    month = date.fromisoformat(f"{given['month']}-01")
    try:
        found = unknown_of(month, given["currency"])
        entries = entries_with(found, identified(found, given["what"]), given["means"])
        preview = ask_for_catalogue_preview(
            entries, month=month, asked_by=cast(User, request.user).get_username()
        )
    except (CannotTeach, CatalogueError) as error:
        messages.error(request, f"Nothing has changed: {error}.")
        return back_to("ownership_unknown", given)
    return HttpResponseRedirect(reverse("rules_preview", args=[preview.pk]))
