"""The executive page: on plan, why up, who drives it, which vendor, can I trust it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from operator import attrgetter

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from allocation.values.money import exact_sum
from portal.pages.frame.render import Chart, read_trust, render_page
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Row, Table, arranged, asked_download
from portal.pages.spend.blocks import (
    UNALLOCATED_NAME,
    apart_by_team,
    before_of,
    change_chart,
    day_chart,
    headline_words,
    like_for_like,
    names_and_shades,
    spend_table,
    sums_apart,
    team_address,
    team_series,
)
from portal.pages.spend.on_plan import (
    PlanBook,
    PlanView,
    month_chart,
    plan_table,
    plan_view,
    read_plans,
    recent_costs,
)
from portal.pages.spend.why import change_address, why_in_words
from reports.analysis.spend import (
    Amounts,
    CallerCost,
    UnitCost,
    caller_costs,
    total_of,
    totals_by,
    unit_costs,
    why_changed,
)
from reports.charts.spend import DaySeries
from reports.cost_question.answers import (
    Named,
    SpendCell,
    SpendPart,
    UsageCell,
    costs,
    costs_by_day,
    spend_cells,
    spend_parts,
    usage_cells,
)
from reports.queries.costs.spend_items import SpendItem, spend_items
from reports.queries.costs.trust import Trust
from reports.queries.ownership.organisation import TeamInTree, names_of, teams_in_tree
from reports.queries.reconcile.sources import allocated_sources, differences, loaded_sources
from reports.readable import BEST_KNOWN_FIRST, MODEL_GROUPS, capitalised, ratio


@dataclass(frozen=True)
class Figures:
    """Everything the page reads."""

    cells: list[SpendCell]
    whole_bill: Decimal  # with what is outside AI
    days: dict[str, Named]
    items: list[SpendItem]
    usage: list[UsageCell]
    teams: list[TeamInTree]
    differences: dict[str, Decimal]  # per source of the billing months
    parts: list[SpendPart]
    known: Trust
    book: PlanBook
    plans: PlanView | None  # of the page's month
    months: list[DaySeries]  # cost per day of every month, by team

    @cached_property
    def callers(self) -> list[CallerCost]:
        return caller_costs(self.cells, self.usage)


def executive(request: HttpRequest) -> HttpResponseBase:
    state = PageState.from_request(request, converts=True)
    if not state.has_data:
        return render_page(
            request,
            "spend/executive/empty.html",
            {},
            page="executive",
            title="Executive",
            state=state,
        )
    figures = _read(state)
    tables = _tables(request, state, figures)
    charts = _charts(request, state, figures)
    wanted = [*tables.values(), *(chart.table for chart in charts.values() if chart)]
    download = asked_download(request, wanted, file_name=f"executive-{state.period.start}")
    return download or _page(request, state, figures, tables, charts)


def _read(state: PageState) -> Figures:
    question, every = state.question, state.every_month
    teams = teams_in_tree(scope=state.reader_scope, day=state.period.last_day)
    book = read_plans(state)
    everything = costs(replace(question, ai_only=False, compare=None).by())
    return Figures(
        cells=spend_cells(question),
        whole_bill=exact_sum(row.now for row in everything),
        days={
            name: costs_by_day(question=question, dimension=name)
            for name in ("team", "feature", "model", "model_group")
        },
        items=spend_items(question),
        usage=usage_cells(question),
        teams=teams,
        differences=_differences(state),
        parts=spend_parts(question),
        known=read_trust(state),
        book=book,
        plans=plan_view(state, book),
        months=team_series(costs_by_day(question=every, dimension="team"), teams) if every else [],
    )


def _differences(state: PageState) -> dict[str, Decimal]:
    """Bills against runs, each in its own currency: a rate has no part in whether they agree."""
    runs = state.runs_of(state.period)
    currencies = {run.currency for run in runs} or {state.currency}
    loaded = loaded_sources(
        months=state.period.months(), metric=state.metric, scope=state.reader_scope
    )
    allocated = allocated_sources(runs=runs, metric=state.metric, scope=state.reader_scope)
    return {
        f"{source}, {currency}": amount
        for (source, currency), amount in differences(loaded, allocated).items()
        if currency in currencies
    }


def _tables(request: HttpRequest, state: PageState, figures: Figures) -> dict[str, Table]:
    plans = figures.plans.whole if figures.plans else None
    return {
        **({"on_plan": plan_table(request, state, plans)} if plans and plans.lines else {}),
        "by_team": _team_table(request, state, figures),
        "by_feature": _feature_table(request, state, figures),
        "by_model": _model_table(request, state, figures),
        "by_provider": _provider_table(request, state, figures),
        "by_evidence": _evidence_table(request, state, figures),
    }


def _team_table(request: HttpRequest, state: PageState, figures: Figures) -> Table:
    known = names_and_shades(figures.teams)
    apart = apart_by_team(state)

    def name_cell(slug: str | None) -> Cell:
        if slug is None:
            return Cell(value=UNALLOCATED_NAME, shade=known[None][1])
        name, shade = known.get(slug, (slug, "other"))
        return Cell(
            value=name, shade=shade, href=team_address(state, slug) if slug in known else ""
        )

    return spend_table(
        request,
        state,
        totals_by(figures.cells, attrgetter("team")),
        name="teams",
        label="Team",
        caption="AI cost by team",
        name_cell=name_cell,
        amount_filters=lambda slug: {"team": slug} if slug else {"kind": "unallocated"},
        days=None if apart else figures.days["team"],  # there is room for one of them
        units=unit_costs(figures.callers, attrgetter("team")),
        limit=14,
        apart=apart,
    )


def _feature_table(request: HttpRequest, state: PageState, figures: Figures) -> Table:
    names = names_of(features={cell.feature for cell in figures.cells})
    return spend_table(
        request,
        state,
        totals_by(figures.cells, attrgetter("feature")),
        name="features",
        label="Feature",
        caption="AI cost by feature",
        name_cell=lambda feature: Cell(value=names.feature(feature)),
        amount_filters=lambda feature: {"feature": feature},
        days=figures.days["feature"],
        compact=True,
    )


def _model_table(request: HttpRequest, state: PageState, figures: Figures) -> Table:
    return spend_table(
        request,
        state,
        totals_by(figures.items, lambda item: item.model or GROUP_MARK + item.group),
        name="models",
        label="Model",
        caption="AI cost by model",
        name_cell=lambda model: Cell(value=MODEL_GROUPS.get(_group(model) or "", model)),
        amount_filters=lambda model: (
            {"model_group": _group(model)} if _group(model) else {"model": model}
        ),
        days={
            **figures.days["model"],
            **{f"{GROUP_MARK}{name}": own for name, own in figures.days["model_group"].items()},
        },
        compact=True,
    )


GROUP_MARK = "\0"  # before what names no model: no model's name begins so


def _group(model: str | None) -> str | None:
    return model[1:] if model and model.startswith(GROUP_MARK) else None


def _provider_table(request: HttpRequest, state: PageState, figures: Figures) -> Table:
    return spend_table(
        request,
        state,
        totals_by(figures.cells, attrgetter("provider")),
        name="providers",
        label="Provider",
        caption="AI cost by provider",
        name_cell=lambda provider: Cell(value=provider or "unknown provider"),
        amount_filters=lambda provider: {"provider": provider},
        compact=True,
    )


def _evidence_table(request: HttpRequest, state: PageState, figures: Figures) -> Table:
    """How it is known who owes the cost, what is known best first."""
    sums: dict[str, Decimal] = {}
    for part in figures.parts:
        sums[part.known_by] = exact_sum([sums.get(part.known_by, Decimal(0)), part.cost])
    whole = exact_sum(sums.values())
    columns = [
        Column("evidence", "How we know", "words"),
        Column("cost", f"Cost, {state.shown_currency}", "whole"),
        Column("share", "Share", "percent"),
    ]
    rows: list[Row] = [
        {
            "evidence": Cell(value=capitalised(words)),
            "cost": Cell(value=cost),
            "share": Cell(value=ratio(cost, whole)),
        }
        for words, cost in sorted(sums.items(), key=lambda one: BEST_KNOWN_FIRST.index(one[0]))
    ]
    total = {
        "evidence": Cell(value="Total"),
        "cost": Cell(value=whole),
        "share": Cell(value=ratio(whole, whole)),
    }
    table = Table("evidence", "Cost by how we know its owner", columns, rows, total=total)
    return arranged(table, request)


def _charts(request: HttpRequest, state: PageState, figures: Figures) -> dict[str, Chart | None]:
    parts = why_changed(figures.cells, figures.usage)
    return {
        "day_chart": day_chart(request, state, team_series(figures.days["team"], figures.teams)),
        "change_chart": change_chart(request, state, parts, total_of(figures.cells)),
        "month_chart": month_chart(request, state, figures.months, figures.book),
    }


def _page(
    request: HttpRequest,
    state: PageState,
    figures: Figures,
    tables: dict[str, Table],
    charts: dict[str, Chart | None],
) -> HttpResponse:
    total = total_of(figures.cells)
    context = {
        **tables,
        **charts,
        "plans": figures.plans,
        "recent": recent_costs(state, figures.months),
        "total": total,
        "before": before_of(state, total),
        "apart": sums_apart(state),
        "like_for_like": like_for_like(state),
        "movers": why_in_words(state, state.question, figures.items, figures.usage),
        "change_address": change_address(state),
        "period_words": headline_words(state),
        "compare_words": state.compare.words if state.compare else "",
        "unit": _organisation_unit_cost(figures),
        "ai_share": ratio(total.now, figures.whole_bill),
        "other_cost": figures.whole_bill - total.now,
        "largest_provider": _largest(figures),
        "sources": len(figures.differences),
        "is_reconciled": not any(figures.differences.values()),
    }
    return render_page(
        request,
        "spend/executive/page.html",
        context,
        page="executive",
        title="Executive",
        state=state,
        known=figures.known,
        tree=figures.teams,
    )


def _organisation_unit_cost(figures: Figures) -> UnitCost | None:
    return unit_costs(figures.callers, lambda _: None).get(None)


def _largest(figures: Figures) -> tuple[str, Decimal | None] | None:
    """The provider with the largest share of AI cost, and that share."""
    providers: dict[str | None, Amounts] = totals_by(figures.cells, attrgetter("provider"))
    total = total_of(figures.cells).now
    for provider, amounts in providers.items():
        return provider or "unknown", ratio(amounts.now, total)
    return None
