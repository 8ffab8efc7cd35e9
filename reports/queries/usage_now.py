"""What model calls do now against the same hour of the week in the last four weeks, per model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection

from reports.queries.rows import fetch
from reports.queries.usage_filter import PICKED_DIMENSIONS, UsageFilter
from reports.scope import TeamScope

WEEKS = 4


@dataclass(frozen=True)
class HourRow:
    """One model in the 60 minutes that end now (`weeks_back` 0) or that ended 1 to 4 weeks ago."""

    weeks_back: int
    provider: str | None
    model: str | None
    calls: Decimal
    errors: Decimal
    tokens: Decimal
    cost: Decimal  # USD at list prices: the priced part only
    unpriced_calls: Decimal  # calls of models without a price
    pending_calls: Decimal  # calls too fresh to be priced


@dataclass(frozen=True)
class LatencyRow:
    weeks_back: int
    provider: str | None
    model: str | None
    bucket: int
    calls: Decimal


@dataclass(frozen=True)
class Known:
    """What telemetry there is at all."""

    first_hour: datetime | None
    last_hour: datetime | None
    last_started: datetime | None  # newest span of yesterday or today

    def covers(self, now: datetime, weeks_back: int) -> bool:
        """Whether telemetry had begun an hour before that moment, so that a missing row is a true zero."""
        moment = now - timedelta(weeks=weeks_back, hours=1)
        return self.first_hour is not None and moment >= self.first_hour


# Hours are whole in the rollup, so the 60 minutes up to now are the running hour plus the part of the hour before that
# is still inside. For past weeks the hour that runs now counts with the part that had passed.
SLOTS = """
    SELECT k AS weeks_back,
        date_trunc('hour', %(now)s - k * interval '7 days', 'UTC') - part * interval '1 hour' AS hour,
        CASE WHEN part = 1 THEN 1 - %(elapsed)s::numeric WHEN k = 0 THEN 1 ELSE %(elapsed)s::numeric END AS weight
    FROM generate_series(0, %(weeks)s) AS k, generate_series(0, 1) AS part
"""

# One row per week back and model.
USAGE = f"""
WITH slot AS ({SLOTS}), measured AS (
    SELECT hour, dimension_id, calls, errors,
        input_uncached + cache_read + cache_write_5m + cache_write_1h + output_text + reasoning
            + input_audio + input_image + output_audio + output_image AS tokens,
        list_cost, price_version_id IS NULL AS is_pending
    FROM usage_hourly WHERE hour = ANY(ARRAY(SELECT hour FROM slot))
    UNION ALL
    SELECT hour, dimension_id, calls, errors,
        input_uncached + cache_read + cache_write_5m + cache_write_1h + output_text + reasoning
            + input_audio + input_image + output_audio + output_image,
        NULL, true
    FROM usage_delta WHERE hour = ANY(ARRAY(SELECT hour FROM slot))
)
SELECT slot.weeks_back, d.provider, d.model,
    sum(u.calls * slot.weight), sum(u.errors * slot.weight), sum(u.tokens * slot.weight),
    coalesce(sum(u.list_cost * slot.weight), 0),
    coalesce(sum(u.calls * slot.weight) FILTER (WHERE u.list_cost IS NULL AND NOT u.is_pending), 0),
    coalesce(sum(u.calls * slot.weight) FILTER (WHERE u.list_cost IS NULL AND u.is_pending), 0)
FROM slot
JOIN measured u ON u.hour = slot.hour
JOIN allocation_usagedimension d ON d.id = u.dimension_id
WHERE {PICKED_DIMENSIONS}
GROUP BY slot.weeks_back, d.provider, d.model
"""  # noqa: S608  no value is written into it

# One row per week back, model and latency bucket.
LATENCY = f"""
WITH slot AS ({SLOTS})
SELECT slot.weeks_back, d.provider, d.model, l.bucket, sum(l.calls * slot.weight)
FROM slot
JOIN latency_live l ON l.hour = slot.hour
JOIN allocation_usagedimension d ON d.id = l.dimension_id
WHERE {PICKED_DIMENSIONS}
GROUP BY slot.weeks_back, d.provider, d.model, l.bucket
"""  # noqa: S608  no value is written into it

KNOWN = """
SELECT least((SELECT min(hour) FROM usage_hourly), (SELECT min(hour) FROM usage_delta)),
    greatest((SELECT max(hour) FROM usage_hourly), (SELECT max(hour) FROM usage_delta)),
    (SELECT started_at FROM span WHERE span_day BETWEEN %(yesterday)s AND %(today)s ORDER BY started_at DESC LIMIT 1)
"""


def _parameters(now: datetime, picked: UsageFilter, teams: TeamScope) -> dict[str, object]:
    elapsed = Decimal(now.minute * 60 + now.second) / 3600
    return {"now": now, "elapsed": elapsed, "weeks": WEEKS, **picked.parameters(teams)}


def usage_now(*, now: datetime, picked: UsageFilter, teams: TeamScope) -> list[HourRow]:
    """Calls, tokens and estimate of each model in the 60 minutes up to `now`, and in the same ones of four weeks."""
    return fetch(HourRow, USAGE, _parameters(now, picked, teams))


def latency_now(*, now: datetime, picked: UsageFilter, teams: TeamScope) -> list[LatencyRow]:
    """Latency buckets of each model for the same stretches as `usage_now`."""
    return fetch(LatencyRow, LATENCY, _parameters(now, picked, teams))


def known_telemetry(*, now: datetime) -> Known:
    """First and last hour with calls, and when the newest span of yesterday or today began."""
    with connection.cursor() as cursor:
        cursor.execute(KNOWN, {"yesterday": now.date() - timedelta(days=1), "today": now.date()})
        return Known(*cursor.fetchone())
