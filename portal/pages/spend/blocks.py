"""Parts that several spend pages share: the day chart, the waterfall, tables by team, feature,
model, provider.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal

from django.http import HttpRequest
from django.urls import reverse

from allocation.values.money import exact_sum, minor_units
from portal.pages.frame.render import Chart
from portal.pages.frame.state import PageState
from portal.pages.frame.tables import Cell, Column, Kind, Row, Table, arranged
from portal.pages.registry import page_address
from portal.pages.spend.why import change_address, part_names
from reports.analysis.spend import NOTHING, Amounts, ChangePart, UnitCost
from reports.charts.spend import DaySeries, bridge, spark_points, stacked_days
from reports.charts.style import OTHER, UNALLOCATED, shade_of
from reports.cost_question.alike import usual_invoice
from reports.cost_question.answers import Named, costs
from reports.queries.ownership.organisation import TeamInTree
from reports.readable import WITH_INVOICE, about, listed, money, ratio

UNALLOCATED_NAME = "Unallocated"
ZERO = Decimal(0)


def headline_words(state: PageState) -> str:
    """ "November 2026 so far", "October 2026", or the days of a range."""
    return f"{state.period.words}{' so far' if state.is_running else ''}"


def names_and_shades(teams: Sequence[TeamInTree]) -> dict[str | None, tuple[str, str]]:
    """Team slug -> (name, shade); None is unallocated."""
    known: dict[str | None, tuple[str, str]] = {
        team.slug: (team.name, shade_of(team.shade)) for team in teams
    }
    known[None] = (UNALLOCATED_NAME, UNALLOCATED)
    return known


def explain_address(state: PageState, **filters: str | None) -> str:
    """Where one amount of this view is explained; "" without a filter, since nothing can be asked
    about "unknown".
    """
    chosen = {key: value for key, value in filters.items() if value}
    return f"{page_address('explain')}?{state.query_string(**chosen)}" if chosen else ""


def team_address(state: PageState, slug: str) -> str:
    return f"{reverse('showback_team', args=[slug])}?{state.query_string(team=None)}"


def before_of(state: PageState, amounts: Amounts) -> Decimal | None:
    """What a change compares with: None where nothing is known of that time, or nothing of the
    amounts is like for like.
    """
    if not state.comparison_known:
        return None
    is_left_out = amounts.left_out and not (amounts.compared or amounts.before)
    return None if is_left_out else amounts.before


def sums_apart(state: PageState) -> list[tuple[str, Decimal]]:
    """(currency, cost) of what has no rate, so that it stands beside the total."""
    if state.apart is None:
        return []
    return [(row.key[0], row.now) for row in costs(state.apart.by("currency")) if row.now]


def apart_by_team(state: PageState) -> dict[str | None, str]:
    """The same in words, for each team that has any: "1,427.00 EUR"."""
    found: dict[str | None, list[str]] = {}
    for (team, currency), cost, *_ in (
        costs(state.apart.by("team", "currency")) if state.apart else ()
    ):
        found.setdefault(team, []).append(f"{money(cost, minor_units(currency))} {currency}")
    return {team: ", ".join(words) for team, words in found.items()}


def like_for_like(state: PageState) -> str:
    """What the page's comparisons leave out while a month is open, in a sentence; "" where they are
    of whole months.
    """
    question = state.question
    if question.alike is None:
        return ""
    usual = usual_invoice(question, before=state.period.last_day.replace(day=1))
    days = "the same days of each source"
    if state.elapsed == state.period:
        days = "each source as far as it is billed"
    days = f"Compared like for like: {days}"
    if not usual:
        return f"{days}."
    kinds = listed([WITH_INVOICE[kind] for kind in usual])
    size = f"{about(exact_sum(usual.values()))} {state.shown_currency}"
    return f"{days}, without {kinds}. About {size} of these come with the invoice."


def day_chart(
    request: HttpRequest,
    state: PageState,
    series: Sequence[DaySeries],
    *,
    question: str = "What did we spend each day?",
    height: str = "tall",
) -> Chart | None:
    """None without any cost: an axis without data says nothing."""
    if not any(one.costs for one in series):
        return None
    days = list(state.elapsed.days())
    ordered = sorted(series, key=lambda one: (one.shade == UNALLOCATED, -one.total, one.name))
    columns = [
        Column("day", "Day"),
        *(Column(one.name, one.name, "money", state.places) for one in ordered),
    ]
    columns.append(Column("total", f"Total, {state.shown_currency}", "money", state.places))
    rows: list[Row] = []
    for day in days:
        costs = {one.name: one.costs.get(day, ZERO) for one in ordered}
        row = {name: Cell(value=cost) for name, cost in costs.items()}
        rows.append(
            {
                "day": Cell(value=day.isoformat()),
                **row,
                "total": Cell(value=exact_sum(costs.values())),
            }
        )
    total = {one.name: Cell(value=one.total) for one in ordered}
    total |= {
        "day": Cell(value="Total"),
        "total": Cell(value=exact_sum(one.total for one in ordered)),
    }
    table = Table("days", question, columns, rows, total=total)
    figure = stacked_days(series, days=days, currency=state.shown_currency)
    return Chart("days", question, figure, arranged(table, request), height)


def team_series(by_team: Named, teams: Sequence[TeamInTree]) -> list[DaySeries]:
    known = names_and_shades(teams)
    return [
        DaySeries(*known.get(slug, (slug or "", OTHER)), costs) for slug, costs in by_team.items()
    ]


def change_chart(
    request: HttpRequest, state: PageState, parts: Sequence[ChangePart], total: Amounts
) -> Chart | None:
    """None where there is nothing to compare with, or neither period has any cost."""
    if state.compare is None or not state.comparison_known:
        return None
    if not (parts or total.before or total.compared):
        return None
    before_label, after_label = state.compare.words, state.elapsed.words
    names = part_names(parts)
    figure = bridge(
        before=total.before,
        parts=[(name, part.amount) for name, part in zip(names, parts, strict=True)],
        after=total.compared,
    )
    rows: list[Row] = [{"part": Cell(value=before_label), "amount": Cell(value=total.before)}]
    rows += [
        {
            "part": Cell(value=name),
            "meaning": Cell(value=part.meaning),
            "amount": Cell(value=part.amount, href=_change_of(state, part), explain=True),
        }
        for name, part in zip(names, parts, strict=True)
    ]
    columns = [
        Column("part", "Part"),
        Column("meaning", "Meaning", "words"),
        Column("amount", state.shown_currency, "money", state.places),
    ]
    whole = {"part": Cell(value=after_label), "amount": Cell(value=total.compared)}
    table = Table("why", "Why it changed", columns, rows, total=whole, sortable=False)
    return Chart("why", "Why did it change?", figure, arranged(table, request), "tall")


def _change_of(state: PageState, part: ChangePart) -> str:
    """Where the change of one feature is explained; "" for parts of many."""
    if part.subject is None:
        return ""
    team, feature = part.subject
    return change_address(state, team=team, feature=feature)


def spend_table(
    request: HttpRequest,
    state: PageState,
    totals: Mapping[str | None, Amounts],
    *,
    name: str,
    label: str,
    caption: str,
    name_cell: Callable[[str | None], Cell],
    amount_filters: Callable[[str | None], dict[str, str | None]],
    days: Named | None = None,
    units: Mapping[str | None, UnitCost] | None = None,
    limit: int = 12,
    compact: bool = False,
    second: tuple[str, Callable[[str | None], str]] | None = None,
    apart: Mapping[str | None, str] | None = None,
    more: tuple[Sequence[Column], Mapping[str | None, Row]] | None = None,
) -> Table:
    """Cost, share, change, perhaps trend and unit cost, per name; largest first; the total is that
    of the page.

    Compact rounds costs to whole units, for narrow columns. `second` is a column of words beside
    the name. `apart` is what a name costs in currencies that the sums do not hold.
    `more` are columns after the change, and their cells by name.
    """
    apart = apart or {}
    totals = dict.fromkeys(apart, NOTHING) | dict(totals)
    whole = Amounts(
        exact_sum(one.now for one in totals.values()),
        exact_sum(one.before for one in totals.values()),
        exact_sum(one.left_out for one in totals.values()),
    )
    shown_days = list(state.elapsed.days())
    rows: list[Row] = [
        {
            "name": name_cell(key),
            **_spend_cells(state, amounts, whole, amount_filters(key)),
            **(_apart_cells(amounts, apart[key]) if key in apart else {}),
            **(more[1].get(key, {}) if more else {}),
            **({"second": Cell(value=second[1](key))} if second else {}),
            **({"trend": Cell(points=_trend(days.get(key, {}), shown_days))} if days else {}),
            **({"unit": Cell(value=units[key].now)} if units and key in units else {}),
        }
        for key, amounts in totals.items()
    ]
    columns = _spend_columns(
        state, label, compact, second[0] if second else None, days is not None, units is not None
    )
    if more:
        place = 1 + [column.key for column in columns].index("change")
        columns[place:place] = more[0]
    total = {"name": Cell(value="Total"), **_spend_cells(state, whole, whole)}
    return arranged(
        Table(name, caption, columns, rows, total=total, limit=limit, sort="-cost", lines=True),
        request,
    )


def _spend_columns(
    state: PageState,
    label: str,
    compact: bool,
    second: str | None,
    has_trend: bool,
    has_units: bool,
) -> list[Column]:
    cost = f"Cost, {state.shown_currency}"
    kind: Kind = "whole" if compact else "money"
    return [
        Column("name", label),
        *([Column("second", second)] if second else []),
        Column("cost", cost, kind, state.places, is_key=True),
        Column("apart", "Not in the sums", "words", if_any=True),
        Column("share", "Share", "percent"),
        Column("change", "Change", "change", state.places),
        *([Column("trend", "Trend", "spark")] if has_trend else []),
        *([Column("unit", "Per 1,000 calls", "unit")] if has_units else []),
    ]


def _spend_cells(
    state: PageState,
    amounts: Amounts,
    whole: Amounts,
    filters: Mapping[str, str | None] | None = None,
) -> Row:
    """The cost leads to its explanation, and the change to its own. Where no model is named, both
    lead to the change, which can tell such cost apart.
    """
    chosen = {name: value for name, value in (filters or {}).items() if value}
    change = ""
    if state.comparison_known and (chosen or filters is None):
        change = change_address(state, **chosen)
    cost = change if "model_group" in chosen else explain_address(state, **chosen)
    return {
        "cost": Cell(value=amounts.now, href=cost, explain=bool(cost)),
        "share": Cell(value=ratio(amounts.now, whole.now)),
        "change": Cell(
            value=amounts.compared,
            before=before_of(state, amounts),
            href=change,
            explain=bool(change),
        ),
    }


def _apart_cells(amounts: Amounts, words: str) -> Row:
    """Where all of a cost is in other currencies, it is not 0 in this one but none."""
    cells: Row = {"apart": Cell(value=words)}
    if not (amounts.now or amounts.before):
        cells |= {"cost": Cell(), "share": Cell(), "change": Cell()}
    return cells


def _trend(costs: Mapping[date, Decimal], days: Sequence[date]) -> str:
    return spark_points(tuple(costs.get(day, ZERO) for day in days))
