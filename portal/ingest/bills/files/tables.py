"""One file of rows under column names, CSV or Parquet, whatever a format calls its columns."""

from __future__ import annotations

from pathlib import Path

from portal.ingest.bills.files.csv_rows import CsvRows, Understand
from portal.ingest.bills.files.parquet_rows import ParquetRows
from portal.ingest.bills.files.stream import PARQUET, first_bytes
from portal.ingest.bills.load.batches import Rows


def table_rows(path: Path, understand: Understand) -> Rows:
    """The reader that the file's first bytes ask for."""
    if first_bytes(path).startswith(PARQUET):
        return ParquetRows(path, understand)
    return CsvRows(path, understand)
