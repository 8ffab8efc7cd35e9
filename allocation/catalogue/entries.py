"""Entries of an organisation's own catalogue: what some wording means. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import re2  # patterns of entries are written by users: matching must be linear in time

from allocation.values.names import quoted

# Which side's wording an entry of the organisation's own is about.
BILL, TRACE = "bill", "trace"
UNIT = "unit"  # of a bill
SIDES = (BILL, TRACE, UNIT)
TIERS = ("standard", "batch", "priority", "flex", "provisioned")


class Entry(NamedTuple):
    """What some wording means. `pattern` is RE2 over lower-case text; None in what it means: as the
    built-in wording has it.
    """

    side: str
    seen_provider: str | None  # only where the provider, as normalised, is this one; None: any
    pattern: str
    provider: str | None = None
    model: str | None = None
    token_class: str | None = None
    tier: str | None = None
    tokens: str | None = None  # of a unit: how many tokens one of it is


Entries = tuple[Entry, ...]


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> Any:
    """The RE2 pattern, since people write it; raises ValueError for text that is none."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = (error.args[0] if error.args else b"").decode()
        raise ValueError(f"{quoted(pattern)} is no RE2 pattern: {reason}") from None


def meaning(entries: Entries, side: str, provider: str | None, text: str) -> Entry | None:
    """The first entry of the side that knows this lower-case wording."""
    for entry in entries:
        if (
            entry.side == side
            and entry.seen_provider in (None, provider)
            and compiled(entry.pattern).search(text)
        ):
            return entry
    return None
