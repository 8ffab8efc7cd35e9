"""Latency histogram of each model in a window."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from reports.analysis.latency import Histogram
from reports.queries.rows import fetch
from reports.queries.usage.picked import PICKED_DIMENSIONS, UsageFilter
from reports.scope import TeamScope
from reports.window import Window


@dataclass(frozen=True)
class BucketRow:
    provider: str | None
    model: str | None
    bucket: int
    calls: Decimal


# One row per provider, model and latency bucket; hours [first, last).
SQL = f"""
SELECT d.provider, d.model, d.bucket, sum(d.calls)
FROM latency_by_subject d
WHERE d.hour >= %(first)s AND d.hour < %(last)s AND {PICKED_DIMENSIONS}
GROUP BY d.provider, d.model, d.bucket
"""  # noqa: S608  no value is written into it


def latency_by_model(
    *, window: Window, picked: UsageFilter, teams: TeamScope
) -> dict[tuple[str | None, str | None], Histogram]:
    """The histogram of each (provider, model) over the whole hours that touch the window."""
    first, last = window.hours
    counts: dict[tuple[str | None, str | None], list[tuple[int, Decimal]]] = {}
    for row in fetch(BucketRow, SQL, {"first": first, "last": last, **picked.parameters(teams)}):
        counts.setdefault((row.provider, row.model), []).append((row.bucket, row.calls))
    return {key: Histogram.of(pairs) for key, pairs in counts.items()}
