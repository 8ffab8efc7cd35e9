"""The statements of the store, with PostgreSQL's own $n; values are bound, nothing here comes from
a request.
"""

# ruff: noqa: S608 - the pieces are constants of this file
from __future__ import annotations

from typing import Final, LiteralString

TOKENS: Final[LiteralString] = (
    "input_uncached, cache_read, cache_write_5m, cache_write_1h, output_text, reasoning,"
    " input_audio, input_image, output_audio, output_image"
)
MEASURES: Final[LiteralString] = (
    "hour, dimension_id, spans, calls, calls_without_usage, errors, "
    + TOKENS
    + ", duration_us, variance_input, variance_output, covariance, cached_answers, client_cost,"
    " client_cost_calls"
)
WHO_MEASURES: Final[LiteralString] = (
    "hour, dimension_id, who_id, calls, calls_without_usage, errors, "
    + TOKENS
    + ", cached_answers, client_cost, client_cost_calls"
)

INSERT_DIMENSION: Final[LiteralString] = """
INSERT INTO allocation_usagedimension (content_hash, is_inference, operation, provider, project,
    region,
    model_requested, model_answered, model, tier, context_band, service, team, feature, product,
        environment, customer,
    phase, entry_team, entry_feature, caller, prompt_name, prompt_version, observer, scope,
    api_key_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
    $21, $22, $23, $24,
    $25, $26)
ON CONFLICT (content_hash) DO NOTHING
"""

FIND_DIMENSIONS: Final[LiteralString] = """
SELECT id, content_hash FROM allocation_usagedimension WHERE content_hash = ANY($1)
"""

INSERT_WHO: Final[LiteralString] = """
INSERT INTO usage_who (person, repository) SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT DO NOTHING
"""

# By cases, since no index finds what is not distinct.
FIND_WHO: Final[LiteralString] = """
SELECT w.id, w.person, w.repository
FROM unnest($1::text[], $2::text[]) AS told(person, repository)
CROSS JOIN LATERAL (
    SELECT * FROM usage_who
    WHERE person = told.person AND repository = told.repository
    UNION ALL SELECT * FROM usage_who
    WHERE person = told.person AND repository IS NULL AND told.repository IS NULL
    UNION ALL SELECT * FROM usage_who
    WHERE person IS NULL AND told.person IS NULL AND repository = told.repository) AS w
"""

READ_WHO: Final[LiteralString] = "SELECT id, person, repository FROM usage_who WHERE id = ANY($1)"

NAME_PERSONS: Final[LiteralString] = """
INSERT INTO person_name (person, name) SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT DO NOTHING
"""

# What a set of calls adds to the rollups. `sign` is 1, or -1 to take back what a call has added
# before; `weight` is how many calls it stands for. A cached answer adds only itself. The variance
# terms of sampling are sums of w(w-1)xx.
HOUR: Final[LiteralString] = "date_trunc('hour', started_at, 'UTC') AS hour"
CALLS: Final[LiteralString] = """
    sum(weight) AS calls,
    sum(CASE WHEN has_usage OR status_code = 2 THEN 0 ELSE weight END) AS calls_without_usage,
    sum(CASE WHEN status_code = 2 THEN weight ELSE 0 END) AS errors,
    sum(weight * input_uncached) AS input_uncached,
    sum(weight * cache_read) AS cache_read,
    sum(weight * cache_write_5m) AS cache_write_5m,
    sum(weight * cache_write_1h) AS cache_write_1h,
    sum(weight * output_text) AS output_text,
    sum(weight * reasoning) AS reasoning,
    sum(weight * input_audio) AS input_audio,
    sum(weight * input_image) AS input_image,
    sum(weight * output_audio) AS output_audio,
    sum(weight * output_image) AS output_image
"""
CLAIMS: Final[LiteralString] = """
    sum(CASE WHEN counted THEN 0 ELSE sign * adjusted_count END) AS cached_answers,
    sum(weight * coalesce(client_cost, 0)) AS client_cost,
    sum(CASE WHEN client_cost IS NULL THEN 0 ELSE weight END) AS client_cost_calls
"""
FROM_WEIGHED: Final[LiteralString] = """
FROM weighed
CROSS JOIN LATERAL (SELECT
    CASE WHEN counted THEN sign * adjusted_count ELSE 0 END AS weight,
    CASE WHEN adjusted_count = 1 OR NOT counted THEN 0 ELSE adjusted_count * (adjusted_count - 1)
        END::float8 AS excess,
    (input_uncached + cache_read + cache_write_5m + cache_write_1h + input_audio +
        input_image)::float8 AS input_total,
    (output_text + reasoning + output_audio + output_image)::float8 AS output_total) AS sampling
"""
AGGREGATE: Final[LiteralString] = (
    "SELECT "
    + HOUR
    + ", dimension_id, sum(CASE WHEN counted THEN sign ELSE 0 END) AS spans,"
    + CALLS
    + """,
    sum(weight * duration_us) AS duration_us,
    sum(sign * excess * input_total * input_total) AS variance_input,
    sum(sign * excess * output_total * output_total) AS variance_output,
    sum(sign * excess * input_total * output_total) AS covariance,"""
    + CLAIMS
    + FROM_WEIGHED
    + "GROUP BY 1, 2"
)
WHO_AGGREGATE: Final[LiteralString] = (
    "SELECT "
    + HOUR
    + ", dimension_id, who_id,"
    + CALLS
    + ","
    + CLAIMS
    + FROM_WEIGHED
    + "WHERE who_id IS NOT NULL GROUP BY 1, 2, 3"
)

# Bin b holds durations in [2^(b/2), 2^((b+1)/2)) milliseconds; everything below one is in bin
# 0.
LATENCY: Final[LiteralString] = """
SELECT date_trunc('hour', started_at, 'UTC') AS hour, dimension_id,
    floor(2 * ln(greatest(duration_us, 1000) / 1000.0::float8) / ln(2::float8))::smallint AS bin,
    sum(sign * adjusted_count) AS calls
FROM weighed
WHERE counted
GROUP BY 1, 2, 3
"""

# Columns as sent, with their types; `started_us` becomes started_at.
SENT: Final[LiteralString] = """
unnest($1::date[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
    $7::bigint[], $8::text[], $9::smallint[], $10::text[], $11::boolean[], $12::text[],
    $13::numeric[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[],
    $19::bigint[], $20::bigint[], $21::bigint[], $22::bigint[], $23::bigint[], $24::boolean[],
    $25::text[], $26::text[], $27::text[], $28::bigint[], $29::text[], $30::numeric[], $31::jsonb[],
    $32::bigint[])
  AS sent(span_day, trace_id, span_id, parent_span_id, dimension_id, started_us, duration_us, name,
    status_code, error_type, counted, not_counted, adjusted_count, input_uncached, cache_read,
    cache_write_5m, cache_write_1h, output_text, reasoning, input_audio, input_image, output_audio,
    output_image, has_usage, usage_shape, session_id, response_id, time_to_first_chunk_us,
    finish_reason, client_cost, attributes, who_id)
"""

STARTED_AT: Final[LiteralString] = "timestamptz 'epoch' + started_us * interval '1 microsecond'"

INSERT_SPANS: Final[LiteralString] = (
    """
WITH new AS (
    INSERT INTO span (span_day, trace_id, span_id, parent_span_id, dimension_id, started_at,
        duration_us, received_at, name, status_code, error_type, counted, not_counted,
        adjusted_count, """
    + TOKENS
    + """, has_usage, usage_shape, session_id, response_id, time_to_first_chunk_us,
        finish_reason, client_cost, attributes, who_id)
    SELECT span_day, trace_id, span_id, parent_span_id, dimension_id, """
    + STARTED_AT
    + """, duration_us, now(), name, status_code, error_type, counted, not_counted,
        adjusted_count, """
    + TOKENS
    + """, has_usage, usage_shape, session_id, response_id, time_to_first_chunk_us,
        finish_reason, client_cost, attributes, who_id
    FROM """
    + SENT
    + """
    ON CONFLICT DO NOTHING
    RETURNING *
), weighed AS (
    SELECT *, 1 AS sign FROM new WHERE counted OR not_counted = 'a cached answer'
), usage AS (
    INSERT INTO usage_delta ("""
    + MEASURES
    + ")"
    + AGGREGATE
    + """
), who AS (
    INSERT INTO who_delta ("""
    + WHO_MEASURES
    + ")"
    + WHO_AGGREGATE
    + """
), latency AS (
    INSERT INTO latency_delta (hour, dimension_id, bin, calls)"""
    + LATENCY
    + """
)
SELECT count(*) FROM new
"""
)

CONFLICTS: Final[LiteralString] = (
    "SELECT count(*) FROM "
    + SENT
    + """
JOIN span USING (span_day, trace_id, span_id)
WHERE (span.dimension_id, span.started_at, span.duration_us, span.name, span.status_code,
        span.input_uncached, span.cache_read, span.cache_write_5m, span.cache_write_1h,
        span.output_text, span.reasoning)
    IS DISTINCT FROM (sent.dimension_id, """
    + STARTED_AT
    + """, sent.duration_us, sent.name, sent.status_code, sent.input_uncached,
        sent.cache_read, sent.cache_write_5m, sent.cache_write_1h, sent.output_text, sent.reasoning)
"""
)

READ_DIMENSIONS: Final[LiteralString] = """
SELECT id, is_inference, operation, provider, project, region, model_requested, model_answered,
    model, tier, context_band, service, team, feature, product, environment, customer, phase,
    entry_team, entry_feature, caller, prompt_name, prompt_version, observer, scope, api_key_id
FROM allocation_usagedimension WHERE id = ANY($1)
"""

INSERT_SKELETON: Final[LiteralString] = """
INSERT INTO span_skeleton (span_day, trace_id, content_hash, span_ids, parent_span_ids)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
"""

# A day that fills has no statistics yet, and would be read as a whole for every batch.
BY_INDEX: Final[LiteralString] = "SET LOCAL enable_seqscan = off"

# Services of whose calls other observers tell, too.
SEEN_BY_OTHERS: Final[LiteralString] = """
SELECT DISTINCT own.service FROM unnest($1::text[], $2::text[]) AS own(service, scope)
WHERE EXISTS (SELECT FROM allocation_usagedimension AS d
        WHERE d.is_inference AND d.service = own.service AND d.scope < own.scope)
    OR EXISTS (SELECT FROM allocation_usagedimension AS d
        WHERE d.is_inference AND d.service = own.service AND d.scope > own.scope)
"""

# Traces of which more spans are stored than this batch brought, with a call among them.
SHARED_TRACES: Final[LiteralString] = """
SELECT stored.trace_id
FROM (
    SELECT trace_id, count(*) AS spans,
        bool_or(not_counted IS DISTINCT FROM 'not an inference call') AS has_call
    FROM span
    WHERE span_day = ANY($1::date[]) AND trace_id = ANY($2::uuid[])
    GROUP BY trace_id) AS stored
JOIN unnest($2::uuid[], $3::bigint[]) AS brought(trace_id, spans) USING (trace_id)
WHERE stored.spans > brought.spans AND stored.has_call
"""

# Traces of this batch one of whose answers a span of another trace has, too. All matches are
# counted: a limit would make the planner read the day in the hope of finding one early.
SHARED_ANSWERS: Final[LiteralString] = """
SELECT DISTINCT brought.trace_id
FROM unnest($2::uuid[], $3::text[]) AS brought(trace_id, response_id)
CROSS JOIN LATERAL (
    SELECT count(*) AS spans FROM span AS s
    WHERE s.span_day = ANY($1::date[]) AND s.response_id = brought.response_id
        AND s.trace_id <> brought.trace_id) AS other
WHERE other.spans > 0
"""

ADD_FINDING: Final[LiteralString] = """
INSERT INTO allocation_tracefinding AS old (day, api_key_id, finding, spans)
VALUES ($1, $2, $3, $4)
ON CONFLICT (day, api_key_id, finding) DO UPDATE SET spans = old.spans + excluded.spans
"""
