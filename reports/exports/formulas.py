"""Cells that a spreadsheet can't take for a formula: an apostrophe goes before what begins like
one.

A spreadsheet may skip spaces before it looks, and takes full-width forms, too.
"""

from __future__ import annotations

SKIPPED = (
    " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u202f"
    "\u205f\u3000\ufeff"
)
FORMULA_STARTS = "=+-@\t\r\n＝＋－＠"


def safe_text(text: str) -> str:
    """The text, which no spreadsheet reads as a formula."""
    start = text.lstrip(SKIPPED)[:1]
    return f"'{text}" if start and start in FORMULA_STARTS else text


def safe_cell(column: str) -> str:
    """The same as SQL for a text column; the statement binds `skipped`. Few cells pass the first
    test, which is the cheap one.
    """
    return (
        f"CASE WHEN ascii({column}) IN ({code_points(FORMULA_STARTS + SKIPPED)})"
        f" AND ascii(ltrim({column}, %(skipped)s)) IN ({code_points(FORMULA_STARTS)})"
        f" THEN '''' || {column} ELSE {column} END"
    )


def code_points(characters: str) -> str:
    return ", ".join(str(ord(character)) for character in characters)
