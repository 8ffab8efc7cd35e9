"""Texts of FOCUS's columns: which reader each column has, listed words, JSON and tags. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from allocation.values.names import quoted
from portal.ingest.bills import formats as columns
from portal.ingest.problems import (
    MAX_NUMBER_LENGTH,
    NULL_TEXT,
    NULL_WORDS,
    Cell,
    read_currency,
    read_number,
    read_text,
    read_time,
)

REPLACEMENT = "\ufffd"
SURROGATE = re.compile("[\ud800-\udfff]")

# Closed lists of FOCUS: another letter case is repaired; another word is refused where the ledger
# depends on it.
ALLOWED: dict[str, tuple[str, ...]] = {
    "ChargeCategory": ("Usage", "Purchase", "Tax", "Credit", "Adjustment"),
    "ChargeClass": ("Correction",),
    "ChargeFrequency": ("One-Time", "Recurring", "Usage-Based"),
    "CommitmentDiscountCategory": ("Spend", "Usage"),
    "CommitmentDiscountStatus": ("Used", "Unused"),
    "CapacityReservationStatus": ("Used", "Unused"),
    "PricingCategory": ("Standard", "Dynamic", "Committed", "Other"),
}
REFUSED_OUTSIDE_LIST = frozenset({"ChargeCategory", "ChargeClass"})


def read_listed(column: str) -> Callable[[str], Cell]:
    allowed = ALLOWED[column]
    by_folded = {word.lower(): word for word in allowed}

    def read(text: str) -> Cell:
        if text in NULL_WORDS:
            return NULL_TEXT
        word = by_folded.get(text.lower())
        if word is not None:
            return Cell(word, repair=None if word == text else "letter_case")
        if column in REFUSED_OUTSIDE_LIST:
            return Cell(None, reason=f"not one of {', '.join(allowed)}")
        return Cell(text, repair="value_not_in_focus_list")

    return read


def read_json(text: str) -> Cell:
    """JSON as compact text; what is no JSON stays as it is, counted (nothing is split by it)."""
    if text in NULL_WORDS:
        return NULL_TEXT
    try:
        return _rewritten(_parsed(text))
    except (ValueError, RecursionError):
        return Cell(text, repair="not_json")


def read_tags(text: str) -> Cell:
    """A flat JSON object. Rules and owners hang on tags, so a broken one refuses the row."""
    if text in NULL_WORDS:
        return NULL_TEXT
    try:
        content = _parsed(text)
    except (ValueError, RecursionError) as error:
        return Cell(None, reason=f'not JSON ({error}); tags are written {{"key": "value"}}')
    if not isinstance(content, dict):
        return Cell(None, reason='not a JSON object; tags are written {"key": "value"}')
    for key, value in content.items():
        if isinstance(value, dict | list):
            return Cell(
                None,
                reason=(
                    f"the tag {quoted(key)} holds an object or a list; FOCUS tags are flat keys "
                    "and values"
                ),
            )
    return _rewritten(content)


class _Literal(str):
    """A JSON number by its own digits, so that no float comes between the file and the database."""

    __slots__ = ()


def _parsed(text: str) -> Any:
    return json.loads(text, parse_float=_Literal, parse_int=_Literal, parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _rewritten(content: Any) -> Cell:
    repairs: list[str] = []
    text = _json_text(content, repairs)
    return Cell(text, repair=repairs[0] if repairs else None)


def _json_text(content: Any, repairs: list[str]) -> str:
    """JSON text that PostgreSQL stores: numbers by their own digits, no NUL, no half of a surrogate
    pair.
    """
    if isinstance(content, _Literal):
        # jsonb numbers end at some 10^131000; a longer literal is nobody's quantity and stays as
        # text.
        return (
            str(content)
            if len(content) <= MAX_NUMBER_LENGTH and read_number(content).reason is None
            else _quoted(content, repairs)
        )
    if isinstance(content, dict):
        pairs = (
            f"{_quoted(key, repairs)}: {_json_text(value, repairs)}"
            for key, value in content.items()
        )
        return "{" + ", ".join(pairs) + "}"
    if isinstance(content, list):
        return "[" + ", ".join(_json_text(value, repairs) for value in content) + "]"
    if isinstance(content, str):
        return _quoted(content, repairs)
    return json.dumps(content)


def _quoted(text: str, repairs: list[str]) -> str:
    if "\x00" in text:
        repairs.append("nul_replaced")
        text = text.replace("\x00", REPLACEMENT)
    if SURROGATE.search(text):
        repairs.append("surrogate_replaced")
        text = SURROGATE.sub(REPLACEMENT, text)
    return json.dumps(text, ensure_ascii=False)


def reader_of(column: str) -> Callable[[str], Cell]:
    """How the texts of a FOCUS column that is no number are read."""
    if column in columns.TIMES:
        return read_time
    if column in columns.TAG_COLUMNS:
        return read_tags
    if column in columns.JSON_COLUMNS:
        return read_json
    if column == "BillingCurrency":
        return read_currency
    if column in ALLOWED:
        return read_listed(column)
    return read_text
