"""/explore/: cost, calls, tokens or unit cost by any two dimensions; a link reproduces the view."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_safe

from allocation.values.periods import Period
from portal.pages.frame.render import Chart, render_page
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Kind, Row, Table, arranged, asked_download
from portal.pages.registry import page_address
from portal.pages.spend.blocks import UNALLOCATED_NAME, names_and_shades
from portal.pages.spend.explore.asking import (
    DIMENSIONS,
    FILTERED,
    MEASURES,
    SPANS,
    TIMES,
    Answer,
    Asked,
    answered,
    asked_for,
    days_of,
    explored_period,
    question_about,
)
from reports.charts.spend import DaySeries, stacked_days
from reports.charts.style import OTHER, UNALLOCATED, shade_of
from reports.queries.ownership.organisation import names_of, teams_in_tree
from reports.readable import KINDS, capitalised

MOST_COLUMNS = 12  # beside one another; the file has all of them
# What Explain can be asked about, by the names it has there.
EXPLAINED = {
    "team": "team",
    "feature": "feature",
    "model": "model",
    "product": "product",
    "provider": "provider",
    "service": "service",
    "source": "source",
    "rule": "rule",
    "charge_kind": "kind",
}
EVERY = object()  # all columns of a row
UNKNOWN = {"team": UNALLOCATED_NAME, "cost_center": "no cost centre"}


@require_safe
def explore(request: HttpRequest) -> HttpResponseBase:
    state = PageState.from_request(request, converts=True)
    asked = asked_for(request)
    if not state.question.runs:
        return render_page(
            request, "spend/explore/empty.html", {}, page="explore", title="Explore", state=state
        )
    context: dict[str, Any] = {
        "asked": asked,
        "choices": _choices(asked),
        "filters": [(name, DIMENSIONS[name], asked.filters.get(name, "")) for name in FILTERED],
        "kept": state.parameters(),
        "clear_query": state.query_string(),
    }
    if asked.measure != "cost" and not asked.is_counted:
        context["refusal"] = (
            "Calls and tokens are known by team, feature, model, environment and time only."
        )
        return _page(request, state, context, asked)
    question = question_about(state, asked)
    found = answered(question, asked)
    period = explored_period(state, asked)
    names = _names(state, asked, found)
    table = _table(request, state, asked, found, names, period)
    download = asked_download(
        request, [table], file_name=f"explore-{period.start}-{period.last_day}"
    )
    if download:
        return download
    context |= {
        "table": table,
        "chart": _chart(request, state, asked, found, names, period),
        "total": found.total,
        "period": period,
        "is_money": asked.measure in ("cost", "per_1000_calls"),
        "left_out": max(len(found.columns_in_order) - MOST_COLUMNS, 0)
        if not _is_long(asked)
        else 0,
    }
    return _page(request, state, context, asked)


def _choices(asked: Asked) -> list[tuple[str, str, list[tuple[str, str, bool]]]]:
    """Of each menu its name, label and options: value, label, whether it is chosen."""
    menus = [
        ("rows", "Rows", DIMENSIONS),
        ("columns", "Columns", {"none": "Nothing", **DIMENSIONS}),
        ("measure", "Figure", MEASURES),
        ("span", "Days", SPANS),
    ]
    chosen = asked.parameters
    return [
        (name, label, [(value, words, value == chosen[name]) for value, words in options.items()])
        for name, label, options in menus
    ]


def _page(
    request: HttpRequest, state: PageState, context: dict[str, Any], asked: Asked
) -> HttpResponseBase:
    by = " and ".join(DIMENSIONS[name].lower() for name in asked.dimensions)
    title = f"{MEASURES[asked.measure]} by {by}"
    context["measure_label"] = MEASURES[asked.measure]
    return render_page(
        request, "spend/explore/page.html", context, page="explore", title=title, state=state
    )


def _is_long(asked: Asked) -> bool:
    """Days are rows of the table, however they were asked: a month has too many for columns."""
    return asked.columns in ("day", "week")


@dataclass(frozen=True)
class Names:
    """What each value is called, by dimension, and the teams that have a page."""

    called: Mapping[str, Mapping[Any, str]]
    with_page: Collection[str]


def _names(state: PageState, asked: Asked, found: Answer) -> Names:
    values = {asked.rows: set(found.rows)}
    if asked.columns:
        values[asked.columns] = set(found.columns)
    known = names_of(teams=values.get("team", ()), features=values.get("feature", ()))
    called = {
        name: {value: _called(name, value, known.team, known.feature) for value in of_it}
        for name, of_it in values.items()
    }
    return Names(called, known.teams.keys())


def _called(
    name: str, value: Any, team: Callable[[str], str], feature: Callable[[str], str]
) -> str:
    if value is None:
        return UNKNOWN.get(name, f"no {DIMENSIONS[name].lower()}")
    if name == "month":
        return f"{value:%b %Y}"
    if name in TIMES:
        return f"{value:%-d %b %Y}"
    if name == "charge_kind":
        return capitalised(KINDS.get(value, value))
    callers = {"team": team, "feature": feature}
    return callers[name](value) if name in callers else str(value)


def _kind(asked: Asked) -> Kind:
    kinds: dict[str, Kind] = {"cost": "money", "per_1000_calls": "unit"}
    return kinds.get(asked.measure, "count")


def _table(
    request: HttpRequest,
    state: PageState,
    asked: Asked,
    found: Answer,
    names: Names,
    period: Period,
) -> Table:
    """One line per value of the rows; where the columns are days or weeks, one per pair."""
    kind = _kind(asked)
    unit = f", {state.shown_currency}" if kind in ("money", "unit") else ""
    sums_label = f"{MEASURES[asked.measure]}{unit}"
    columns = [Column("row", DIMENSIONS[asked.rows])]
    if _is_long(asked):
        columns.append(Column("column", DIMENSIONS[str(asked.columns)]))
        rows = [
            {
                "row": _name_cell(state, asked, asked.rows, row, names),
                "column": Cell(value=names.called[str(asked.columns)][column]),
                "sum": Cell(
                    value=value,
                    href=_explained(state, asked, row, column, period),
                    explain=asked.measure == "cost",
                ),
            }
            for (row, column), value in sorted(
                found.cells.items(), key=lambda cell: (cell[0][1], -cell[1], str(cell[0][0]))
            )
        ]
    else:
        shown = found.columns_in_order[-MOST_COLUMNS:] if asked.columns else []
        columns += [
            Column(f"at{place}", names.called[str(asked.columns)][column], kind, state.places)
            for place, column in enumerate(shown)
        ]
        rows = [
            _wide_row(state, asked, found, names, period, shown, row) for row in found.rows_in_order
        ]
    columns.append(Column("sum", sums_label, kind, state.places, is_key=True))
    last: Row = {"row": Cell(value="Total"), "sum": Cell(value=found.total)}
    if not _is_long(asked) and asked.columns:
        last |= {
            f"at{place}": Cell(value=found.columns[column])
            for place, column in enumerate(found.columns_in_order[-MOST_COLUMNS:])
        }
    return arranged(
        Table("explored", sums_label, columns, rows, total=last, limit=60, lines=True), request
    )


def _wide_row(
    state: PageState,
    asked: Asked,
    found: Answer,
    names: Names,
    period: Period,
    shown: list[Any],
    row: Any,
) -> Row:
    cells: Row = {"row": _name_cell(state, asked, asked.rows, row, names)}
    for place, column in enumerate(shown):
        value = found.cells.get((row, column), Decimal(0) if asked.is_sum else None)
        href = _explained(state, asked, row, column, period) if value else ""
        cells[f"at{place}"] = Cell(value=value, href=href, explain=bool(href))
    href = _explained(state, asked, row, EVERY, period)
    cells["sum"] = Cell(value=found.rows[row], href=href, explain=bool(href))
    return cells


def _name_cell(state: PageState, asked: Asked, name: str, value: Any, names: Names) -> Cell:
    href = ""
    if value is not None and name in ("feature", "model"):
        href = f"{reverse(name, args=[value])}?{state.query_string()}"
    if name == "team" and value in names.with_page:
        href = f"{reverse('showback_team', args=[value])}?{state.query_string(team=None)}"
    return Cell(value=names.called[name][value], href=href)


def _explained(state: PageState, asked: Asked, row: Any, column: Any, period: Period) -> str:
    """Where one amount of cost is explained, `column` EVERY for the sum of a row; "" where Explain
    can't be asked for just this, such as what has no model.
    """
    days, chosen = period, dict(asked.filters)
    for name, value in zip(asked.dimensions, (row, column), strict=False):
        if isinstance(value, date):
            days = days_of(name, value, days)
        elif isinstance(value, str) and name in EXPLAINED:
            chosen[EXPLAINED[name]] = value
        elif value is not EVERY:
            return ""
    if asked.measure != "cost" or not chosen:
        return ""
    span = {"period": None, "from": days.start.isoformat(), "to": days.last_day.isoformat()}
    return f"{page_address('explain')}?{state.query_string(**{**span, **chosen})}"


def _chart(
    request: HttpRequest,
    state: PageState,
    asked: Asked,
    found: Answer,
    names: Names,
    period: Period,
) -> Chart | None:
    """Bars over time, where time was asked for and the figures add up."""
    time = next((name for name in asked.dimensions if name in TIMES), None)
    if time is None or not asked.is_sum or not found.cells:
        return None
    other = next((name for name in asked.dimensions if name != time), None)
    shades = names_and_shades(teams_in_tree(scope=state.reader_scope, day=period.last_day))
    by_name: dict[Any, dict[date, Decimal]] = {}
    for (row, column), value in found.cells.items():
        at, key = (row, column) if asked.rows == time else (column, row)
        by_name.setdefault(key, {})[at] = value
    series = [
        DaySeries(
            names.called[other][key] if other else MEASURES[asked.measure],
            _shade(other, key, place, shades),
            amounts,
        )
        for place, (key, amounts) in enumerate(
            sorted(by_name.items(), key=lambda item: (item[0] is None, str(item[0])))
        )
    ]
    starts = sorted({at for amounts in by_name.values() for at in amounts})
    unit = state.shown_currency if asked.measure == "cost" else MEASURES[asked.measure].lower()
    labels = [names.called[time][at] for at in starts] if time != "day" else None
    figure = stacked_days(series, days=starts, currency=unit, labels=labels)
    question = f"{MEASURES[asked.measure]} by {DIMENSIONS[time].lower()}"
    columns = [Column("at", DIMENSIONS[time])] + [
        Column(f"s{place}", one.name, _kind(asked), state.places)
        for place, one in enumerate(series)
    ]
    rows: list[Row] = [
        {
            "at": Cell(value=names.called[time][at]),
            **{
                f"s{place}": Cell(value=one.costs.get(at, Decimal(0)))
                for place, one in enumerate(series)
            },
        }
        for at in starts
    ]
    table = Table("bars", question, columns, rows, sortable=False)
    return Chart("bars", question, figure, arranged(table, request))


def _shade(
    name: str | None, key: Any, place: int, shades: Mapping[str | None, tuple[str, str]]
) -> str:
    """A team keeps its colour; others have one by their place in the alphabet."""
    if name == "team":
        return shades.get(key, ("", OTHER))[1]
    return UNALLOCATED if key is None else shade_of(place)
