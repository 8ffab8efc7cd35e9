"""Rows of several files of one delivery, one after the other, as if they were one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from portal.ingest.bills.files.csv_rows import CODES
from portal.ingest.bills.files.stream import BillFile
from portal.ingest.bills.formats import NUMBERS, Header, RowBatch, Rows


class SeveralFiles:
    """Iterates over the batches of each file under the columns of all of them.

    Every header is understood before the first row is read, so that a file that is no bill is
    refused early. Only one file is open at a time: each Parquet file has a child process.
    """

    def __init__(self, files: Sequence[BillFile], open_one: Callable[[BillFile], Rows]) -> None:
        self._files = files
        self._open_one = open_one
        self._current: Rows | None = None
        self._bytes_read = 0
        self._repairs: Counter[str] = Counter()
        self.content_bytes = 0
        self.file_hashes: list[str] = []
        self.header = joined([self._header_of(file) for file in files])

    def _header_of(self, file: BillFile) -> Header:
        rows = self._open_one(file)
        try:
            return rows.header
        finally:
            rows.close()

    @property
    def bytes_read(self) -> int:
        return self._bytes_read + (self._current.bytes_read if self._current else 0)

    @property
    def repairs(self) -> dict[str, int]:
        return dict(self._repairs)

    def __iter__(self) -> Iterator[RowBatch]:
        for number, file in enumerate(self._files):
            self._current = rows = self._open_one(file)
            for batch in rows:
                for name in rows.header.missing:
                    self._repairs[f"missing_column_{name}"] += len(batch) + len(batch.malformed)
                yield self._widened(batch, number)
            self._repairs += Counter(rows.repairs)
            self._bytes_read += rows.bytes_read
            self.content_bytes += rows.content_bytes
            self.file_hashes += rows.file_hashes
            self.close()

    def _widened(self, batch: RowBatch, number: int) -> RowBatch:
        """The batch with nulls in the columns that only other files have."""
        batch.columns = {
            name: batch.columns[name]
            if name in batch.columns
            else pa.nulls(len(batch), pa.string() if name in NUMBERS else CODES)
            for name in self.header.names
        }
        batch.file = number
        return batch

    def close(self) -> None:
        if self._current is not None:
            self._current.close()
            self._current = None


def joined(headers: Sequence[Header]) -> Header:
    """The union of the columns, of the newest version among them. What a file lacks is counted by
    its rows, so nothing is missing as a whole.
    """
    return Header(
        names=tuple(dict.fromkeys(name for header in headers for name in header.names)),
        version=max((header.version for header in headers if header.version), default=None),
        unknown=tuple(dict.fromkeys(name for header in headers for name in header.unknown)),
        missing=(),
    )
