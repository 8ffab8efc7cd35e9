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

CREATE FUNCTION note_no_usage() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    UPDATE public.usage_day_version SET version = version + 1;
    RETURN NULL;
END
$$;

CREATE TRIGGER usage_truncated AFTER TRUNCATE ON usage_hourly
    FOR EACH STATEMENT EXECUTE FUNCTION note_no_usage();
