"""The shared cases of traces: inputs whose right values are known, sent through the real door."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings

from allocation.catalogue.canonical import TOKEN_COLUMNS
from portal.ingest.otlp.rollup.merge import merge_deltas
from reports.asking import TeamScope
from reports.queries.usage.by import usage_by
from reports.queries.usage.rows import usage_row
from tests.portal.ingest.otlp.sending import send

FOLDER = Path(settings.BASE_DIR).parent / "shared" / "cases"
SENT_AT = datetime(2026, 11, 30, 20, tzinfo=UTC)  # no case is outside the time window
FROM, TO = date(2025, 11, 1), date(2026, 12, 2)


def trace_cases() -> list[str]:
    return sorted(
        path.stem
        for path in FOLDER.glob("*.json")
        if "resourceSpans" in path.read_text(encoding="utf-8")[:3000]
    )


def send_case(name: str, secret: str) -> dict[str, Any]:
    """Send the case; what the door answered."""
    body = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    response = send({"resourceSpans": body["resourceSpans"]}, secret)
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = json.loads(response.content)
    return answer


def usage(*names: str) -> list[dict[str, Any]]:
    """Rows as `manage.py usage` prints them."""
    merge_deltas()
    rows = usage_by(
        names=names, first=FROM, last=TO + timedelta(days=1), teams=TeamScope.everything()
    )
    return [usage_row(names, row) for row in rows]


def tokens(row: dict[str, Any]) -> list[int]:
    """In the order of expected.json."""
    return [row["tokens"][name] for name in TOKEN_COLUMNS[:6]]
