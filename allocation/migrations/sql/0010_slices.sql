-- The ledger's shares, partitioned as charges are, and the views through which readers see each run with its own rows.

CREATE TABLE slice_share (
    billing_month date NOT NULL,
    slice_id bigint NOT NULL,
    split_key_id bigint NOT NULL,
    target_id bigint NOT NULL,
    charge_kind text NOT NULL,
    billed_cost numeric NOT NULL,
    effective_cost numeric NOT NULL,
    list_cost numeric,
    driver_quantity numeric,
    evidence smallint NOT NULL,
    PRIMARY KEY (billing_month, slice_id, split_key_id, target_id, charge_kind)
) PARTITION BY LIST (billing_month);

CREATE FUNCTION ensure_slice_share_partition(month date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    IF extract(day FROM month) <> 1 THEN
        RAISE EXCEPTION 'a billing month starts on day 1, not %', month;
    END IF;
    PERFORM public.ensure_list_partition('slice_share', 'slice_share_' || to_char(month, 'YYYYMM'), month);
END
$$;

CREATE VIEW allocated_cost AS
SELECT s.billing_month, r.run_id, s.split_key_id, r.day, s.target_id, s.charge_kind, s.billed_cost, s.effective_cost,
    s.list_cost, s.driver_quantity, s.evidence
FROM run_slice r JOIN slice_share s ON s.billing_month = r.billing_month AND s.slice_id = r.slice_id;

CREATE VIEW charge_group AS
SELECT r.run_id, g.split_key_id, r.day, g.charges, g.billed_cost, g.effective_cost, g.list_cost, g.quantity, g.driver,
    g.driver_total, g.coverage, g.widened, g.note
FROM run_slice r JOIN slice_group g ON g.slice_id = r.slice_id;

CREATE VIEW charge_split_key AS
SELECT r.run_id, b.id AS split_key_id, b.source_id, b.rule, b.method, b.ai_scope, b.provider_name, b.service_name,
    b.charge_category, b.split_key
FROM run_split_key r JOIN split_key b ON b.id = r.split_key_id;

CREATE VIEW cost_daily AS
SELECT r.run_id, r.billing_month, r.day, c.line_id, l.chargeback_key, l.currency, l.source_id, l.ai_scope, l.provider_name,
    l.service_name, l.team, l.product, l.feature, l.model, l.environment, l.phase, l.charge_kind, l.rule, l.reason,
    c.evidence, c.billed_cost, c.effective_cost, c.list_cost
FROM run_slice r JOIN slice_cost c ON c.slice_id = r.slice_id JOIN cost_line l ON l.id = c.line_id;

CREATE VIEW usage_daily AS
SELECT u.id, r.run_id, r.day, u.team, u.feature, u.model, u.environment, u.phase, u.calls, u.tokens_input,
    u.tokens_output, u.cost_variance
FROM run_slice r JOIN slice_usage u ON u.slice_id = r.slice_id;

-- Grows with every change of the usage rollup of a UTC day, so that a run can tell which days it has to read again.
CREATE TABLE usage_day_version (
    day date PRIMARY KEY,
    version bigint NOT NULL
);

CREATE OR REPLACE FUNCTION note_stale_hours() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO public.usage_stale_hour SELECT DISTINCT hour FROM changed ORDER BY hour ON CONFLICT DO NOTHING;
    IF TG_TABLE_NAME = 'usage_hourly' THEN
        INSERT INTO public.usage_day_version
        SELECT DISTINCT (hour AT TIME ZONE 'UTC')::date, 1 FROM changed ORDER BY 1
        ON CONFLICT (day) DO UPDATE SET version = usage_day_version.version + 1;
    END IF;
    RETURN NULL;
END
$$;
