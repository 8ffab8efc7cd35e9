"""The spans of one trace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connection

from reports.asking import TeamScope, fetch, within_scope

LIMIT = 2000  # a waterfall longer than this can't be read; the page says what is left out


@dataclass(frozen=True)
class SpanRow:
    span_day: date
    trace_id: UUID
    span_id: int
    parent_span_id: int | None
    name: str
    started_at: datetime
    duration_us: int
    status_code: int
    error_type: str | None
    counted: bool
    not_counted: str | None
    is_inference: bool
    operation: str | None
    provider: str | None
    model: str | None
    service: str | None
    team: str | None
    feature: str | None
    prompt_version: str | None
    has_usage: bool
    usage_shape: str | None
    adjusted_count: Decimal
    input_tokens: int  # uncached, text and other media
    cached_tokens: int  # cache reads and writes
    output_tokens: int  # reasoning included
    finish_reason: str | None
    is_outside: bool  # of the time window: kept, counted nowhere

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.cached_tokens + self.output_tokens


# One row per span, in the order they began.
SPANS = f"""
SELECT s.span_day, s.trace_id, s.span_id, s.parent_span_id, s.name, s.started_at, s.duration_us,
    s.status_code, s.error_type, s.counted, s.not_counted, d.is_inference, d.operation,
    d.provider, d.model, d.service, d.team, d.feature, d.prompt_version,
    s.has_usage, s.usage_shape, s.adjusted_count,
    s.input_uncached + s.input_audio + s.input_image,
    s.cache_read + s.cache_write_5m + s.cache_write_1h,
    s.output_text + s.reasoning + s.output_audio + s.output_image,
    s.finish_reason, s.tableoid = 'span_outside_window'::regclass
FROM span s
JOIN allocation_usagedimension d ON d.id = s.dimension_id
WHERE s.span_day = ANY(%(days)s) AND s.trace_id = %(trace_id)s
    AND {within_scope("d.team")}
ORDER BY s.started_at, s.span_id
LIMIT %(limit)s
"""  # noqa: S608  no value is written into it

# The primary key begins with the day, so the day has to be known: from the link, else every day
# that holds spans. One row per day; spans outside the time window have days of their own in the
# default partition.
DAYS = """
SELECT to_date(substr(c.relname, 6), 'YYYYMMDD')
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'span'::regclass AND c.relname ~ '^span_[0-9]{8}$'
UNION SELECT span_day FROM span_outside_window WHERE trace_id = %(trace_id)s
"""


def trace_spans(*, trace_id: UUID, day: date | None, teams: TeamScope) -> list[SpanRow]:
    """At most 2,001 spans (one more than a page shows) by start; `day` and its neighbours only,
    where given.

    A reader of some teams gets their spans only.
    """
    return fetch(
        SpanRow,
        SPANS,
        {
            "days": _days(trace_id, day),
            "trace_id": trace_id,
            "limit": LIMIT + 1,
            "teams": teams.bound,
        },
    )


def _days(trace_id: UUID, day: date | None) -> list[date]:
    if day is not None:
        return [day + timedelta(days=offset) for offset in (-1, 0, 1)]
    with connection.cursor() as cursor:
        cursor.execute(DAYS, {"trace_id": trace_id})
        return [found for (found,) in cursor.fetchall()]
