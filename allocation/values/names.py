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
