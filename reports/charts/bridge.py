"""Why did it change? A waterfall of the difference to the compared period, one bar per cause."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import plotly.graph_objects as go

from allocation.values.money import EXACT, exact_sum
from reports.charts.palette import GREY, SHADES
from reports.charts.wording import as_text
from reports.readable import grouped

UP, DOWN, TOTAL = SHADES[1], SHADES[2], SHADES[0]
NET = "Net change"


def bridge(
    *, before: Decimal, parts: Sequence[tuple[str, Decimal]], after: Decimal, net_label: str = NET
) -> go.Figure:
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
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "bargap": 0.35,
        "yaxis": {
            "autorange": "reversed",
            "fixedrange": True,
            "automargin": True,
            "showgrid": False,
        },
        "xaxis": {"range": [low - left, high + right], "fixedrange": True, "visible": False},
    }
    return go.Figure(data=[bars], layout=layout)


def _reach(amounts: Sequence[Decimal]) -> tuple[float, float]:
    """How far left and right the running sum gets, zero included; never an empty range."""
    level, low, high = 0.0, 0.0, 0.0
    for amount in amounts:
        level += float(amount)
        low, high = min(low, level), max(high, level)
    return (low, high) if high > low else (-1.0, 1.0)


def _signed(amount: Decimal) -> str:
    return f"+{grouped(amount)}" if amount > 0 else grouped(amount)
