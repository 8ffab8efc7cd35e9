"""Validation of a batch of rows: column by column over whole batches, text by text only where texts
are distinct.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from portal.ingest.bills import formats as columns
from portal.ingest.bills.formats import Header, RowBatch
from portal.ingest.bills.load.rejected import RejectedCells
from portal.ingest.bills.load.values import Interner, reader_of
from portal.ingest.problems import (
    MAX_DECIMALS,
    Problem,
    ProblemCounts,
    read_number,
    shown,
)

# What almost every number looks like. It is inside the range and casts exactly; the rest is looked
# at text by text.
PLAIN_NUMBER = r"^-?[0-9]{1,15}(\.[0-9]{1,38})?$"
EXACT = pa.decimal256(76, MAX_DECIMALS)
MISSING = "missing; FOCUS allows no null here"
REQUIRED_NUMBERS = ("BilledCost", "EffectiveCost")
EXPECTED_TEXTS = (
    "ProviderName",
    "ServiceProviderName",
    "InvoiceIssuerName",
    "ServiceCategory",
    "ServiceName",
)
REQUIRED_TEXTS = (*columns.TIMES, "BillingAccountId", "BillingCurrency", "ChargeCategory")
# What the ledger stands on. A value of any other column that can't be read becomes null, counted.
NEEDED = frozenset({*REQUIRED_NUMBERS, *REQUIRED_TEXTS, "ChargeClass"})

Codes = npt.NDArray[np.int32]
NOT_CELLS = RejectedCells(None, None, None, None)  # of a row with the wrong number of columns


@dataclass(slots=True)
class CleanBatch:
    """Rows that will be loaded, and what was found wrong or repaired on the way.

    `codes` has one entry per delivered dimension or time column; `numbers` holds plain decimal
    texts.
    """

    lines: npt.NDArray[np.int64]
    codes: dict[str, Codes]
    numbers: dict[str, pa.Array]
    extra: pa.Array | None
    rows_read: int
    problems: list[Problem] = field(default_factory=list)
    rejected: list[RejectedCells] = field(default_factory=list)
    unread: ProblemCounts = field(default_factory=ProblemCounts)  # values that became null
    repairs: Counter[str] = field(default_factory=Counter)
    file: int = 0

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def rows_rejected(self) -> int:
        return len(self.rejected)


class Validator:
    """Reads batches of one file. Its interners live as long as the load."""

    def __init__(self, header: Header) -> None:
        self.header = header
        key = secrets.token_bytes(16)
        self.interners = {
            name: Interner(reader_of(name), key=key)
            for name in header.names
            if name in columns.KNOWN and name not in columns.NUMBERS
        }

    def clean(self, batch: RowBatch) -> CleanBatch:
        for interner in self.interners.values():
            interner.make_room()
        repairs: Counter[str] = Counter()
        finder = ProblemFinder(batch)
        codes = {
            name: interner.codes(batch.columns[name]) for name, interner in self.interners.items()
        }
        for name, interner in self.interners.items():
            repairs += interner.repairs(codes[name])
            finder.unreadable(name, interner.is_bad[codes[name]], interner.reason, repairs)
        for name in REQUIRED_TEXTS:
            finder.found(name, self.interners[name].is_null[codes[name]], MISSING)
        for name in EXPECTED_TEXTS:
            if name in codes and (absent := int(self.interners[name].is_null[codes[name]].sum())):
                repairs[f"missing_value_{name}"] += absent
        self._check_periods(finder, codes)
        numbers = {
            name: self._numbers(name, batch.columns[name], finder, repairs)
            for name in self._delivered_numbers
        }
        extra = self._extra(batch)
        if batch.blank_lines:
            repairs["blank_line"] += batch.blank_lines
        rejected = self._rejected(finder.bad_rows, codes, numbers)
        return finder.kept(batch, codes, numbers, extra, repairs, rejected)

    def _rejected(
        self, rows: npt.NDArray[np.int64], codes: dict[str, Codes], numbers: dict[str, pa.Array]
    ) -> list[RejectedCells]:
        """What can be read of these rows about the money that they would have brought."""
        if not len(rows):
            return []
        places = [
            self.interners[name].read(codes[name][rows]).to_pylist()
            for name in ("BillingAccountId", "BillingPeriodStart", "BillingCurrency")
        ]
        billed = numbers["BilledCost"].take(pa.array(rows)).to_pylist()
        return [RejectedCells(*cells) for cells in zip(*places, billed, strict=True)]

    @property
    def _delivered_numbers(self) -> list[str]:
        return [name for name in columns.NUMBERS if name in self.header.names]

    def _check_periods(self, finder: ProblemFinder, codes: dict[str, Codes]) -> None:
        for start, end in (
            ("ChargePeriodStart", "ChargePeriodEnd"),
            ("BillingPeriodStart", "BillingPeriodEnd"),
        ):
            starts, ends = (self.interners[name].micros[codes[name]] for name in (start, end))
            # Zero stands for a missing or broken time, which is a problem of its own.
            wrong = (ends <= starts) & (starts != 0) & (ends != 0)
            finder.found(
                end, wrong, f"not after {start}; a period includes its start and excludes its end"
            )

    def _numbers(
        self, name: str, array: pa.Array, finder: ProblemFinder, repairs: Counter[str]
    ) -> pa.Array:
        """The column as plain decimal texts; null where null or refused."""
        refused = np.zeros(len(array), dtype=bool)
        is_plain = pc.match_substring_regex(array, PLAIN_NUMBER)
        if pc.all(is_plain).as_py() is False:
            array, refused = self._odd_numbers(name, array, is_plain, finder, repairs)
        if name in REQUIRED_NUMBERS and array.null_count:
            finder.found(name, array.is_null().to_numpy(zero_copy_only=False) & ~refused, MISSING)
        return array

    def _odd_numbers(
        self,
        name: str,
        array: pa.Array,
        is_plain: pa.Array,
        finder: ProblemFinder,
        repairs: Counter[str],
    ) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
        """The same for numbers that are not plainly written, and which rows were refused."""
        is_odd = pc.invert(is_plain).fill_null(False)
        odd = array.filter(is_odd).dictionary_encode()
        codes = odd.indices.to_numpy()
        cells = [read_number(text) for text in odd.dictionary.to_pylist()]
        for cell, count in zip(cells, np.bincount(codes, minlength=len(cells)), strict=True):
            if cell.repair:
                repairs[cell.repair] += int(count)
        refused = np.zeros(len(array), dtype=bool)
        refused[is_odd.to_numpy(zero_copy_only=False)] = np.array(
            [cell.reason is not None for cell in cells]
        )[codes]
        finder.unreadable(name, refused, lambda text: read_number(text).reason or "", repairs)
        read = pa.array([cell.value for cell in cells], type=pa.string()).take(odd.indices)
        return pc.replace_with_mask(array, is_odd, read), refused

    def _extra(self, batch: RowBatch) -> pa.Array | None:
        """Columns FOCUS does not know as one JSON text per row; null where a row has none of
        them.
        """
        parts = []
        for name in self.header.unknown:
            array = batch.columns[name]
            if array.null_count == len(array):
                continue
            key = json.dumps(name, ensure_ascii=False) + ": "
            quoted = [
                key + json.dumps(text, ensure_ascii=False) for text in array.dictionary.to_pylist()
            ]
            parts.append(pa.array(quoted, type=pa.string()).take(array.indices))
        if not parts:
            return None
        has_any = reduce(pc.or_, [part.is_valid() for part in parts])
        # The join leaves out rows whose parts are all null, so those get an empty first part.
        joined = pc.binary_join_element_wise(
            pc.if_else(has_any, parts[0], ""), *parts[1:], ", ", null_handling="skip"
        )
        whole = pc.binary_join_element_wise("{", joined, "}", "")
        return pc.if_else(has_any, whole, pa.scalar(None, pa.string()))


class ProblemFinder:
    """Collects what is wrong with the rows of one batch; every problem of a row, in the order of
    the checks.
    """

    def __init__(self, batch: RowBatch) -> None:
        self._batch = batch
        self._is_bad = np.zeros(len(batch), dtype=bool)
        self._problems: list[Problem] = list(batch.malformed)
        self._unread = ProblemCounts()

    @property
    def bad_rows(self) -> npt.NDArray[np.int64]:
        return np.flatnonzero(self._is_bad)

    def found(self, column: str, wrong: npt.NDArray[np.bool_], reason: str) -> None:
        self.refused(column, wrong, lambda _: reason)

    def unreadable(
        self,
        column: str,
        wrong: npt.NDArray[np.bool_],
        reason_of: Callable[[str], str],
        repairs: Counter[str],
    ) -> None:
        """Notes values that can't be read: of a column that the ledger needs the row is refused, of
        another the value is lost, each reason with its count and where it stands first.
        """
        if column in NEEDED:
            self.refused(column, wrong, reason_of)
        elif wrong.any():
            rows = np.flatnonzero(wrong)
            repairs[f"unreadable_{column}"] += len(rows)
            texts = pc.dictionary_encode(self._batch.columns[column].take(pa.array(rows)))
            codes = texts.indices.to_numpy()
            _, first, counts = np.unique(codes, return_index=True, return_counts=True)
            for position, count in zip(first, counts, strict=True):
                text = texts[int(position)].as_py()
                line = int(self._batch.lines[rows[position]])
                problem = Problem(line, column, shown(text), reason_of(text))
                self._unread.add(problem, int(count))

    def refused(
        self, column: str, wrong: npt.NDArray[np.bool_], reason_of: Callable[[str], str]
    ) -> None:
        """Notes the rows where `wrong` is true, each with its line, delivered text and reason."""
        if not wrong.any():
            return
        rows = np.flatnonzero(wrong)
        self._is_bad[rows] = True
        texts = self._batch.columns[column].take(pa.array(rows)).to_pylist()
        self._problems += [
            Problem(int(self._batch.lines[row]), column, shown(text), reason_of(text))
            for row, text in zip(rows, texts, strict=True)
        ]

    def kept(
        self,
        batch: RowBatch,
        codes: dict[str, Codes],
        numbers: dict[str, pa.Array],
        extra: pa.Array | None,
        repairs: Counter[str],
        rejected: list[RejectedCells],
    ) -> CleanBatch:
        """The batch without the rows that have a problem."""
        lines = batch.lines
        if rejected:
            good = ~self._is_bad
            mask = pa.array(good)
            lines = lines[good]
            codes = {name: each[good] for name, each in codes.items()}
            numbers = {name: each.filter(mask) for name, each in numbers.items()}
            extra = None if extra is None else extra.filter(mask)
        return CleanBatch(
            lines=lines,
            codes=codes,
            numbers=numbers,
            extra=extra,
            rows_read=len(batch) + len(batch.malformed),
            problems=sorted(self._problems, key=lambda problem: problem.line),
            rejected=rejected + [NOT_CELLS] * len(batch.malformed),
            unread=self._unread,
            repairs=repairs,
            file=batch.file,
        )
