-- Which state the providers' usage reports, and whose each key is, are in. One row per table, moved on by every
-- statement that changes it; no version is used twice.
CREATE TABLE report_version (
    name text PRIMARY KEY,
    version bigint NOT NULL
);
INSERT INTO report_version (name, version)
SELECT name, nextval('usage_version') FROM unnest(ARRAY['allocation_providerusage', 'allocation_identityowner']) name;

CREATE FUNCTION note_reports() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO public.report_version (name, version) VALUES (TG_TABLE_NAME, nextval('public.usage_version'))
    ON CONFLICT (name) DO UPDATE SET version = excluded.version;
    RETURN NULL;
END
$$;

CREATE TRIGGER reports_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON allocation_providerusage
    FOR EACH STATEMENT EXECUTE FUNCTION note_reports();
CREATE TRIGGER reports_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON allocation_identityowner
    FOR EACH STATEMENT EXECUTE FUNCTION note_reports();
