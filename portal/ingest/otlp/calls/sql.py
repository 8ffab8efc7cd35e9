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

BEGUN: Final[LiteralString] = "interval '5000000 microseconds'"  # unlinked.BEGUN_US
ENDED: Final[LiteralString] = "interval '1000000 microseconds'"  # unlinked.ENDED_US
NESTED: Final[LiteralString] = "interval '50000 microseconds'"  # groups.NESTED_US
STRETCH: Final[LiteralString] = "61803399"  # unlinked.STRETCH_US
INPUT: Final[LiteralString] = (
    "s.input_uncached + s.cache_read + s.cache_write_5m + s.cache_write_1h + s.input_audio"
    " + s.input_image"
)
OUTPUT: Final[LiteralString] = "s.output_text + s.reasoning + s.output_audio + s.output_image"
# Totals that are close lie in one cell or in cells beside each other, as in unlinked.cell.
CELL: Final[LiteralString] = "floor(90 * ln(100::float8 + "
SPAN_END: Final[LiteralString] = "s.started_at + s.duration_us * interval '1 microsecond'"
LOOKS: Final[LiteralString] = (
    "s.trace_id, s.started_at, "
    + SPAN_END
    + " AS ended_at, s.parent_span_id IS NULL AS is_root, s.status_code = 2 AS failed, "
    + INPUT
    + " AS input_total, "
    + OUTPUT
    + " AS output_total, "
    + CELL
    + INPUT
    + "))::int AS input_cell, "
    + CELL
    + OUTPUT
    + "))::int AS output_cell"
)
EPOCH_US: Final[LiteralString] = "(extract(epoch FROM "
IN_STRETCH: Final[LiteralString] = ") * 1000000)::bigint / " + STRETCH
HALF: Final[LiteralString] = (
    "s.trace_id, s.started_at, coalesce(s.usage_shape = 'stream_log', false) AS is_log, "
    + EPOCH_US
    + "CASE WHEN s.usage_shape = 'stream_log' THEN s.started_at ELSE "
    + SPAN_END
    + " END"
    + IN_STRETCH
    + " AS stretch"
)
# By its id: a service may have thousands.
DIMENSION: Final[LiteralString] = (
    "(SELECT * FROM allocation_usagedimension WHERE id = dimension_id OFFSET 0) AS d"
)

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

# Of these traces, each beside another with a call that looks like one of its own; calls.unlinked
# says it exactly, this is what of it the database can say. The calls of a time are read once, not
# for each call: of everything where a call begins its trace, else only of calls that do. They meet
# by their totals first, since what they are called is another table's.
LOOKALIKES: Final[LiteralString] = (
    """
WITH own AS MATERIALIZED (
    SELECT d.service, d.api_key_id, d.model, d.scope, """
    + LOOKS
    + """
    FROM span AS s JOIN allocation_usagedimension AS d ON d.id = s.dimension_id
    WHERE s.span_day = ANY($1::date[]) AND s.trace_id = ANY($2::uuid[])
        AND s.has_usage AND d.is_inference
        AND (EXISTS (SELECT FROM allocation_usagedimension AS o
                WHERE o.is_inference AND o.service = d.service AND o.scope < d.scope)
            OR EXISTS (SELECT FROM allocation_usagedimension AS o
                WHERE o.is_inference AND o.service = d.service AND o.scope > d.scope))
), times AS MATERIALIZED (
    SELECT is_root, unnest(range_agg(tstzrange(started_at - """
    + BEGUN
    + ", started_at + "
    + BEGUN
    + """, '[]'))) AS time FROM own GROUP BY is_root
), near AS MATERIALIZED (
    SELECT s.dimension_id, """
    + LOOKS
    + """
    FROM times CROSS JOIN LATERAL (
        SELECT * FROM span
        WHERE span_day = ANY($1::date[]) AND started_at BETWEEN lower(time) AND upper(time)
            AND has_usage AND (parent_span_id IS NULL OR times.is_root)
        OFFSET 0) AS s
), reach AS MATERIALIZED (
    SELECT own.*, input_cell + more AS input_reach, output_cell + longer AS output_reach
    FROM own CROSS JOIN (VALUES (-1), (0), (1)) AS inputs(more)
    CROSS JOIN (VALUES (-1), (0), (1)) AS outputs(longer)
), alike AS MATERIALIZED (
    SELECT own.trace_id, own.service, own.api_key_id, own.model, own.scope, own.ended_at,
        near.trace_id AS near_id, near.dimension_id, near.ended_at AS near_ended_at
    FROM reach AS own JOIN near
        ON near.input_cell = own.input_reach AND near.output_cell = own.output_reach
    WHERE own.trace_id <> near.trace_id AND (own.is_root OR near.is_root)
        AND own.failed = near.failed
        AND near.started_at BETWEEN own.started_at - """
    + BEGUN
    + " AND own.started_at + "
    + BEGUN
    + """
        AND near.ended_at BETWEEN own.ended_at - """
    + ENDED
    + " AND own.ended_at + "
    + ENDED
    + """
        AND near.started_at <= own.ended_at AND own.started_at <= near.ended_at
        AND ((near.started_at >= own.started_at - """
    + NESTED
    + " AND near.ended_at <= own.ended_at + "
    + NESTED
    + """)
            OR (own.started_at >= near.started_at - """
    + NESTED
    + " AND own.ended_at <= near.ended_at + "
    + NESTED
    + """))
        AND abs(own.input_total - near.input_total)
            <= greatest(1, 0.01::float8 * greatest(own.input_total, near.input_total))
        AND abs(own.output_total - near.output_total)
            <= greatest(1, 0.01::float8 * greatest(own.output_total, near.output_total))
)
SELECT DISTINCT alike.trace_id, alike.near_id
FROM alike CROSS JOIN LATERAL """
    + DIMENSION
    + """
WHERE d.is_inference AND d.service = alike.service AND d.model = alike.model
    AND d.scope <> alike.scope AND d.api_key_id IS NOT DISTINCT FROM alike.api_key_id
    AND """
    + EPOCH_US
    + "alike.ended_at"
    + IN_STRETCH
    + " = "
    + EPOCH_US
    + "alike.near_ended_at"
    + IN_STRETCH
)

# Of these traces, each beside another with the other half of its stream.
HALVES: Final[LiteralString] = (
    """
WITH own AS MATERIALIZED (
    SELECT d.service, d.api_key_id, d.model, d.scope, """
    + HALF
    + """
    FROM span AS s JOIN allocation_usagedimension AS d ON d.id = s.dimension_id
    WHERE s.span_day = ANY($1::date[]) AND s.trace_id = ANY($2::uuid[]) AND d.is_inference
        AND s.parent_span_id IS NULL AND (s.usage_shape = 'stream_log' OR NOT s.has_usage)
), times AS MATERIALIZED (
    SELECT unnest(range_agg(tstzrange(started_at - """
    + BEGUN
    + ", started_at + "
    + BEGUN
    + """, '[]'))) AS time FROM own
), near AS MATERIALIZED (
    SELECT d.service, d.api_key_id, d.model, d.scope, """
    + HALF
    + """
    FROM times CROSS JOIN LATERAL (
        SELECT * FROM span
        WHERE span_day = ANY($1::date[]) AND started_at BETWEEN lower(time) AND upper(time)
            AND parent_span_id IS NULL AND (usage_shape = 'stream_log' OR NOT has_usage)
        OFFSET 0) AS s
    CROSS JOIN LATERAL """
    + DIMENSION
    + """
    WHERE d.is_inference
)
SELECT DISTINCT own.trace_id, near.trace_id
FROM own JOIN near USING (service, model, scope, stretch)
WHERE own.is_log <> near.is_log AND own.trace_id <> near.trace_id
    AND own.api_key_id IS NOT DISTINCT FROM near.api_key_id
    AND CASE WHEN own.is_log THEN own.started_at - near.started_at
        ELSE near.started_at - own.started_at END BETWEEN interval '0' AND """
    + BEGUN
)

# In the order of Seen behind its key, dimension and who, then why it is not counted.
TRACE_SPANS: Final[LiteralString] = (
    """
SELECT s.span_day::text, s.trace_id, s.span_id, s.parent_span_id, s.dimension_id, s.who_id,
    coalesce(s.usage_shape = 'agent_total', false), coalesce(s.usage_shape = 'stream_log', false),
    s.has_usage, ARRAY["""
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
