"""The chargeback as CSV: every line exact, control totals last."""

from __future__ import annotations

from reports.exports.csv.chargeback import chargeback_csv
from reports.exports.format import ExportFormat

CSV = ExportFormat(
    name="csv",
    label="CSV",
    content_type="text/csv; charset=utf-8",
    write=chargeback_csv,
)
