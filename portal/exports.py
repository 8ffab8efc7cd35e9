"""Chargeback files for those who ask over HTTP, in any registered format."""

from __future__ import annotations

from django.http import StreamingHttpResponse

from allocation.values.periods import Period
from portal.registry import registered
from reports.asking import TeamScope
from reports.exports.format import ExportFormat

EXPORTS = "reports.exports"


def export_formats() -> dict[str, ExportFormat]:
    """Every registered format, by name."""
    return registered(EXPORTS, ExportFormat)


def chargeback_file(
    wanted: ExportFormat, *, period: Period, scope: TeamScope
) -> StreamingHttpResponse:
    """The file as a download. Raises NotAllocated."""
    blocks = wanted.write(period=period, scope=scope)
    name = f"chargeback-{period}.{wanted.name}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(blocks, content_type=wanted.content_type, headers=headers)
