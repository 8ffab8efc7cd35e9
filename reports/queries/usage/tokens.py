"""SQL over the token columns, which spans, usage and provider reports share."""

from __future__ import annotations

from allocation.catalogue.canonical import TOKEN_COLUMNS


def all_tokens(alias: str) -> str:
    """The tokens of a row, of every class."""
    return "(" + " + ".join(f"{alias}.{name}" for name in TOKEN_COLUMNS) + ")"
