"""Driver files small enough to stand in a test, and what became of them."""

from __future__ import annotations

from datetime import date
from typing import Any

from portal.ingest.drivers.delivery import Outcome, deliver
from portal.ingest.drivers.kinds import Asked, DriverKind
from portal.ingest.drivers.provider_usage import PROVIDER_USAGE
from portal.ingest.drivers.series import SERIES

OCTOBER = date(2026, 10, 1)
GPU_HEADER = (
    "hour,cluster,node,workload,run,gpu_model,team,capacity_seconds,booked_seconds,"
    "requested_seconds\n"
)


File = tuple[DriverKind, Asked]


def series(name: str, month: date = OCTOBER) -> File:
    return SERIES, {"name": name, "month": month}


def report(provider: str) -> File:
    return PROVIDER_USAGE, {"provider": provider}


SEATS = series("seats")


def send(file: DriverKind | File, text: str | bytes, **options: Any) -> Outcome:
    kind, asked = file if isinstance(file, tuple) else (file, {})
    content = text if isinstance(text, bytes) else text.encode()
    return deliver(kind, content, file_name="file.csv", asked=asked, created_by="me", **options)


def bad(outcome: Outcome) -> list[tuple[int, str | None, str | None, str]]:
    return [(each.line, each.column, each.value, each.reason) for each in outcome.problems]


def openai_page(
    *results: dict[str, Any], start: int = 1_791_936_000, **page: Any
) -> dict[str, Any]:
    """A page with one hourly bucket from 2026-10-14T00:00:00Z on."""
    bucket = {
        "object": "bucket",
        "start_time": start,
        "end_time": start + 3600,
        "results": list(results),
    }
    return {"object": "page", "data": [bucket], "has_more": False, **page}


OPENAI_RESULT = {
    "object": "organization.usage.completions.result",
    "input_tokens": 1000,
    "input_cached_tokens": 400,
    "input_cache_write_tokens": 50,
    "input_audio_tokens": 100,
    "input_cached_audio_tokens": 30,
    "output_tokens": 300,
    "output_audio_tokens": 40,
    "num_model_requests": 5,
    "project_id": "proj_1",
    "api_key_id": "key_1",
    "user_id": None,
    "model": "gpt-4o-audio-preview-2024-12-17",
    "batch": False,
    "service_tier": "default",
}
