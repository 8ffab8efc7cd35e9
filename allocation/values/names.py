"""How names stand in messages: always in the same quotes, whatever is in them."""

from __future__ import annotations


def quoted(value: object) -> str:
    """Text in single quotes, on one line; `repr` would take double ones where the text has an
    apostrophe. What a document holds in place of a text (a number, a list) is told as Python writes
    it.
    """
    if not isinstance(value, str):
        return repr(value)
    return f"'{''.join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in value)}'"
