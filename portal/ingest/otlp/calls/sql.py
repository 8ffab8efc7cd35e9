"""The statements of settling, with PostgreSQL's own $n; values are bound, nothing here comes from a
request.
"""

# ruff: noqa: S608 - the pieces are constants
from __future__ import annotations

from typing import Final, LiteralString

from portal.ingest.otlp.traces.sql import (
    AGGREGATE,
    LATENCY,
    MEASURES,
    TOKENS,
    WHO_AGGREGATE,
    WHO_MEASURES,
)

MOST_LINKED: Final[LiteralString] = "500"  # traces that one answer's id is looked for in

LOCK_TRACES: Final[LiteralString] = """
SELECT pg_advisory_xact_lock(hashtextextended('apportion trace ' || trace, 0))
FROM (SELECT unnest($1::text[]) AS trace ORDER BY 1) AS traces
"""

SEALED: Final[LiteralString] = """
SELECT day::text FROM allocation_sealedday WHERE day = ANY($1::date[])
"""

# Traces that hold a span with an answer that a span of these traces has, too.
LINKED_TRACES: Final[LiteralString] = (
    """
SELECT DISTINCT unnest(other.traces)
FROM span AS own
CROSS JOIN LATERAL (
    SELECT (array_agg(trace_id))[:"""
    + MOST_LINKED
    + """] AS traces FROM span
    WHERE span_day = ANY($1::date[]) AND response_id = own.response_id
        AND trace_id <> own.trace_id) AS other
WHERE own.span_day = ANY($1::date[]) AND own.trace_id = ANY($2::uuid[])
    AND own.response_id IS NOT NULL
"""
)

# In the order of Seen behind its key, dimension and who, then why it is not counted.
TRACE_SPANS: Final[LiteralString] = (
    """
SELECT s.span_day::text, s.trace_id, s.span_id, s.parent_span_id, s.dimension_id, s.who_id,
    coalesce(s.usage_shape = 'agent_total', false), s.has_usage, ARRAY["""
    + TOKENS
    + """],
    s.status_code = 2, s.adjusted_count, s.client_cost,
    (extract(epoch FROM s.started_at) * 1000000)::bigint,
    (extract(epoch FROM s.started_at) * 1000000)::bigint + s.duration_us,
    s.response_id, k.team_id IS NOT NULL,
    (extract(epoch FROM s.received_at) * 1000000)::bigint,
    s.not_counted
FROM span AS s
JOIN allocation_usagedimension AS d ON d.id = s.dimension_id
LEFT JOIN accounts_apikey AS k ON k.id = d.api_key_id
WHERE s.span_day = ANY($1::date[]) AND s.trace_id = ANY($2::uuid[])
    AND coalesce(s.not_counted NOT IN ('outside the time window', 'its day is sealed'), true)
"""
)

MERGED_CALLS: Final[LiteralString] = (
    "SELECT span_day::text, trace_id, span_id, dimension_id, who_id, adjusted_count,"
    " status_code, has_usage, ARRAY["
    + TOKENS
    + """], client_cost, spans, doubt
FROM merged_call
WHERE span_day = ANY($1::date[]) AND trace_id = ANY($2::uuid[])
"""
)

SKELETONS: Final[LiteralString] = """
SELECT trace_id, span_ids, parent_span_ids FROM span_skeleton
WHERE span_day = ANY($1::date[]) AND trace_id = ANY($2::uuid[])
"""

CHANGED: Final[LiteralString] = (
    "unnest($1::date[], $2::uuid[], $3::bigint[]) AS changed(span_day, trace_id, span_id)"
)
WEIGHED: Final[LiteralString] = (
    "WITH weighed AS (SELECT c.*, $4::int AS sign FROM "
    + CHANGED
    + " JOIN call_as_counted AS c USING (span_day, trace_id, span_id))"
)
ADD_USAGE: Final[LiteralString] = WEIGHED + "INSERT INTO usage_delta (" + MEASURES + ")" + AGGREGATE
ADD_LATENCY: Final[LiteralString] = (
    WEIGHED + "INSERT INTO latency_delta (hour, dimension_id, bin, calls)" + LATENCY
)

ADD_WHO: Final[LiteralString] = (
    WEIGHED + "INSERT INTO who_delta (" + WHO_MEASURES + ")" + WHO_AGGREGATE
)
ADD: Final = (ADD_USAGE, ADD_WHO, ADD_LATENCY)

RECOUNT: Final[LiteralString] = """
UPDATE span SET counted = change.reason IS NULL, not_counted = change.reason
FROM unnest($1::date[], $2::uuid[], $3::bigint[], $4::text[])
    AS change(span_day, trace_id, span_id, reason)
WHERE span.span_day = change.span_day AND span.trace_id = change.trace_id
    AND span.span_id = change.span_id
"""

FORGET_MERGED: Final[LiteralString] = (
    "DELETE FROM merged_call USING "
    + CHANGED
    + """
WHERE merged_call.span_day = changed.span_day AND merged_call.trace_id = changed.trace_id
    AND merged_call.span_id = changed.span_id
"""
)

WRITE_MERGED: Final[LiteralString] = (
    """
INSERT INTO merged_call (span_day, trace_id, span_id, dimension_id, who_id, adjusted_count,
    status_code, has_usage, """
    + TOKENS
    + """, client_cost, spans, doubt)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
    $21)
"""
)
