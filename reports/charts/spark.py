"""Spark lines: the points of a small inline SVG polyline in a box of 100 by 20."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal


def spark_points(values: Sequence[Decimal]) -> str:
    """Zero is the base line unless a value is negative; "" where fewer than two values could make a
    line.
    """
    if len(values) < 2:
        return ""
    numbers = [float(value) for value in values]
    low, high = min(0.0, *numbers), max(0.0, *numbers)
    span = high - low or 1.0
    step = 100 / (len(numbers) - 1)
    return " ".join(
        f"{index * step:.1f},{18.5 - 17 * (number - low) / span:.1f}"
        for index, number in enumerate(numbers)
    )
