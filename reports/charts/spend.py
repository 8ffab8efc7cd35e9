"""Charts of spend: bars per day, the waterfall of a difference, and lines in a table. Pure
functions from exact costs to figures; floats are for pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

from allocation.values.money import EXACT, exact_sum, minor_units
from reports.charts.style import (
    GREY,
    MARGIN,
    OTHER,
    SHADES,
    UNALLOCATED,
    Figure,
    as_text,
    colour_of,
)
from reports.readable import grouped

LARGEST = 6
PLAN = SHADES[6]


@dataclass(frozen=True)
class DaySeries:
    """Cost per day of one name; a day without cost is missing."""

    name: str
    shade: str
    costs: Mapping[date, Decimal]

    @property
    def total(self) -> Decimal:
        return exact_sum(self.costs.values())


def folded(series: Sequence[DaySeries]) -> list[DaySeries]:
    """The six largest, then everything else as "other", then unallocated on top."""
    named = sorted(
        (one for one in series if one.shade != UNALLOCATED), key=lambda one: (-one.total, one.name)
    )
    shown, rest = named[:LARGEST], named[LARGEST:]
    if len(rest) == 1:
        shown, rest = named, []
    if rest:
        costs: dict[date, Decimal] = {}
        for one in rest:
            for day, cost in one.costs.items():
                costs[day] = exact_sum([costs.get(day, Decimal(0)), cost])
        shown.append(DaySeries(f"{len(rest)} others", OTHER, costs))
    return [*shown, *(one for one in series if one.shade == UNALLOCATED)]


def stacked_days(
    series: Sequence[DaySeries],
    *,
    days: Sequence[date],
    currency: str,
    labels: Sequence[str] | None = None,
) -> Figure:
    """A bar per day over `days`, gaps as zero. The largest series stands at the bottom; hover shows
    minor units, and of several series the day's total. With `labels` each bar stands under its own,
    for months or weeks that begin so.
    """
    places = minor_units(currency)
    bars = [_bar(one, days, places, labels) for one in folded(series)]
    if len(bars) > 1:
        bars.append(_totals(series, days, places, labels))
    axis = {"type": "date", "tickformat": "%-d %b", "hoverformat": "%a %-d %b"}
    layout = {
        "barmode": "relative",
        "bargap": 0.15,
        "hovermode": "x unified",
        "legend": {"orientation": "h", "y": -0.16, "x": 0, "traceorder": "normal"},
        "margin": MARGIN,
        "xaxis": {**({"type": "category"} if labels else axis), "fixedrange": True},
        "yaxis": {
            "tickformat": "~s" if _is_large(series) else ",",
            "ticksuffix": f" {currency}",
            "showticksuffix": "last",
            "rangemode": "tozero",
            "fixedrange": True,
            "automargin": True,
        },
    }
    return {"data": bars, "layout": layout}


def stacked_months(
    series: Sequence[DaySeries],
    *,
    months: Sequence[date],
    plans: Mapping[date, Decimal],
    currency: str,
) -> Figure:
    """A bar per month, by its first day, and where there are plans a line through them."""
    labels = [f"{month:%b %Y}" for month in months]
    figure = stacked_days(series, days=months, currency=currency, labels=labels)
    planned = [month for month in months if month in plans]
    if planned:
        amounts = [plans[month] for month in planned]
        figure["data"].append(_plan_line(planned, amounts, minor_units(currency)))
    return figure


def _plan_line(months: Sequence[date], amounts: Sequence[Decimal], places: int) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [f"{month:%b %Y}" for month in months],
        "y": [float(amount) for amount in amounts],
        "name": "Plan",
        "line": {"color": PLAN, "dash": "dot", "width": 2},
        "marker": {"size": 7},
        "customdata": [grouped(amount, places) for amount in amounts],
        "hovertemplate": "%{fullData.name}: %{customdata}<extra></extra>",
    }


def _bar(
    one: DaySeries, days: Sequence[date], places: int, labels: Sequence[str] | None
) -> dict[str, Any]:
    costs = [one.costs.get(day, Decimal(0)) for day in days]
    return {
        "type": "bar",
        "x": list(labels) if labels else [day.isoformat() for day in days],
        "y": [float(cost) for cost in costs],
        "name": as_text(one.name),
        "marker": _marker(one.shade),
        "customdata": [grouped(cost, places) for cost in costs],
        "hovertemplate": "%{fullData.name}: %{customdata}<extra></extra>",
    }


def _totals(
    series: Sequence[DaySeries], days: Sequence[date], places: int, labels: Sequence[str] | None
) -> dict[str, Any]:
    """Nothing to see but a line of what hovers."""
    totals = [exact_sum(one.costs.get(day, Decimal(0)) for one in series) for day in days]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(labels) if labels else [day.isoformat() for day in days],
        "y": [float(total) for total in totals],
        "name": "Total",
        "line": {"width": 0},
        "showlegend": False,
        "customdata": [grouped(total, places) for total in totals],
        "hovertemplate": "<b>%{fullData.name}: %{customdata}</b><extra></extra>",
    }


def _is_large(series: Sequence[DaySeries]) -> bool:
    return (
        max((abs(cost) for one in series for cost in one.costs.values()), default=Decimal(0))
        >= 10_000
    )


def _marker(shade: str) -> dict[str, object]:
    if shade == UNALLOCATED:
        return {
            "color": GREY,
            "pattern": {"shape": "/", "fillmode": "overlay", "fgcolor": "#ffffff", "size": 6},
        }
    return {"color": colour_of(shade)}


# ---------------------------------------------------------------- differences

UP, DOWN, TOTAL = SHADES[1], SHADES[2], SHADES[0]
NET = "Net change"


def bridge(
    *, before: Decimal, parts: Sequence[tuple[str, Decimal]], after: Decimal, net_label: str = NET
) -> Figure:
    """`parts` are (label, amount) and must make after - before, exactly; ValueError otherwise.

    It starts at zero and ends at the net change: beside the two totals the causes would be too
    small to see.
    """
    net = EXACT.subtract(after, before)
    if exact_sum(amount for _, amount in parts) != net:
        raise ValueError("the parts of the bridge do not add up")
    amounts = [*(amount for _, amount in parts), net]
    low, high = _reach(amounts[:-1])
    room = (high - low) * 0.36  # for an amount beside the outermost bar
    left = room if any(amount < 0 for amount in amounts) else 0.0
    right = room if any(amount >= 0 for amount in amounts) else 0.0
    bars = {
        "type": "waterfall",
        "orientation": "h",
        "y": [*(as_text(label) for label, _ in parts), net_label],
        "x": [float(amount) for amount in amounts],
        "measure": [*("relative" for _ in parts), "total"],
        "text": [_signed(amount) for amount in amounts],
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "none",
        "connector": {"line": {"width": 1, "color": GREY}},
        "increasing": {"marker": {"color": UP}},
        "decreasing": {"marker": {"color": DOWN}},
        "totals": {"marker": {"color": TOTAL}},
    }
    layout = {
        "showlegend": False,
        "margin": MARGIN,
        "bargap": 0.35,
        "yaxis": {
            "autorange": "reversed",
            "fixedrange": True,
            "automargin": True,
            "showgrid": False,
        },
        "xaxis": {"range": [low - left, high + right], "fixedrange": True, "visible": False},
    }
    return {"data": [bars], "layout": layout}


def _reach(amounts: Sequence[Decimal]) -> tuple[float, float]:
    """How far left and right the running sum gets, zero included; never an empty range."""
    level, low, high = 0.0, 0.0, 0.0
    for amount in amounts:
        level += float(amount)
        low, high = min(low, level), max(high, level)
    return (low, high) if high > low else (-1.0, 1.0)


def _signed(amount: Decimal) -> str:
    return f"+{grouped(amount)}" if amount > 0 else grouped(amount)


# ---------------------------------------------------------------- lines in a table


@lru_cache(maxsize=2048)
def spark_points(values: tuple[Decimal, ...]) -> str:
    """The points of a small inline SVG polyline in a box of 100 by 20. Zero is the base line unless
    a value is negative; "" where fewer than two values could make a line.
    """
    if len(values) < 2:
        return ""
    numbers = [float(value) for value in values]
    low, high = min(0.0, *numbers), max(0.0, *numbers)
    span = high - low or 1.0
    return " ".join(
        f"{place},{18.5 - 17 * (number - low) / span:.1f}"
        for place, number in zip(_places(len(numbers)), numbers, strict=True)
    )


@cache
def _places(count: int) -> tuple[str, ...]:
    """Where so many points stand from left to right: the same for every line of a table."""
    return tuple(f"{index * (100 / (count - 1)):.1f}" for index in range(count))
