"""Batches of rows of a CSV file, as texts, each row with the line of the file on which it
starts.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from portal.ingest.bills.files.stream import (
    BOM,
    READ_BYTES,
    BillFile,
    BillStream,
    invalid_utf8_at,
)
from portal.ingest.bills.formats import NUMBERS, Header, RowBatch, without_blank_lines
from portal.ingest.problems import BillRefused, Problem, shown

# A field that starts with a quote: the quoted part, the closing quote if there is one, what follows
# it in the field.
QUOTED = re.compile(rb'(?<=[,\r\n])"((?:[^"]|"")*+)("?)([^,\r\n]*)')
LONGEST_FIELD = 1 << 20


def misquoted(stream: BillStream) -> tuple[int, str] | None:
    """The line of the first field whose quotes are broken, and what is wrong with it; None where
    none are.
    """
    # The line break that would stand before the first line.
    data = b"\n"
    lines_before, ended = 0, False
    while not ended:
        part = stream.read(READ_BYTES)
        ended = not part
        data += part
        cut = len(data) - 1  # one byte stays, to say whether a quote that comes next starts a field
        for found in QUOTED.finditer(data):
            if found.end() == len(data) and not ended and len(found[0]) <= LONGEST_FIELD:
                cut = found.start() - 1
                break
            if not found[2]:
                return lines_before + data.count(
                    b"\n", 0, found.start()
                ), "a quote is opened and never closed"
            if found[3]:
                return lines_before + data.count(
                    b"\n", 0, found.start()
                ), "text follows a closing quote"
        lines_before += data.count(b"\n", 0, cut)
        data = data[cut:]
    return None


BLOCK_BYTES = 4 << 20  # of text: some five thousand rows
MOST_MALFORMED = 10_000  # in the few blocks that are in memory
BLOCKS_AHEAD = 2
LONGEST_HEADER = 1 << 20
CODES = pa.dictionary(pa.int32(), pa.string())
# What delivered names are in FOCUS; the text says where the header stands. Raises BillRefused.
Understand = Callable[[list[str], str], Header]


class CsvRows:
    """Iterates over the batches of one CSV or CSV.gz file. Raises BillRefused for damage to the
    file as a whole.
    """

    def __init__(self, file: BillFile, understand: Understand) -> None:
        self.file = file
        self._understand = understand
        self._stream = BillStream(file)
        self._next_line = 1
        self.header = self._read_header()
        self._invalid: list[tuple[int, int, str]] = []  # record number, columns found, text
        self._records = 0
        self._has_line_breaks = False

    @property
    def bytes_read(self) -> int:
        return self._stream.bytes_in

    @property
    def content_bytes(self) -> int:
        return self._stream.bytes_out

    @property
    def file_hashes(self) -> list[str]:
        return [self._stream.sha256]

    @property
    def repairs(self) -> dict[str, int]:
        found = dict(self.header.repairs)
        if self._stream.nuls:
            found["nul_replaced"] = self._stream.nuls
        if self._has_cr_lines:
            found["lines_end_with_cr"] = 1
        return found

    def close(self) -> None:
        self._stream.close()

    def __iter__(self) -> Iterator[RowBatch]:
        try:
            yield from self._batches()
        except pa.ArrowInvalid as error:
            raise self._explained(error) from error
        self._check_quotes()

    def _read_header(self) -> Header:
        start = self._stream.read(LONGEST_HEADER)
        self._has_cr_lines = b"\n" not in start and b"\r" in start
        if self._has_cr_lines:
            start = start.replace(b"\r", b"\n")
            self._stream.read_cr_lines()
        text_start = len(BOM) if start.startswith(BOM) else 0
        while found := re.match(rb"[ \t]*\r?\n", start[text_start : text_start + 100]):
            text_start += found.end()
            self._next_line += 1
        end = _record_end(start, text_start)
        if end is None:
            raise BillRefused(
                f"{self.file.name}, line {self._next_line}: no end of the header within a "
                "megabyte; this is no CSV"
            )
        record = start[text_start:end]
        try:
            names = next(csv.reader([record.decode()]), [])
        except UnicodeDecodeError as error:
            raise self._not_utf8(text_start + error.start) from error
        header = self._understand(names, f"{self.file.name}, line {self._next_line}")
        self._next_line += max(1, record.count(b"\n"))
        self._stream.push_back(start[end:])
        return header

    def _batches(self) -> Iterator[RowBatch]:
        names = list(self.header.names)
        first = self._stream.read(1)
        if not first:
            return
        self._stream.push_back(first)
        self._stream.limit_read_ahead(BLOCKS_AHEAD)
        reader = pa.csv.open_csv(
            pa.PythonFile(self._stream, mode="r"),
            # Without threads the reader knows the number of a malformed row, from which its line is
            # counted.
            read_options=pa.csv.ReadOptions(
                column_names=names, block_size=BLOCK_BYTES, use_threads=False
            ),
            parse_options=pa.csv.ParseOptions(
                newlines_in_values=True,
                ignore_empty_lines=False,
                invalid_row_handler=self._on_invalid,
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types={name: pa.string() if name in NUMBERS else CODES for name in names},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
        for batch in reader:
            self._stream.one_used()
            yield self._placed(dict(zip(names, batch.columns, strict=True)), batch.num_rows)
        if self._invalid:
            yield self._placed({name: pa.nulls(0, pa.string()) for name in names}, 0)

    def _on_invalid(self, row: pa.csv.InvalidRow) -> str:
        self._invalid.append((row.number - 1, row.actual_columns, row.text))
        return "skip" if len(self._invalid) <= MOST_MALFORMED else "error"

    def _placed(self, arrays: dict[str, pa.Array], rows: int) -> RowBatch:
        """The batch with its lines: records are counted, malformed ones too, and line breaks inside
        fields added.
        """
        numbers = (
            np.array([number for number, _, _ in self._invalid], dtype=np.int64) - self._records
        )
        rows_before = numbers - np.arange(len(numbers))
        taken = int((rows_before <= rows).sum())
        malformed, self._invalid = self._invalid[:taken], self._invalid[taken:]
        span = rows + taken
        is_row = np.ones(span, dtype=bool)
        is_row[numbers[:taken]] = False
        breaks = np.zeros(span, dtype=np.int64)
        breaks[is_row] = self._line_breaks(arrays, rows)
        breaks[numbers[:taken]] = [text.count("\n") for _, _, text in malformed]
        lines = self._next_line + np.arange(span) + np.cumsum(breaks) - breaks
        self._records += span
        self._next_line += span + int(breaks.sum())
        problems = [
            Problem(int(line), None, shown(text), _columns_reason(found, len(self.header.names)))
            for line, (_, found, text) in zip(lines[numbers[:taken]], malformed, strict=True)
        ]
        return without_blank_lines(RowBatch(arrays, lines[is_row], problems))

    def _line_breaks(self, arrays: dict[str, pa.Array], rows: int) -> npt.NDArray[np.int64]:
        """How many line breaks stand inside the fields of each row. Refuses a field that is too
        long.
        """
        breaks = np.zeros(rows, dtype=np.int64)
        for name, array in arrays.items():
            texts = array.dictionary if pa.types.is_dictionary(array.type) else array
            data = texts.buffers()[2] if len(texts) else None
            if data is None:
                continue
            if data.size > LONGEST_FIELD:
                self._refuse_long_fields(name, texts, array)
            if (np.frombuffer(data, dtype=np.uint8) == 10).any():
                counts = pc.count_substring(array.cast(pa.string()), "\n").fill_null(0)
                breaks += counts.to_numpy(zero_copy_only=False)
                self._has_line_breaks = True
        return breaks

    def _refuse_long_fields(self, name: str, texts: pa.Array, array: pa.Array) -> None:
        if (pc.max(pc.binary_length(texts)).as_py() or 0) <= LONGEST_FIELD:
            return
        lengths = pc.binary_length(array.cast(pa.string())).fill_null(0)
        row = int(np.argmax(lengths.to_numpy(zero_copy_only=False)))
        raise BillRefused(
            f"{self.file.name}, about line {self._next_line + row}, column {name}: a field longer "
            f"than {LONGEST_FIELD:,} bytes; look for a quote that is opened there and never closed"
        )

    def _explained(self, error: pa.ArrowInvalid) -> BillRefused:
        if (offset := invalid_utf8_at(self.file)) is not None:
            return self._not_utf8(offset)
        if len(self._invalid) > MOST_MALFORMED:
            return BillRefused(
                f"{self.file.name}, after line {self._next_line}: more than {MOST_MALFORMED:,} "
                "rows with the wrong number of columns; this is no FOCUS bill, or its columns are "
                "not separated by commas"
            )
        if "straddling" in str(error):
            return BillRefused(
                f"{self.file.name}, at or after line {self._next_line}: a row longer than "
                f"{BLOCK_BYTES:,} bytes; look for a quote that is opened there and never closed"
            )
        return BillRefused(
            f"{self.file.name}, at or after line {self._next_line}: not readable as CSV: {error}"
        )

    def _not_utf8(self, offset: int) -> BillRefused:
        return BillRefused(
            f"{self.file.name}: not UTF-8 at byte offset {offset:,} of the decompressed content; "
            "save the file as UTF-8 (it may be Latin-1 or Windows-1252) and deliver it again"
        )

    def _check_quotes(self) -> None:
        """Broken quotes leave an odd number of them or pull lines together; only then the file is
        read once more.
        """
        if self._stream.quotes % 2 == 0 and not self._has_line_breaks:
            return
        with BillStream(self.file) as again:
            if self._has_cr_lines:
                again.read_cr_lines()
            broken = misquoted(again)
        if broken:
            line, what = broken
            raise BillRefused(
                f"{self.file.name}, line {line}: {what}; rows can't be told apart after it, so "
                'nothing was loaded. Double the quotes inside quoted fields ("") and deliver the '
                "file again"
            )


def _columns_reason(found: int, expected: int) -> str:
    return (
        f"the row has {found} columns and the header {expected}; look for a missing quote or comma"
    )


def _record_end(data: bytes, start: int) -> int | None:
    """Where the record that starts at `start` ends, with its line break; the end of the data if
    that comes first.
    """
    at = start
    while True:
        at = data.find(b"\n", at) + 1
        if not at:
            return len(data) if len(data) < LONGEST_HEADER else None
        if data.count(b'"', start, at) % 2 == 0:
            return at
