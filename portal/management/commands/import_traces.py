"""manage.py import_traces PATH: load a file of OpenTelemetry traces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from portal.commands import PortalCommand
from portal.ingest.otlp.traces.files import import_traces


class Command(PortalCommand):
    help = (
        "Load OTLP traces from a file: JSON, JSON lines (collector file exporter) or one protobuf "
        "request, also .gz."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("path", type=Path)

    def run(self, **options: Any) -> dict[str, Any]:
        return import_traces(options["path"], created_by="import_traces").to_json()

    def show(self, outcome: dict[str, Any]) -> str:
        lines = [
            f"import {outcome['import']}: {outcome['status']}",
            f"{outcome['spans_read']:,} spans read, {outcome['spans_stored']:,} stored, "
            f"{outcome['spans_duplicate']:,} known before, {outcome['spans_rejected']:,} rejected, "
            f"{outcome['spans_outside_window']:,} outside the time window, in "
            f"{outcome['seconds']:.1f} s",
        ]
        lines += [f"line {each['line']}: {each['reason']}" for each in outcome["rejected"]]
        return "\n".join(lines)
