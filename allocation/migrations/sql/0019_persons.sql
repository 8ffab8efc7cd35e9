-- The calls as they count, with who made them.
CREATE OR REPLACE VIEW call_as_counted AS
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
    CASE WHEN m.span_id IS NULL THEN s.client_cost ELSE m.client_cost END AS client_cost,
    CASE WHEN m.span_id IS NULL THEN s.who_id ELSE m.who_id END AS who_id
FROM span s LEFT JOIN merged_call m USING (span_day, trace_id, span_id)
WHERE s.counted OR s.not_counted = 'a cached answer';
