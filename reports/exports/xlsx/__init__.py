"""The chargeback as an Excel workbook: lines, cost centres and totals on sheets of their own."""

from __future__ import annotations

from reports.exports.format import ExportFormat
from reports.exports.xlsx.workbook import chargeback_xlsx

XLSX = ExportFormat(
    name="xlsx",
    label="XLSX",
    content_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    write=chargeback_xlsx,
    position=10,
)
