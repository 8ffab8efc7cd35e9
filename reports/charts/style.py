"""How every chart looks: its colours, one place for every page, and text as plotly shows it.

A team keeps its colour, and unallocated is always the same hatched grey. Twelve middle tones that
stay apart for the three common colour blindnesses when neighbours in a stack, and stand out from
light and dark paper alike (3:1 or more). `static/css/apportion.css` repeats them for swatches; a
test compares.
"""

from __future__ import annotations

from html import escape
from typing import Any

Figure = dict[str, Any]  # of plotly: data and layout, as JSON values
MARGIN = {"l": 8, "r": 8, "t": 8, "b": 8}

SHADES = (
    "#3b6fb0",
    "#cb7819",
    "#2f8f6f",
    "#a5508f",
    "#8a7a1f",
    "#3996be",
    "#b5483f",
    "#6d62b5",
    "#6f8f3a",
    "#c77398",
    "#2c7d8c",
    "#9b6a45",
)
GREY = "#8a8e93"
OTHER_GREY = "#6f6a60"
OTHER = "other"
UNALLOCATED = "unallocated"


def shade_of(number: int) -> str:
    """The shade name of the n-th team; names, not colours, travel through pages."""
    return str(number % len(SHADES))


def colour_of(shade: str) -> str:
    if shade.isdigit():
        return SHADES[int(shade)]
    return GREY if shade == UNALLOCATED else OTHER_GREY


def as_text(name: str) -> str:
    """The name as plotly shows it letter by letter: unescaped, `<a href=...>` in a name would
    become a link.
    """
    return escape(name, quote=False)
