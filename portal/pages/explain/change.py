"""/explain/change/: where a change comes from, then and now: by rule, model, feature and service,
and by quantity and price; beside a page, or by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from allocation.values.money import exact_sum
from portal.pages.frame.render import Crumb, render_page
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Row, Table, arranged
from portal.pages.registry import page_address
from portal.pages.spend.blocks import explain_address, like_for_like
from portal.pages.spend.why import part_names, why_in_words
from reports.analysis.spend import Amounts, why_changed
from reports.cost_question.answers import CostRow, UsageCell, costs, spend_cells, usage_cells
from reports.cost_question.question import CostQuestion
from reports.queries.costs.spend_items import spend_items
from reports.queries.ownership.organisation import OrganisationNames, names_of
from reports.readable import KINDS, MODEL_GROUPS

FILTERS = (
    "feature",
    "product",
    "model",
    "model_group",
    "provider",
    "service",
    "source",
    "rule",
    "reason",
)
BY = {"rule": "Rule", "model": "Model", "feature": "Feature", "service": "Service"}
UNKNOWN = {"rule": "no rule", "model": "no model", "feature": "no feature", "service": "not named"}
OF_CALLS = frozenset({"team", "feature", "model", "environment"})  # what calls can be picked by
MILLION = Decimal(10**6)


@require_safe
def show_change(request: HttpRequest) -> HttpResponseBase:
    state = PageState.from_request(request, converts=True)
    chosen = filters_of(request)
    question = state.question.where(**chosen, team=state.team)
    context = describe(request, state, question, chosen)
    if request.headers.get("HX-Request") and not request.headers.get("HX-Boosted"):
        return render(
            request, "explain/change_panel.html", {"state": state, "is_panel": True, **context}
        )
    context["crumbs"] = [
        Crumb("Executive", f"{page_address('executive')}?{state.query_string()}"),
        Crumb("Explain the change"),
    ]
    return render_page(
        request,
        "explain/change.html",
        context,
        page="explain",
        title="Explain the change",
        state=state,
    )


def filters_of(request: HttpRequest) -> dict[str, str]:
    asked = {name: request.GET.get(name, "") for name in FILTERS}
    asked["charge_kind"] = request.GET.get("kind") or request.GET.get("charge_kind") or ""
    if any(len(value) > 500 for value in asked.values()):
        raise Http404
    return {name: value for name, value in asked.items() if value}


def describe(
    request: HttpRequest, state: PageState, question: CostQuestion, chosen: dict[str, str]
) -> dict[str, Any]:
    rows = compared_costs(question.by())
    total = Amounts(exact_sum(row.now for row in rows), exact_sum(row.before for row in rows))
    is_known = state.compare is not None and state.comparison_known
    usage = _usage(question)
    tables = [
        table
        for name in BY
        if name not in chosen and (table := _by(request, state, question, chosen, name, total))
    ]
    return {
        "total": total,
        "is_known": is_known,
        "like_for_like": like_for_like(state),
        "subject": _subject(state, chosen),
        "now_words": state.elapsed.words,
        "before_words": state.compare.words if state.compare else "",
        "movers": why_in_words(state, question, spend_items(question), usage, **chosen)
        if is_known
        else [],
        "why": _why(request, state, question, usage, total) if is_known else None,
        "quantities": _quantities(request, state, question, usage) if is_known else None,
        "tables": tables,
        "query": state.query_string(**chosen),
    }


def compared_costs(question: CostQuestion) -> list[CostRow]:
    """The question's costs as far as they are like for like: a change is of nothing else."""
    return [
        CostRow(row.key, row.compared, row.before)
        for row in costs(question)
        if row.compared or row.before
    ]


def _subject(state: PageState, chosen: dict[str, str]) -> str:
    names = names_of(teams=[state.team], features=[chosen.get("feature")])
    words = {
        **chosen,
        "feature": names.feature(chosen["feature"]) if "feature" in chosen else "",
        "model_group": MODEL_GROUPS.get(chosen.get("model_group", ""), ""),
        "charge_kind": KINDS.get(chosen.get("charge_kind", ""), ""),
        "team": names.team(state.team) if state.team else "",
    }
    everything = "Everything" if state.reader_scope.is_everything else "Your teams"
    return ", ".join(word for word in words.values() if word) or everything


def _by(
    request: HttpRequest,
    state: PageState,
    question: CostQuestion,
    chosen: dict[str, str],
    name: str,
    total: Amounts,
) -> Table | None:
    """Then and now of each value; None where there is only one that says nothing."""
    found = sorted(compared_costs(question.by(name)), key=_most_moved)
    if not found or [row.key for row in found] == [(None,)]:
        return None
    names = names_of(features=[row.key[0] for row in found] if name == "feature" else [])
    rows = [_row(state, chosen, name, row, names) for row in found]
    columns = [
        Column("name", BY[name]),
        Column("before", f"Then, {state.shown_currency}", "money", state.places),
        Column("now", f"Now, {state.shown_currency}", "money", state.places),
        Column("change", "Change", "change", state.places, is_key=True),
    ]
    whole: Row = {
        "name": Cell(value="Total"),
        "before": Cell(value=total.before),
        "now": Cell(value=total.now),
        "change": Cell(value=total.now, before=total.before),
    }
    caption = f"The change by {BY[name].lower()}"
    table = Table(f"by-{name}", caption, columns, rows, total=whole, limit=10, lines=True)
    return arranged(table, request)


def _most_moved(row: CostRow) -> tuple[Decimal, str]:
    return -abs(row.now - row.before), str(row.key)


def _row(
    state: PageState,
    chosen: dict[str, str],
    name: str,
    row: CostRow,
    names: OrganisationNames,
) -> Row:
    (value,) = row.key
    shown = names.feature(value) if name == "feature" else value
    filters = {**chosen, name: value}
    opens = value is not None and "model_group" not in chosen
    return {
        "name": Cell(value=shown if value else UNKNOWN[name]),
        "before": Cell(value=row.before, href=_then(state, filters) if opens else "", explain=True),
        "now": Cell(
            value=row.now, href=explain_address(state, **filters) if opens else "", explain=True
        ),
        "change": Cell(value=row.now, before=row.before),
    }


def _then(state: PageState, filters: dict[str, str]) -> str:
    """Where an amount of the compared period is explained."""
    if state.compare is None:
        return ""
    then = {"period": None, "from": f"{state.compare.start}", "to": f"{state.compare.last_day}"}
    return f"{page_address('explain')}?{state.query_string(**then, **filters)}"


# ---------------------------------------------------------------- quantity and price


def _usage(question: CostQuestion) -> list[UsageCell]:
    """The calls behind the question; none where it asks for what calls cannot be picked by."""
    if any(name not in OF_CALLS for name, _ in question.filters):
        return []
    of_calls = tuple(one for one in question.filters if one[0] == "environment")
    return [
        use
        for use in usage_cells(replace(question, filters=of_calls))
        if all(
            question.value(name) in (None, getattr(use, name))
            for name in ("team", "feature", "model")
        )
    ]


def _why(
    request: HttpRequest,
    state: PageState,
    question: CostQuestion,
    usage: list[UsageCell],
    total: Amounts,
) -> Table | None:
    """The change in parts that add up to it; None where its calls are not known."""
    if not usage:
        return None
    parts = why_changed(spend_cells(question), usage)
    rows: list[Row] = [
        {
            "part": Cell(value=name),
            "meaning": Cell(value=part.meaning),
            "amount": Cell(value=part.amount),
        }
        for name, part in zip(part_names(parts), parts, strict=True)
    ]
    columns = [
        Column("part", "Part"),
        Column("meaning", "Meaning", "words"),
        Column("amount", f"Change, {state.shown_currency}", "money", state.places, is_key=True),
    ]
    whole: Row = {
        "part": Cell(value="Total"),
        "amount": Cell(value=total.now - total.before),
    }
    table = Table("why", "The change in parts", columns, rows, total=whole, sortable=False)
    return arranged(replace(table, lines=True), request)


def _quantities(
    request: HttpRequest, state: PageState, question: CostQuestion, usage: list[UsageCell]
) -> Table | None:
    """Calls, tokens and cost per token of each model with calls in either period."""
    cost = {row.key[0]: row for row in compared_costs(question.by("model"))}
    rows: list[Row] = []
    for model in sorted({use.model for use in usage if use.model in cost and use.model}):
        own = [use for use in usage if use.model == model]
        tokens, tokens_before = _sum(own, "tokens"), _sum(own, "tokens_before")
        rows.append(
            {
                "model": Cell(value=model),
                "calls_before": Cell(value=_sum(own, "calls_before")),
                "calls": Cell(value=_sum(own, "calls")),
                "tokens_before": Cell(value=tokens_before),
                "tokens": Cell(value=tokens),
                "rate_before": Cell(value=_rate(cost[model].before, tokens_before)),
                "rate": Cell(value=_rate(cost[model].now, tokens)),
            }
        )
    if not rows:
        return None
    rate = f"per 1M tokens, {state.shown_currency}"
    columns = [
        Column("model", "Model"),
        Column("calls_before", "Calls then", "count"),
        Column("calls", "Calls now", "count"),
        Column("tokens_before", "Tokens then", "count"),
        Column("tokens", "Tokens now", "count"),
        Column("rate_before", f"Then {rate}", "unit"),
        Column("rate", f"Now {rate}", "unit"),
    ]
    table = Table("quantities", "Quantity and price", columns, rows, limit=10, sort="-tokens")
    return arranged(replace(table, cards=True, sums=True), request)


def _sum(cells: Iterable[UsageCell], name: str) -> Decimal:
    return exact_sum(getattr(cell, name) for cell in cells)


def _rate(cost: Decimal, tokens: Decimal) -> Decimal | None:
    with localcontext(prec=60):
        return cost * MILLION / tokens if tokens > 0 else None
