"""What model calls do now against the same hour of the week in the last four weeks, per model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection

from reports.asking import TeamScope, fetch
from reports.queries.usage.picked import PICKED_DIMENSIONS, UsageFilter

WEEKS = 4
NOW = (0,)  # hours back: the 60 minutes up to now


@dataclass(frozen=True)
class HourRow:
    """One model in the 60 minutes that end some hours ago (`hours_back` 0: now), or that ended 1 to
    4 weeks before that.
    """

    hours_back: int
    weeks_back: int
    provider: str | None
    model: str | None
    calls: Decimal
    errors: Decimal
    tokens: Decimal
    cost: Decimal  # USD at list prices: the priced part only
    unpriced_calls: Decimal  # calls of models without a price
    pending_calls: Decimal  # calls too fresh to be priced
    spans: Decimal = Decimal(0)  # received; each stands for one call, or for many where sampled


@dataclass(frozen=True)
class SpanCount:
    hours_back: int
    weeks_back: int
    provider: str | None
    model: str | None
    spans: Decimal


@dataclass(frozen=True)
class LatencyRow:
    hours_back: int
    weeks_back: int
    provider: str | None
    model: str | None
    bin: int
    calls: Decimal


@dataclass(frozen=True)
class KnownTelemetry:
    """What telemetry there is at all."""

    first_hour: datetime | None
    last_hour: datetime | None
    last_started: datetime | None  # newest span of yesterday or today

    def covers(self, now: datetime, weeks_back: int) -> bool:
        """Whether telemetry had begun an hour before that moment, so that a missing row is a true
        zero.
        """
        moment = now - timedelta(weeks=weeks_back, hours=1)
        return self.first_hour is not None and moment >= self.first_hour


# Hours are whole in the rollup, so the 60 minutes up to now are the running hour plus the part of
# the hour before that is still inside. Before now the hour that runs at that minute counts with the
# part that had passed.
SLOTS = """
    SELECT * FROM unnest(%(hours_back)s::int[], %(weeks_back)s::int[], %(hours)s::timestamptz[],
        %(weights)s::numeric[]) AS slot(hours_back, weeks_back, hour, weight)
"""

# One row per hour back, week back and model.
USAGE = f"""
WITH slot AS MATERIALIZED ({SLOTS})
SELECT slot.hours_back, slot.weeks_back, d.provider, d.model,
    sum(d.calls * slot.weight), sum(d.errors * slot.weight),
    sum((d.input_tokens + d.cached_tokens + d.output_tokens) * slot.weight),
        sum(d.list_cost * slot.weight),
    sum(d.unpriced_calls * slot.weight), sum(d.pending_calls * slot.weight)
FROM usage_by_subject d JOIN slot ON slot.hour = d.hour
WHERE d.hour = ANY(%(hours)s) AND {PICKED_DIMENSIONS}
GROUP BY slot.hours_back, slot.weeks_back, d.provider, d.model
"""  # noqa: S608  no value is written into it

# The same grain; what is summed up by subject does not keep spans.
SPANS = f"""
WITH slot AS MATERIALIZED ({SLOTS})
SELECT slot.hours_back, slot.weeks_back, d.provider, d.model, sum(u.spans * slot.weight)
FROM usage_live u JOIN slot ON slot.hour = u.hour
JOIN allocation_usagedimension d ON d.id = u.dimension_id
WHERE u.hour = ANY(%(hours)s) AND {PICKED_DIMENSIONS}
GROUP BY slot.hours_back, slot.weeks_back, d.provider, d.model
"""  # noqa: S608  no value is written into it

# One row per hour back, week back, model and latency bin.
LATENCY = f"""
WITH slot AS MATERIALIZED ({SLOTS})
SELECT slot.hours_back, slot.weeks_back, d.provider, d.model, d.bin, sum(d.calls * slot.weight)
FROM latency_by_subject d JOIN slot ON slot.hour = d.hour
WHERE d.hour = ANY(%(hours)s) AND {PICKED_DIMENSIONS}
GROUP BY slot.hours_back, slot.weeks_back, d.provider, d.model, d.bin
"""  # noqa: S608  no value is written into it

KNOWN = """
SELECT least((SELECT min(hour) FROM usage_hourly), (SELECT min(hour) FROM usage_delta)),
    greatest((SELECT max(hour) FROM usage_hourly), (SELECT max(hour) FROM usage_delta)),
    (SELECT started_at FROM span WHERE span_day BETWEEN %(yesterday)s AND %(today)s
        ORDER BY started_at DESC LIMIT 1)
"""


def _parameters(
    now: datetime, picked: UsageFilter, teams: TeamScope, hours_back: Sequence[int]
) -> dict[str, object]:
    running = now.replace(minute=0, second=0, microsecond=0)
    passed = Decimal(now.minute * 60 + now.second) / 3600
    slots = [
        (
            back,
            week,
            running - timedelta(weeks=week, hours=back + before),
            1 - passed if before else passed if week or back else Decimal(1),
        )
        for back in hours_back
        for week in range(WEEKS + 1)
        for before in (0, 1)
    ]
    backs, weeks_back, hours, weights = (list(column) for column in zip(*slots, strict=True))
    return {
        "hours_back": backs,
        "weeks_back": weeks_back,
        "hours": hours,
        "weights": weights,
        **picked.parameters(teams),
    }


def usage_now(
    *, now: datetime, picked: UsageFilter, teams: TeamScope, hours_back: Sequence[int] = NOW
) -> list[HourRow]:
    """Calls, tokens and estimate of each model in the 60 minutes up to `now`, and in the same ones
    of four weeks; or in those that ended some hours before.
    """
    asked = _parameters(now, picked, teams, hours_back)
    spans = {
        (row.hours_back, row.weeks_back, row.provider, row.model): row.spans
        for row in fetch(SpanCount, SPANS, asked)
    }
    return [
        replace(
            row,
            spans=spans.get((row.hours_back, row.weeks_back, row.provider, row.model), Decimal(0)),
        )
        for row in fetch(HourRow, USAGE, asked)
    ]


def latency_now(
    *, now: datetime, picked: UsageFilter, teams: TeamScope, hours_back: Sequence[int] = NOW
) -> list[LatencyRow]:
    """Latency bins of each model for the same stretches as `usage_now`."""
    return fetch(LatencyRow, LATENCY, _parameters(now, picked, teams, hours_back))


def known_telemetry(*, now: datetime) -> KnownTelemetry:
    """First and last hour with calls, and when the newest span of yesterday or today began."""
    with connection.cursor() as cursor:
        cursor.execute(KNOWN, {"yesterday": now.date() - timedelta(days=1), "today": now.date()})
        return KnownTelemetry(*cursor.fetchone())
