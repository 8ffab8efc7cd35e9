"""Distinct texts of a column: each is read once, however many rows hold it. Rows then carry a
number per text.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from portal.ingest.problems import Cell

MOST_TEXTS = 30_000  # of one column; beyond it the memory is emptied between batches
NULL = 0  # the code of an absent value


class Interner:
    """Codes for the texts of one column; `cells[code]` says what a text was read as.

    `lanes` holds 128 bits per code, a hash of what was read: equal values (`NULL` and an empty
    field) have equal lanes. The hash is keyed per load, so that no file can be made to collide.
    """

    def __init__(self, reader: Callable[[str], Cell], *, key: bytes) -> None:
        self._reader = reader
        self._key = key
        self.clear()

    def clear(self) -> None:
        self._codes: dict[str, int] = {}
        self.cells: list[Cell] = [Cell(None)]
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

    def _lanes(self, cell: Cell) -> tuple[int, int]:
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
