"""Why did it change? A waterfall from the compared period's cost to this one's."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import plotly.graph_objects as go

from allocation.money import exact_sum
from reports.readable import grouped


def bridge(
    *, before: Decimal, parts: Sequence[tuple[str, Decimal]], after: Decimal, before_label: str, after_label: str
) -> go.Figure:
    """`parts` are (label, amount) and must make after - before, exactly; ValueError otherwise."""
    if exact_sum([before, *(amount for _, amount in parts)]) != after:
        raise ValueError("the parts of the bridge do not add up")
    amounts = [before, *(amount for _, amount in parts), after]
    figure = go.Figure(
        go.Waterfall(
            x=[before_label, *(label for label, _ in parts), after_label],
            y=[float(amount) for amount in amounts],
            measure=["absolute", *("relative" for _ in parts), "total"],
            text=[grouped(amounts[0]), *(_signed(amount) for _, amount in parts), grouped(amounts[-1])],
            textposition="outside",
            cliponaxis=False,
            hoverinfo="none",
            connector={"line": {"width": 1, "color": "#8b8f94"}},
            increasing={"marker": {"color": "#d07b1a"}},
            decreasing={"marker": {"color": "#2f8f6f"}},
            totals={"marker": {"color": "#3b6fb0"}},
        )
    )
    figure.update_layout(
        showlegend=False,
        margin={"l": 8, "r": 8, "t": 24, "b": 8},
        xaxis={"fixedrange": True, "automargin": True},
        yaxis={"rangemode": "tozero", "fixedrange": True, "visible": False},
    )
    return figure


def _signed(amount: Decimal) -> str:
    return f"+{grouped(amount)}" if amount > 0 else grouped(amount)
