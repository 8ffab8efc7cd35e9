-- Partitioned tables. No foreign keys point at them or from them: partitions come and go.

CREATE TABLE charge (
    billing_month date NOT NULL,
    file_number smallint NOT NULL DEFAULT 0,
    scope_id bigint NOT NULL,
    line bigint NOT NULL,
    dimension_id bigint NOT NULL,
    charge_period_start timestamptz NOT NULL,
    charge_period_end timestamptz NOT NULL,
    billed_cost numeric NOT NULL,
    effective_cost numeric NOT NULL,
    list_cost numeric,
    contracted_cost numeric,
    list_unit_price numeric,
    contracted_unit_price numeric,
    consumed_quantity numeric,
    pricing_quantity numeric,
    commitment_discount_quantity numeric,
    pricing_currency_effective_cost numeric,
    pricing_currency_list_unit_price numeric,
    pricing_currency_contracted_unit_price numeric,
    extra jsonb,
    -- In this order an entry of its index has no padding.
    PRIMARY KEY (scope_id, line, file_number, billing_month),
    -- NaN and infinities sort above every number, so a range refuses them.
    CONSTRAINT charge_cost_in_range CHECK (
        billed_cost < 1e15 AND billed_cost > -1e15 AND effective_cost < 1e15 AND effective_cost > -1e15
    ),
    CONSTRAINT charge_other_cost_in_range CHECK (
        list_cost < 1e15 AND list_cost > -1e15 AND contracted_cost < 1e15 AND contracted_cost > -1e15
    ),
    CONSTRAINT charge_period_ordered CHECK (charge_period_end > charge_period_start)
) PARTITION BY LIST (billing_month);

CREATE TABLE span (
    span_day date NOT NULL,
    trace_id uuid NOT NULL,
    span_id bigint NOT NULL,
    parent_span_id bigint,
    dimension_id bigint NOT NULL,
    started_at timestamptz NOT NULL,
    duration_us bigint NOT NULL,
    received_at timestamptz NOT NULL,
    name text NOT NULL,
    status_code smallint NOT NULL,
    error_type text,
    counted boolean NOT NULL,
    not_counted text,
    adjusted_count numeric NOT NULL,
    input_uncached bigint NOT NULL,
    cache_read bigint NOT NULL,
    cache_write_5m bigint NOT NULL,
    cache_write_1h bigint NOT NULL,
    output_text bigint NOT NULL,
    reasoning bigint NOT NULL,
    input_audio bigint NOT NULL,
    input_image bigint NOT NULL,
    output_audio bigint NOT NULL,
    output_image bigint NOT NULL,
    has_usage boolean NOT NULL,
    usage_shape text,
    session_id text,
    response_id text,
    time_to_first_chunk_us bigint,
    finish_reason text,
    client_cost numeric,
    attributes jsonb,
    PRIMARY KEY (span_day, trace_id, span_id)
) PARTITION BY LIST (span_day);

CREATE TABLE span_outside_window PARTITION OF span DEFAULT;

CREATE INDEX span_started ON span (started_at);

CREATE TABLE allocated_cost (
    billing_month date NOT NULL,
    run_id bigint NOT NULL,
    split_key_id integer NOT NULL,
    day date NOT NULL,
    target_id bigint NOT NULL,
    charge_kind text NOT NULL,
    billed_cost numeric NOT NULL,
    effective_cost numeric NOT NULL,
    list_cost numeric,
    driver_quantity numeric,
    evidence smallint NOT NULL,
    PRIMARY KEY (billing_month, run_id, split_key_id, day, target_id, charge_kind)
) PARTITION BY LIST (billing_month);

-- The application's role owns nothing; these run as their owner and do one thing each. CREATE, then ATTACH: attaching
-- takes a lock that readers and writers of the parent do not wait for, unlike CREATE ... PARTITION OF.

CREATE FUNCTION ensure_list_partition(parent text, leaf text, value date) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    IF to_regclass('public.' || quote_ident(leaf)) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('apportion partition ' || leaf));
    IF to_regclass('public.' || quote_ident(leaf)) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', leaf, parent);
    EXECUTE format('ALTER TABLE public.%I ADD CONSTRAINT %I CHECK (%s = %L)', leaf, leaf || '_key',
        CASE parent WHEN 'span' THEN 'span_day' ELSE 'billing_month' END, value);
    IF parent = 'span' THEN
        -- Spans that were outside the window when they came, for a day that has come into it since.
        LOCK TABLE public.span_outside_window IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('WITH moved AS (DELETE FROM public.span_outside_window WHERE span_day = %L RETURNING *)'
            ' INSERT INTO public.%I SELECT * FROM moved', value, leaf);
    END IF;
    EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES IN (%L)', parent, leaf, value);
END
$$;
REVOKE ALL ON FUNCTION ensure_list_partition(text, text, date) FROM PUBLIC;

CREATE FUNCTION ensure_charge_partition(month date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    IF extract(day FROM month) <> 1 THEN
        RAISE EXCEPTION 'a billing month starts on day 1, not %', month;
    END IF;
    PERFORM public.ensure_list_partition('charge', 'charge_' || to_char(month, 'YYYYMM'), month);
END
$$;

CREATE FUNCTION ensure_allocated_cost_partition(month date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    IF extract(day FROM month) <> 1 THEN
        RAISE EXCEPTION 'a billing month starts on day 1, not %', month;
    END IF;
    PERFORM public.ensure_list_partition('allocated_cost', 'allocated_cost_' || to_char(month, 'YYYYMM'), month);
END
$$;

CREATE FUNCTION ensure_span_partition(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    PERFORM public.ensure_list_partition('span', 'span_' || to_char(day, 'YYYYMMDD'), day);
END
$$;

CREATE FUNCTION drop_span_partition(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    EXECUTE format('DROP TABLE IF EXISTS public.%I', 'span_' || to_char(day, 'YYYYMMDD'));
END
$$;

CREATE VIEW team_placement_period AS
SELECT id, team_id, business_unit_id, cost_center_id, valid_from,
    lead(valid_from) OVER (PARTITION BY team_id ORDER BY valid_from) AS valid_to
FROM allocation_teamplacement;

CREATE VIEW feature_placement_period AS
SELECT id, feature_id, owner_team_id, product_id, criticality, has_sla, valid_from,
    lead(valid_from) OVER (PARTITION BY feature_id ORDER BY valid_from) AS valid_to
FROM allocation_featureplacement;

-- Every measure as readers see it: merged hours plus what is not merged yet.
CREATE VIEW usage_live AS
SELECT hour, dimension_id, spans, calls, calls_without_usage, errors, input_uncached, cache_read, cache_write_5m,
    cache_write_1h, output_text, reasoning, input_audio, input_image, output_audio, output_image, duration_us,
    variance_input, variance_output, covariance
FROM usage_hourly
UNION ALL
SELECT hour, dimension_id, spans, calls, calls_without_usage, errors, input_uncached, cache_read, cache_write_5m,
    cache_write_1h, output_text, reasoning, input_audio, input_image, output_audio, output_image, duration_us,
    variance_input, variance_output, covariance
FROM usage_delta;

CREATE VIEW latency_live AS
SELECT hour, dimension_id, bin, calls FROM latency_hourly
UNION ALL
SELECT hour, dimension_id, bin, calls FROM latency_delta;
