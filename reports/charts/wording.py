"""Text of the data inside charts."""

from __future__ import annotations

from html import escape


def as_text(name: str) -> str:
    """The name as plotly shows it letter by letter: unescaped, `<a href=...>` in a name would
    become a link.
    """
    return escape(name, quote=False)
