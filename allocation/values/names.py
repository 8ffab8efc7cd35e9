"""How names stand in messages: always in the same quotes, whatever is in them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache


def quoted(value: object) -> str:
    """Text in single quotes, on one line; `repr` would take double ones where the text has an
    apostrophe. What a document holds in place of a text (a number, a list) is told as Python writes
    it.
    """
    if not isinstance(value, str):
        return repr(value)
    return f"'{''.join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in value)}'"


@lru_cache(maxsize=65536)
def normal_name(text: str) -> str:
    """Text as names are compared: one Unicode form, no case, no invisible characters, no outer or
    doubled spaces.
    """
    if text.isascii():
        return " ".join(text.split()).casefold()
    folded = unicodedata.normalize(
        "NFKC", unicodedata.normalize("NFKC", text).casefold()
    )  # casefold may undo the form
    return " ".join(
        "".join(letter for letter in folded if unicodedata.category(letter) != "Cf").split()
    )


def name_key(text: str) -> str:
    """What names are the same: one Unicode form, no case, and spaces as hyphens, so that a name and
    its slug meet.
    """
    return "-".join(normal_name(text).split())


def canonical_cells(values: Iterable[str | None]) -> str:
    """Cells of a CSV line as COPY writes them with FORCE_QUOTE: NULL is empty, text is quoted."""
    return ",".join(
        ["" if value is None else '"' + value.replace('"', '""') + '"' for value in values]
    )


# Parts of the ledger, in the order they are written: what nothing but the day has a say in, what
# goes by the month's calls, or by what providers report of the month, each stage of splits by other
# cost, and what follows. And usage, which is written beside them.
BY_DAY, BY_MONTH, BY_REPORTS, FOLLOWERS, USAGE = 0, 1, 2, 1000, -1


NO_RULE = "no rule"
OUTSIDE_SCOPE = "outside AI scope"
NO_TEAM = "no team"
UNKNOWN_TEAM = "unknown team"  # followed by the name that a tag or a trace gave
UNTRACED = "untraced"
UNKNOWN_WORDING = "unknown wording"  # of a bill: nobody knows a model of this name
NOTHING_TO_FOLLOW = "nothing to follow"
IDLE = "idle capacity"
NO_GPU_USAGE = "no GPU usage"
NO_DRIVER = "no driver data"
ZERO_DRIVER = "driver is zero"
OVER_EVERY_CAP = "over every cap"
