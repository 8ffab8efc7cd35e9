-- The plain way to allocate a month: one script, no rules, no explanation, no evidence, no rollup, no hash.
-- Same inputs and grain as a run: charges summed by split key and UTC day, split by the traced tokens of the same
-- provider, project, model and class, exact by largest remainder at twelve places, for billed and effective cost, into a
-- logged, indexed table. Untagged resources and what follows others stay with the resource's own team or nobody.
CREATE TABLE baseline_cost AS
WITH line AS (
    SELECT id, sub_account_id AS project, billing_currency,
        CASE provider_name WHEN 'OpenAI' THEN 'openai' WHEN 'Anthropic' THEN 'anthropic' WHEN 'Google Cloud' THEN 'gcp.vertex_ai' END AS provider,
        split_part(sku_meter, ', ', 1) AS model, split_part(sku_meter, ', ', 2) AS class, tags ->> 'team' AS owner,
        provider_name, service_name, charge_category
    FROM allocation_chargedimension
), grouped AS (
    SELECT c.charge_period_start::date AS day, l.provider, l.project, l.model, l.class, l.owner, l.provider_name,
        l.service_name, l.charge_category, sum(c.billed_cost) AS billed, sum(c.effective_cost) AS effective,
        sum(c.list_cost) AS listed
    FROM charge c JOIN line l ON l.id = c.dimension_id
    WHERE c.billing_month = '2026-09-01'
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
), numbered AS MATERIALIZED (
    SELECT row_number() OVER () AS id, * FROM grouped
), used AS (
    SELECT (u.hour AT TIME ZONE 'UTC')::date AS day, d.provider, d.project, d.model, d.team, d.feature, d.product,
        d.environment, d.customer, sum(u.input_uncached) AS input, sum(u.cache_read) AS cached,
        sum(u.output_text + u.reasoning) AS output, sum(u.list_cost) AS list_cost,
        sum(u.cache_write_5m) AS w5, sum(u.cache_write_1h) AS w1, sum(u.input_audio) AS ia, sum(u.input_image) AS ii,
        sum(u.output_audio) AS oa, sum(u.output_image) AS oi, sum(u.calls) AS calls
    FROM usage_hourly u JOIN allocation_usagedimension d ON d.id = u.dimension_id
    WHERE d.is_inference AND u.hour >= '2026-09-01Z' AND u.hour < '2026-10-01Z'
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
), weighted AS (
    SELECT n.id, n.day, n.billed, n.effective, n.listed, u.team, u.feature, u.product, u.environment, u.customer, n.model,
        CASE n.class WHEN 'input' THEN u.input WHEN 'cached input' THEN u.cached ELSE u.output END AS weight
    FROM numbered n
    JOIN used u ON u.day = n.day AND u.provider = n.provider AND u.project = n.project AND u.model = n.model
), totals AS (
    SELECT *, sum(weight) OVER (PARTITION BY id) AS total FROM weighted WHERE weight > 0
), floors AS (
    SELECT *, div(abs(billed) * 1e12 * weight, total) AS b, mod(abs(billed) * 1e12 * weight, total) AS rb,
        div(abs(effective) * 1e12 * weight, total) AS e, mod(abs(effective) * 1e12 * weight, total) AS re,
        div(abs(listed) * 1e12 * weight, total) AS l, mod(abs(listed) * 1e12 * weight, total) AS rl
    FROM totals
), ranked AS (
    SELECT *,
        row_number() OVER (PARTITION BY id ORDER BY rb DESC, team, feature, environment) AS kb,
        row_number() OVER (PARTITION BY id ORDER BY re DESC, team, feature, environment) AS ke,
        row_number() OVER (PARTITION BY id ORDER BY rl DESC, team, feature, environment) AS kl,
        abs(billed) * 1e12 - sum(b) OVER (PARTITION BY id) AS left_b,
        abs(effective) * 1e12 - sum(e) OVER (PARTITION BY id) AS left_e,
        abs(listed) * 1e12 - sum(l) OVER (PARTITION BY id) AS left_l
    FROM floors
)
SELECT '2026-09-01'::date AS billing_month, id, day, team, feature, product, environment, customer, model,
    sign(billed) * (b + (kb <= left_b)::int) / 1e12 AS billed_cost,
    sign(effective) * (e + (ke <= left_e)::int) / 1e12 AS effective_cost,
    sign(listed) * (l + (kl <= left_l)::int) / 1e12 AS list_cost
FROM ranked
UNION ALL
SELECT '2026-09-01', n.id, n.day, n.owner, NULL, NULL, NULL, NULL, n.model, n.billed, n.effective, n.listed
FROM numbered n
WHERE NOT EXISTS (SELECT FROM weighted w WHERE w.id = n.id AND w.weight > 0);
CREATE UNIQUE INDEX ON baseline_cost (billing_month, id, day, team, feature, product, environment, customer, model);
