"""Texts of FOCUS's columns: which reader each column has, listed words, JSON and tags. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from allocation.values.names import normal_name
from portal.ingest.bills import formats as columns
from portal.ingest.problems import (
    MAX_NUMBER_LENGTH,
    NULL_TEXT,
    NULL_WORDS,
    ReadCell,
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


def read_listed(column: str) -> Callable[[str], ReadCell]:
    allowed = ALLOWED[column]
    by_folded = {word.lower(): word for word in allowed}

    def read(text: str) -> ReadCell:
        if text in NULL_WORDS:
            return NULL_TEXT
        word = by_folded.get(text.lower())
        if word is not None:
            return ReadCell(word, repair=None if word == text else "letter_case")
        if column in REFUSED_OUTSIDE_LIST:
            return ReadCell(None, reason=f"not one of {', '.join(allowed)}")
        return ReadCell(text, repair="value_not_in_focus_list")

    return read


def read_json(text: str) -> ReadCell:
    """JSON as compact text; what is no JSON stays as it is, counted (nothing is split by it)."""
    if text in NULL_WORDS:
        return NULL_TEXT
    try:
        return _rewritten(_parsed(text))
    except (ValueError, RecursionError):
        return ReadCell(text, repair="not_json")


def read_tags(text: str) -> ReadCell:
    """A flat JSON object."""
    if text in NULL_WORDS:
        return NULL_TEXT
    try:
        content = _parsed(text)
    except (ValueError, RecursionError):
        return ReadCell(None, reason='not JSON; tags are written {"key": "value"}')
    if not isinstance(content, dict):
        return ReadCell(None, reason='not a JSON object; tags are written {"key": "value"}')
    for value in content.values():
        if isinstance(value, dict | list):
            return ReadCell(
                None,
                reason="a tag holds an object or a list; FOCUS tags are flat keys and values",
            )
    cell = _rewritten(content)
    return (
        replace(cell, repair=cell.repair or "contradicting_tag_spellings")
        if (contradicts_itself(content))
        else cell
    )


def contradicts_itself(tags: dict[str, Any]) -> bool:
    """Whether keys that differ only in case or spaces have different values; only one of them can
    count.
    """
    values: dict[str, Any] = {}
    return any(values.setdefault(normal_name(key), value) != value for key, value in tags.items())


class _Literal(str):
    """A JSON number by its own digits, so that no float comes between the file and the database."""

    __slots__ = ()


def _parsed(text: str) -> Any:
    return json.loads(text, parse_float=_Literal, parse_int=_Literal, parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _rewritten(content: Any) -> ReadCell:
    repairs: list[str] = []
    text = _json_text(content, repairs)
    return ReadCell(text, repair=repairs[0] if repairs else None)


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


def reader_of(column: str) -> Callable[[str], ReadCell]:
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


MOST_TEXTS = 30_000  # of one column; beyond it the memory is emptied between batches
NULL = 0  # the code of an absent value


class Interner:
    """Codes for the texts of one column; `cells[code]` says what a text was read as.

    `lanes` holds 128 bits per code, a hash of what was read: equal values (`NULL` and an empty
    field) have equal lanes. The hash is keyed per load, so that no file can be made to collide.
    """

    def __init__(self, reader: Callable[[str], ReadCell], *, key: bytes) -> None:
        self._reader = reader
        self._key = key
        self.clear()

    def clear(self) -> None:
        self._codes: dict[str, int] = {}
        self.cells: list[ReadCell] = [ReadCell(None)]
        self.lanes: npt.NDArray[np.uint64] = np.zeros((1, 2), dtype=np.uint64)
        self.is_bad: npt.NDArray[np.bool_] = np.zeros(1, dtype=bool)  # could not be read
        self.is_null: npt.NDArray[np.bool_] = np.ones(1, dtype=bool)  # absent, or says so
        self.micros: npt.NDArray[np.int64] = np.zeros(1, dtype=np.int64)
        self._repaired: dict[int, str] = {}

    def make_room(self) -> None:
        """Forgets everything once there is too much of it. Codes given out before mean nothing
        afterwards.
        """
        if len(self.cells) > MOST_TEXTS:
            self.clear()

    def codes(self, array: pa.Array) -> npt.NDArray[np.int32]:
        """One code per row."""
        if not pa.types.is_dictionary(array.type):
            array = array.dictionary_encode()
        known = self._codes
        texts = array.dictionary.to_pylist()
        of_text = np.empty(len(texts) + 1, dtype=np.int32)
        of_text[-1] = NULL
        fresh: list[str] = []
        for position, text in enumerate(texts):
            code = known.get(text)
            if code is None:
                code = len(self.cells) + len(fresh)
                known[text] = code
                fresh.append(text)
            of_text[position] = code
        if fresh:
            self._add(fresh)
        indices = array.indices
        if indices.null_count:
            indices = indices.fill_null(len(texts))
        of_row: npt.NDArray[np.int32] = of_text[indices.to_numpy(zero_copy_only=False)]
        return of_row

    def _add(self, fresh: list[str]) -> None:
        cells = [self._reader(text) for text in fresh]
        for code, cell in enumerate(cells, start=len(self.cells)):
            if cell.repair:
                self._repaired[code] = cell.repair
        self.cells += cells
        lanes = np.array([self._lanes(cell) for cell in cells], dtype=np.uint64)
        self.lanes = np.concatenate([self.lanes, lanes])
        self.is_bad = np.concatenate([self.is_bad, [cell.reason is not None for cell in cells]])
        nulls = [cell.value is None and cell.reason is None for cell in cells]
        self.is_null = np.concatenate([self.is_null, nulls])
        self.micros = np.concatenate(
            [self.micros, np.array([cell.micros for cell in cells], dtype=np.int64)]
        )

    def _lanes(self, cell: ReadCell) -> tuple[int, int]:
        if cell.value is None:
            return 0, 0
        digest = hashlib.blake2b(cell.value.encode(), digest_size=16, key=self._key).digest()
        return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")

    def read(self, codes: npt.NDArray[np.int32]) -> pa.Array:
        """What was read, per row."""
        distinct, of_row = np.unique(codes, return_inverse=True)
        return pa.array([self.cells[code].value for code in distinct], pa.string()).take(
            pa.array(of_row.reshape(-1))
        )

    def reason(self, text: str) -> str:
        """Why this text could not be read."""
        return self.cells[self._codes[text]].reason or ""

    def repairs(self, codes: npt.NDArray[np.int32]) -> Counter[str]:
        """How many of these rows needed which repair."""
        found: Counter[str] = Counter()
        if self._repaired:
            counts = np.bincount(codes, minlength=len(self.cells))
            for code, repair in self._repaired.items():
                if counts[code]:
                    found[repair] += int(counts[code])
        return found
