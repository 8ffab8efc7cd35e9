"""Numbers and words as rules write them. Pure."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from allocation.values.names import quoted

NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")


def number_of(text: str | None) -> Decimal | None:
    """Plain decimal text as a number; None for anything else."""
    return Decimal(text) if text is not None and NUMBER.fullmatch(text) else None


def in_range(number: Decimal, operator: str, limit: Decimal) -> bool:
    if operator == "above":
        return number > limit
    if operator == "at_least":
        return number >= limit
    return number < limit if operator == "below" else number <= limit


def words_of(name: str, operand: Any) -> tuple[str, ...]:
    """One text or several; raises ValueError for anything else."""
    if name == "regex" and isinstance(operand, list):
        raise ValueError("`regex` takes one pattern; several are one with | between them")
    words = operand if isinstance(operand, list) else [operand]
    if not words or not all(
        isinstance(word, str | int) and not isinstance(word, bool) for word in words
    ):
        raise ValueError(f"`{name}` needs text or a list of texts, not {quoted(operand)}")
    return tuple(str(word) for word in words)
