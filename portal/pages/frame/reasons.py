"""Why cost stays unallocated, as pages tell it; filters, APIs and the ledger keep the reason's own
text.
"""

from __future__ import annotations

from allocation.values.names import UNKNOWN_TEAM, quoted

TOLD = f"{UNKNOWN_TEAM}: "


def reason_words(reason: str | None) -> str:
    """`unknown team: nobody` as "unknown team 'nobody'": told names stand in quotes on every page.
    "" for None.
    """
    if reason and reason.startswith(TOLD):
        return f"{UNKNOWN_TEAM} {quoted(reason.removeprefix(TOLD))}"
    return reason or ""
