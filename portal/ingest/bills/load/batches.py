"""What a reader hands over: batches of rows under FOCUS's column names, and what their file is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from portal.ingest.bills.load.columns import Header
from portal.ingest.problems import Problem


@dataclass(slots=True)
class RowBatch:
    """Rows as delivered: texts by FOCUS column. Empty texts are null.

    Columns that are no numbers may be dictionary-encoded. `lines` are the lines of the file on
    which the rows start; in a delivery of several files they count on, so that each stands once.
    """

    columns: dict[str, pa.Array]
    lines: npt.NDArray[np.int64]
    malformed: list[Problem] = field(default_factory=list)  # rows that have no such columns at all
    blank_lines: int = 0

    def __len__(self) -> int:
        return len(self.lines)


class Rows(Protocol):
    """A delivery being read. The counters are complete once the iteration has ended."""

    @property
    def header(self) -> Header: ...
    @property
    def bytes_read(self) -> int: ...
    @property
    def content_bytes(self) -> int: ...
    @property
    def content_sha256(self) -> str: ...
    @property
    def repairs(self) -> dict[str, int]: ...
    def __iter__(self) -> Iterator[RowBatch]: ...
    def close(self) -> None: ...


def without_blank_lines(batch: RowBatch) -> RowBatch:
    """A line with nothing in any column is no row."""
    if not all(array.null_count for array in batch.columns.values()):
        return batch
    is_blank = np.ones(len(batch), dtype=bool)
    for array in batch.columns.values():
        is_blank &= array.is_null().to_numpy(zero_copy_only=False)
        if not is_blank.any():
            return batch
    kept = pa.array(~is_blank)
    return RowBatch(
        columns={name: array.filter(kept) for name, array in batch.columns.items()},
        lines=batch.lines[~is_blank],
        malformed=batch.malformed,
        blank_lines=int(is_blank.sum()),
    )
