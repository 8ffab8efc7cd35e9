"""Lengths of time in words."""

from __future__ import annotations

from decimal import Decimal


def milliseconds(value: Decimal | float | None) -> str:
    """ "840 ms", "1.24 s", "2 min 5 s"; a dash where unknown."""
    if value is None:
        return "\u2013"
    ms = float(value)
    if ms < 1:
        return "<1 ms"
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 59_950:
        return f"{ms / 1000:.2f} s" if ms < 9_995 else f"{ms / 1000:.1f} s"
    return seconds(ms / 1000)


def seconds(value: float) -> str:
    """ "12 s", "2 min 5 s", "1 h 3 min"."""
    minutes, rest = divmod(round(value), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left} min" if hours else f"{minutes} min {rest} s"
