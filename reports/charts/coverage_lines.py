"""How much of the AI spend has an owner? One line per kind of coverage over months, from nothing to
all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from reports.charts.style import MARGIN, SHADES, Figure
from reports.readable import percent

COLOURS = dict(zip(("Allocated", "Attributed", "Tagged", "Measured"), SHADES, strict=False))
DASHES = {"Allocated": "solid", "Attributed": "dashdot", "Tagged": "dash", "Measured": "dot"}


def coverage_lines(
    months: Sequence[date], shares: Mapping[str, Sequence[Decimal | None]]
) -> Figure:
    """`shares` are fractions per month by the names of COLOURS; an unknown month leaves a gap."""
    layout = {
        "hovermode": "x unified",
        "legend": {"orientation": "h", "y": -0.16, "x": 0, "traceorder": "normal"},
        "margin": MARGIN,
        "xaxis": {
            "type": "category",
            "fixedrange": True,
            "categoryorder": "array",
            "categoryarray": [_label(month) for month in months],
        },
        "yaxis": {
            "tickformat": ".0%",
            "range": _reach(shares),
            "fixedrange": True,
            "automargin": True,
        },
    }
    lines = [_line(name, months, values) for name, values in shares.items()]
    return {"data": lines, "layout": layout}


def _label(month: date) -> str:
    return f"{month:%b %Y}"


def _reach(shares: Mapping[str, Sequence[Decimal | None]]) -> list[float]:
    """All of 0 to 1, and what credits push beyond."""
    known = [float(value) for values in shares.values() for value in values if value is not None]
    return [min([0.0, *known]), max([1.0, *known]) * 1.04]


def _line(name: str, months: Sequence[date], values: Sequence[Decimal | None]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": [_label(month) for month in months],
        "y": [None if value is None else float(value) for value in values],
        "line": {"color": COLOURS[name], "dash": DASHES[name], "width": 2},
        "marker": {"size": 7},
        "customdata": [percent(value) for value in values],
        "hovertemplate": "%{fullData.name}: %{customdata}<extra></extra>",
    }
