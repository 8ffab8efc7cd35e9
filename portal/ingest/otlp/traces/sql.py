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
    + ", duration_us, variance_input, variance_output, covariance"
)

INSERT_DIMENSION: Final[LiteralString] = """
INSERT INTO allocation_usagedimension (content_hash, is_inference, operation, provider, project,
    region,
    model_requested, model_answered, model, tier, context_band, service, team, feature, product,
        environment, customer,
    phase, entry_team, entry_feature, caller, prompt_name, prompt_version, observer, api_key_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
    $21, $22, $23, $24,
    $25)
ON CONFLICT (content_hash) DO NOTHING
"""

FIND_DIMENSIONS: Final[LiteralString] = """
SELECT id, content_hash FROM allocation_usagedimension WHERE content_hash = ANY($1)
"""

# What a set of spans adds to the rollup. `sign` is 1, or -1 to take back what a span has added
# before; `weight` is how many calls it stands for. The last three are the variance terms of
# sampling: sums of w(w-1)xx.
AGGREGATE: Final[LiteralString] = """
SELECT date_trunc('hour', started_at, 'UTC') AS hour, dimension_id,
    sum(sign) AS spans,
    sum(sign * adjusted_count) AS calls,
    sum(CASE WHEN has_usage THEN 0 ELSE sign * adjusted_count END) AS calls_without_usage,
    sum(CASE WHEN status_code = 2 THEN sign * adjusted_count ELSE 0 END) AS errors,
    sum(sign * adjusted_count * input_uncached) AS input_uncached,
    sum(sign * adjusted_count * cache_read) AS cache_read,
    sum(sign * adjusted_count * cache_write_5m) AS cache_write_5m,
    sum(sign * adjusted_count * cache_write_1h) AS cache_write_1h,
    sum(sign * adjusted_count * output_text) AS output_text,
    sum(sign * adjusted_count * reasoning) AS reasoning,
    sum(sign * adjusted_count * input_audio) AS input_audio,
    sum(sign * adjusted_count * input_image) AS input_image,
    sum(sign * adjusted_count * output_audio) AS output_audio,
    sum(sign * adjusted_count * output_image) AS output_image,
    sum(sign * adjusted_count * duration_us) AS duration_us,
    sum(sign * excess * input_total * input_total) AS variance_input,
    sum(sign * excess * output_total * output_total) AS variance_output,
    sum(sign * excess * input_total * output_total) AS covariance
FROM weighed
CROSS JOIN LATERAL (SELECT
    CASE WHEN adjusted_count = 1 THEN 0 ELSE adjusted_count * (adjusted_count - 1)
        END::float8 AS excess,
    (input_uncached + cache_read + cache_write_5m + cache_write_1h + input_audio +
        input_image)::float8 AS input_total,
    (output_text + reasoning + output_audio + output_image)::float8 AS output_total) AS sampling
GROUP BY 1, 2
"""

# Bin b holds durations in [2^(b/2), 2^((b+1)/2)) milliseconds; everything below one is in bin
# 0.
LATENCY: Final[LiteralString] = """
SELECT date_trunc('hour', started_at, 'UTC') AS hour, dimension_id,
    floor(2 * ln(greatest(duration_us, 1000) / 1000.0::float8) / ln(2::float8))::smallint AS bin,
    sum(sign * adjusted_count) AS calls
FROM weighed
GROUP BY 1, 2, 3
"""

# Columns as sent, with their types; `started_us` becomes started_at.
SENT: Final[LiteralString] = """
unnest($1::date[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
    $7::bigint[], $8::text[], $9::smallint[], $10::text[], $11::boolean[], $12::text[],
    $13::numeric[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[],
    $19::bigint[], $20::bigint[], $21::bigint[], $22::bigint[], $23::bigint[], $24::boolean[],
    $25::text[], $26::text[], $27::text[], $28::bigint[], $29::text[], $30::numeric[], $31::jsonb[])
  AS sent(span_day, trace_id, span_id, parent_span_id, dimension_id, started_us, duration_us, name,
    status_code, error_type, counted, not_counted, adjusted_count, input_uncached, cache_read,
    cache_write_5m, cache_write_1h, output_text, reasoning, input_audio, input_image, output_audio,
    output_image, has_usage, usage_shape, session_id, response_id, time_to_first_chunk_us,
    finish_reason, client_cost, attributes)
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
        finish_reason, client_cost, attributes)
    SELECT span_day, trace_id, span_id, parent_span_id, dimension_id, """
    + STARTED_AT
    + """, duration_us, now(), name, status_code, error_type, counted, not_counted,
        adjusted_count, """
    + TOKENS
    + """, has_usage, usage_shape, session_id, response_id, time_to_first_chunk_us,
        finish_reason, client_cost, attributes
    FROM """
    + SENT
    + """
    ON CONFLICT DO NOTHING
    RETURNING *
), weighed AS (
    SELECT *, 1 AS sign FROM new WHERE counted
), usage AS (
    INSERT INTO usage_delta ("""
    + MEASURES
    + ")"
    + AGGREGATE
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

# Traces of which more spans are stored than this batch brought.
SHARED_TRACES: Final[LiteralString] = """
SELECT stored.trace_id
FROM (
    SELECT trace_id, count(*) AS spans
    FROM span
    WHERE span_day = ANY($1::date[]) AND trace_id = ANY($2::uuid[])
        AND (has_usage OR response_id IS NOT NULL)
    GROUP BY trace_id) AS stored
JOIN unnest($2::uuid[], $3::bigint[]) AS brought(trace_id, spans) USING (trace_id)
WHERE stored.spans > brought.spans
"""

# Of these, the ones in which spans may describe one call more than once.
SUSPICIOUS_TRACES: Final[LiteralString] = """
SELECT trace_id
FROM span
WHERE span_day = ANY($1::date[]) AND trace_id = ANY($2::uuid[])
    AND (has_usage OR response_id IS NOT NULL)
GROUP BY trace_id
HAVING bool_or(usage_shape = 'agent_total')
    OR array_agg(span_id) && array_agg(parent_span_id)
    OR count(response_id) > count(DISTINCT response_id)
    OR count(DISTINCT (input_uncached, cache_read, cache_write_5m, cache_write_1h, output_text,
        reasoning)) < count(*)
"""

# In the order of nested.Seen, after trace and counted.
TRACE_SPANS: Final[LiteralString] = """
SELECT s.trace_id, s.counted, s.span_day::text, s.span_id, s.parent_span_id, d.is_inference,
    d.model,
    s.usage_shape,
    ARRAY[s.input_uncached, s.cache_read, s.cache_write_5m, s.cache_write_1h, s.output_text,
        s.reasoning,
        s.input_audio, s.input_image, s.output_audio, s.output_image],
    (extract(epoch FROM s.started_at) * 1000000)::bigint,
    (extract(epoch FROM s.started_at) * 1000000)::bigint + s.duration_us,
    s.response_id,
    num_nonnulls(d.team, d.feature, d.product, d.environment, d.customer, d.prompt_name,
        s.session_id),
    coalesce(s.not_counted NOT IN ('outside the time window', 'its day is sealed'), true)
FROM span AS s
JOIN allocation_usagedimension AS d ON d.id = s.dimension_id
WHERE s.span_day = ANY($1::date[]) AND s.trace_id = ANY($2::uuid[])
"""

CHANGED: Final[LiteralString] = """
unnest($1::date[], $2::uuid[], $3::bigint[], $4::text[])
    AS change(span_day, trace_id, span_id, reason)
"""

RECOUNT: Final[LiteralString] = (
    """
UPDATE span SET counted = change.reason IS NULL, not_counted = change.reason
FROM """
    + CHANGED
    + """
WHERE span.span_day = change.span_day AND span.trace_id = change.trace_id
    AND span.span_id = change.span_id
"""
)

RECOUNTED: Final[LiteralString] = (
    """
WITH weighed AS (
    SELECT span.*, CASE WHEN change.reason IS NULL THEN 1 ELSE -1 END AS sign
    FROM """
    + CHANGED
    + """
    JOIN span USING (span_day, trace_id, span_id)
)
"""
)
RECOUNT_USAGE: Final[LiteralString] = (
    RECOUNTED + "INSERT INTO usage_delta (" + MEASURES + ")" + AGGREGATE
)
RECOUNT_LATENCY: Final[LiteralString] = (
    RECOUNTED + "INSERT INTO latency_delta (hour, dimension_id, bin, calls)" + LATENCY
)
