-- Calls as they count: one row per call, whichever spans tell of it.

CREATE OR REPLACE VIEW usage_live AS
SELECT hour, dimension_id, spans, calls, calls_without_usage, errors, input_uncached, cache_read, cache_write_5m,
    cache_write_1h, output_text, reasoning, input_audio, input_image, output_audio, output_image, duration_us,
    variance_input, variance_output, covariance, cached_answers, client_cost, client_cost_calls
FROM usage_hourly
UNION ALL
SELECT hour, dimension_id, spans, calls, calls_without_usage, errors, input_uncached, cache_read, cache_write_5m,
    cache_write_1h, output_text, reasoning, input_audio, input_image, output_audio, output_image, duration_us,
    variance_input, variance_output, covariance, cached_answers, client_cost, client_cost_calls
FROM usage_delta;

-- An answer's id finds the other spans that tell of it, in whatever trace. With the day, since a day without statistics
-- looks as selective as an id: its primary key would be read from end to end instead.
CREATE INDEX span_response ON span (response_id, span_day) WHERE response_id IS NOT NULL;

-- What is in the rollup: the leading span of each call, with the values of its merged call where it has one.
CREATE VIEW call_as_counted AS
SELECT s.span_day, s.trace_id, s.span_id, s.counted, s.started_at, s.duration_us, s.time_to_first_chunk_us,
    coalesce(m.dimension_id, s.dimension_id) AS dimension_id,
    coalesce(m.adjusted_count, s.adjusted_count) AS adjusted_count,
    coalesce(m.status_code, s.status_code) AS status_code,
    coalesce(m.has_usage, s.has_usage) AS has_usage,
    coalesce(m.input_uncached, s.input_uncached) AS input_uncached,
    coalesce(m.cache_read, s.cache_read) AS cache_read,
    coalesce(m.cache_write_5m, s.cache_write_5m) AS cache_write_5m,
    coalesce(m.cache_write_1h, s.cache_write_1h) AS cache_write_1h,
    coalesce(m.output_text, s.output_text) AS output_text,
    coalesce(m.reasoning, s.reasoning) AS reasoning,
    coalesce(m.input_audio, s.input_audio) AS input_audio,
    coalesce(m.input_image, s.input_image) AS input_image,
    coalesce(m.output_audio, s.output_audio) AS output_audio,
    coalesce(m.output_image, s.output_image) AS output_image,
    CASE WHEN m.span_id IS NULL THEN s.client_cost ELSE m.client_cost END AS client_cost
FROM span s LEFT JOIN merged_call m USING (span_day, trace_id, span_id)
WHERE s.counted OR s.not_counted = 'a cached answer';
