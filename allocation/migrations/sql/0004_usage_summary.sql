-- The usage rollup once more by what pages group by: a subject leaves out customer, project, region, tier and the like, of
-- which a company has ever more. A cache: an hour that changed since it was summarised is stale, and readers of the views
-- below take it from the rollup itself, so that what they read is always right, and fast once `summarise_hours` has run.

CREATE TABLE usage_subject (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL UNIQUE, -- the columns below as one JSON array: NULLs compare equal, and joins can hash
    provider text, model text, team text, feature text, service text, prompt_version text, environment text
);

CREATE TABLE usage_subject_of (
    dimension_id bigint PRIMARY KEY,
    subject_id bigint NOT NULL
);

CREATE TABLE usage_summary (
    hour timestamptz NOT NULL,
    subject_id bigint NOT NULL,
    calls numeric NOT NULL,
    calls_without_usage numeric NOT NULL,
    errors numeric NOT NULL,
    input_tokens numeric NOT NULL,
    cached_tokens numeric NOT NULL,
    output_tokens numeric NOT NULL,
    list_cost numeric NOT NULL, -- of the priced part
    priced_calls numeric NOT NULL,
    unpriced_calls numeric NOT NULL,
    pending_calls numeric NOT NULL,
    PRIMARY KEY (hour, subject_id)
);

CREATE TABLE latency_summary (
    hour timestamptz NOT NULL,
    subject_id bigint NOT NULL,
    bin smallint NOT NULL,
    calls numeric NOT NULL,
    PRIMARY KEY (hour, subject_id, bin)
);

CREATE TABLE usage_stale_hour (hour timestamptz PRIMARY KEY);

CREATE FUNCTION note_stale_hours() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO public.usage_stale_hour SELECT DISTINCT hour FROM changed ORDER BY hour ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER usage_inserted AFTER INSERT ON usage_hourly
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_stale_hours();
CREATE TRIGGER usage_updated AFTER UPDATE ON usage_hourly
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_stale_hours();
CREATE TRIGGER usage_deleted AFTER DELETE ON usage_hourly
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_stale_hours();
CREATE TRIGGER latency_inserted AFTER INSERT ON latency_hourly
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_stale_hours();
CREATE TRIGGER latency_updated AFTER UPDATE ON latency_hourly
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_stale_hours();
CREATE TRIGGER latency_deleted AFTER DELETE ON latency_hourly
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_stale_hours();

-- One row per hour and usage dimension (several where deltas wait to be merged), in the measures of usage_summary.
CREATE VIEW usage_measured AS
SELECT hour, dimension_id, calls, calls_without_usage, errors,
    input_uncached + input_audio + input_image AS input_tokens,
    cache_read + cache_write_5m + cache_write_1h AS cached_tokens,
    output_text + reasoning + output_audio + output_image AS output_tokens,
    coalesce(list_cost, 0) AS list_cost,
    CASE WHEN list_cost IS NOT NULL THEN calls ELSE 0 END AS priced_calls,
    CASE WHEN list_cost IS NULL AND price_version_id IS NOT NULL THEN calls ELSE 0 END AS unpriced_calls,
    CASE WHEN list_cost IS NULL AND price_version_id IS NULL THEN calls ELSE 0 END AS pending_calls
FROM usage_hourly;

CREATE VIEW usage_by_subject AS
SELECT s.hour, j.provider, j.model, j.team, j.feature, j.service, j.prompt_version, j.environment,
    s.calls, s.calls_without_usage, s.errors, s.input_tokens, s.cached_tokens, s.output_tokens, s.list_cost, s.priced_calls,
    s.unpriced_calls, s.pending_calls
FROM usage_summary s JOIN usage_subject j ON j.id = s.subject_id
WHERE NOT EXISTS (SELECT FROM usage_stale_hour stale WHERE stale.hour = s.hour)
UNION ALL
SELECT u.hour, d.provider, d.model, d.team, d.feature, d.service, d.prompt_version, d.environment,
    u.calls, u.calls_without_usage, u.errors, u.input_tokens, u.cached_tokens, u.output_tokens, u.list_cost, u.priced_calls,
    u.unpriced_calls, u.pending_calls
FROM usage_stale_hour stale
JOIN usage_measured u ON u.hour = stale.hour
JOIN allocation_usagedimension d ON d.id = u.dimension_id
UNION ALL
SELECT u.hour, d.provider, d.model, d.team, d.feature, d.service, d.prompt_version, d.environment,
    u.calls, u.calls_without_usage, u.errors, u.input_uncached + u.input_audio + u.input_image,
    u.cache_read + u.cache_write_5m + u.cache_write_1h, u.output_text + u.reasoning + u.output_audio + u.output_image,
    0, 0, 0, u.calls
FROM usage_delta u
JOIN allocation_usagedimension d ON d.id = u.dimension_id;

CREATE VIEW latency_by_subject AS
SELECT s.hour, j.provider, j.model, j.team, j.feature, j.service, j.prompt_version, j.environment, s.bin, s.calls
FROM latency_summary s JOIN usage_subject j ON j.id = s.subject_id
WHERE NOT EXISTS (SELECT FROM usage_stale_hour stale WHERE stale.hour = s.hour)
UNION ALL
SELECT l.hour, d.provider, d.model, d.team, d.feature, d.service, d.prompt_version, d.environment, l.bin, l.calls
FROM usage_stale_hour stale
JOIN latency_hourly l ON l.hour = stale.hour
JOIN allocation_usagedimension d ON d.id = l.dimension_id
UNION ALL
SELECT l.hour, d.provider, d.model, d.team, d.feature, d.service, d.prompt_version, d.environment, l.bin, l.calls
FROM latency_delta l
JOIN allocation_usagedimension d ON d.id = l.dimension_id;
