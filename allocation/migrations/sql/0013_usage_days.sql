-- The usage rollup once more by UTC day, which is what runs split by. A cache: a day that changed since it was summed up
-- is read from the rollup itself.

ALTER TABLE usage_day_version ADD COLUMN summed bigint; -- the version that usage_day_sum has

CREATE TABLE usage_day_sum (
    day date NOT NULL,
    dimension_id bigint NOT NULL,
    calls numeric NOT NULL,
    input_uncached numeric NOT NULL,
    cache_read numeric NOT NULL,
    cache_write_5m numeric NOT NULL,
    cache_write_1h numeric NOT NULL,
    output_text numeric NOT NULL,
    reasoning numeric NOT NULL,
    input_audio numeric NOT NULL,
    input_image numeric NOT NULL,
    output_audio numeric NOT NULL,
    output_image numeric NOT NULL,
    list_cost numeric, -- of the priced part
    is_priced boolean NOT NULL,
    variance_input numeric NOT NULL,
    variance_output numeric NOT NULL,
    PRIMARY KEY (day, dimension_id)
);

-- No version is used twice, so that what was kept of a day is known by it.
CREATE SEQUENCE usage_version;
SELECT setval('usage_version', (SELECT coalesce(max(version), 0) + 1 FROM usage_day_version));

CREATE OR REPLACE FUNCTION note_stale_hours() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO public.usage_stale_hour SELECT DISTINCT hour FROM changed ORDER BY hour ON CONFLICT DO NOTHING;
    IF TG_TABLE_NAME = 'usage_hourly' THEN
        INSERT INTO public.usage_day_version (day, version)
        SELECT day, nextval('public.usage_version')
        FROM (SELECT DISTINCT (hour AT TIME ZONE 'UTC')::date AS day FROM changed ORDER BY 1) days
        ON CONFLICT (day) DO UPDATE SET version = excluded.version;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION note_no_usage() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    UPDATE public.usage_day_version SET version = nextval('public.usage_version');
    RETURN NULL;
END
$$;

CREATE TRIGGER usage_truncated AFTER TRUNCATE ON usage_hourly
    FOR EACH STATEMENT EXECUTE FUNCTION note_no_usage();

-- Nothing is summed up any more once the cache is emptied.
CREATE FUNCTION note_no_sums() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    UPDATE public.usage_day_version SET summed = NULL;
    RETURN NULL;
END
$$;

CREATE TRIGGER usage_sums_truncated AFTER TRUNCATE ON usage_day_sum
    FOR EACH STATEMENT EXECUTE FUNCTION note_no_sums();

-- Days of usage that came before there were versions would never be summed up.
INSERT INTO usage_day_version (day, version)
SELECT day::date, 1
FROM (SELECT min(hour) AT TIME ZONE 'UTC' AS first, max(hour) AT TIME ZONE 'UTC' AS last FROM usage_hourly) bounds
CROSS JOIN generate_series(date_trunc('day', first), last, interval '1 day') AS day
WHERE EXISTS (
    SELECT FROM usage_hourly u
    WHERE u.hour >= day AT TIME ZONE 'UTC' AND u.hour < (day + interval '1 day') AT TIME ZONE 'UTC'
)
ON CONFLICT DO NOTHING;
