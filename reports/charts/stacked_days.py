"""What did we spend each day? Stacked bars, one series per team, at most six and "other"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import plotly.graph_objects as go

from allocation.values.money import exact_sum, minor_units
from reports.charts.palette import GREY, OTHER, UNALLOCATED, colour_of
from reports.charts.wording import as_text
from reports.readable import grouped

LARGEST = 6


@dataclass(frozen=True)
class DaySeries:
    """Cost per day of one name; a day without cost is missing."""

    name: str
    shade: str
    costs: dict[date, Decimal]

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


def stacked_days(series: Sequence[DaySeries], *, days: Sequence[date], currency: str) -> go.Figure:
    """A bar per day over `days`, gaps as zero. The largest series stands at the bottom; hover shows
    minor units.
    """
    bars = [_bar(one, days, minor_units(currency)) for one in folded(series)]
    layout = {
        "barmode": "relative",
        "bargap": 0.15,
        "hovermode": "x unified",
        "legend": {"orientation": "h", "y": -0.16, "x": 0, "traceorder": "normal"},
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "xaxis": {
            "type": "date",
            "tickformat": "%-d %b",
            "hoverformat": "%a %-d %b",
            "fixedrange": True,
        },
        "yaxis": {
            "tickformat": "~s" if _is_large(series) else ",",
            "ticksuffix": f" {currency}",
            "showticksuffix": "last",
            "rangemode": "tozero",
            "fixedrange": True,
            "automargin": True,
        },
    }
    return go.Figure(data=bars, layout=layout)


def _bar(one: DaySeries, days: Sequence[date], places: int) -> dict[str, Any]:
    costs = [one.costs.get(day, Decimal(0)) for day in days]
    return {
        "type": "bar",
        "x": [day.isoformat() for day in days],
        "y": [float(cost) for cost in costs],
        "name": as_text(one.name),
        "marker": _marker(one.shade),
        "customdata": [grouped(cost, places) for cost in costs],
        "hovertemplate": "%{fullData.name}: %{customdata}<extra></extra>",
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
