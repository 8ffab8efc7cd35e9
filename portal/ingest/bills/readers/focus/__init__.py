"""FOCUS, the FinOps Foundation's open specification of bills, versions 1.0 to 1.4."""

from __future__ import annotations

from collections.abc import Sequence

from portal.ingest.bills.files.parquet_rows import table_rows
from portal.ingest.bills.files.several import SeveralFiles
from portal.ingest.bills.files.stream import BillFile
from portal.ingest.bills.formats import BillFormat, FileHead, Rows
from portal.ingest.bills.readers.focus.header import understand_header

TELLING = ("billedcost", "chargeperiodstart", "billingaccountid")


def recognises(head: FileHead) -> bool:
    """By the header of a CSV file. What a Parquet file holds stands at its end."""
    names = head.first_line.lower()
    return all(name in names for name in TELLING)


def read(files: Sequence[BillFile]) -> Rows:
    if len(files) == 1:
        return _rows_of(files[0])
    return SeveralFiles(files, _rows_of)


def _rows_of(file: BillFile) -> Rows:
    return table_rows(file, understand_header)


FOCUS = BillFormat(
    name="focus",
    label="FOCUS 1.0 to 1.4",
    files="CSV, CSV.gz or Parquet",
    recognises=recognises,
    read=read,
)
