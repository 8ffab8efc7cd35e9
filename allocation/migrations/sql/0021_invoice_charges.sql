-- What comes with the invoice, on every line of the rollup. Lines that are there already say what all split keys of
-- their rule are; those of a rule that takes several kinds say it once their month is allocated again.

CREATE OR REPLACE VIEW cost_daily AS
SELECT r.run_id, r.billing_month, r.day, c.line_id, l.chargeback_key, l.currency, l.source_id, l.ai_scope, l.provider_name,
    l.service_name, l.team, l.product, l.feature, l.model, l.environment, l.phase, l.charge_kind, l.rule, l.reason,
    c.evidence, c.billed_cost, c.effective_cost, c.list_cost, l.with_invoice
FROM run_slice r JOIN slice_cost c ON c.slice_id = r.slice_id JOIN cost_line l ON l.id = c.line_id;

WITH told AS (
    SELECT source_id, rule, service_name, CASE
        WHEN charge_category = 'Tax' THEN 'tax'
        WHEN charge_category = 'Credit' THEN 'credit'
        WHEN charge_category = 'Adjustment' THEN 'adjustment'
        WHEN charge_category = 'Purchase' THEN 'fee'
        WHEN method = 'follow' AND split_key ->> 'kind' IN ('tax', 'credit', 'adjustment') THEN split_key ->> 'kind'
        WHEN split_key ->> 'provider' IS NULL AND service_name ILIKE '%support%' THEN 'support'
        WHEN method = 'follow' AND rule ILIKE '%support%' THEN 'support'
        END AS with_invoice
    FROM split_key
), alike AS (
    SELECT source_id, rule, service_name, min(with_invoice) AS with_invoice
    FROM told GROUP BY source_id, rule, service_name
    HAVING count(DISTINCT with_invoice) = 1 AND count(with_invoice) = count(*)
)
UPDATE cost_line l SET with_invoice = alike.with_invoice
FROM alike
WHERE alike.source_id = l.source_id AND alike.rule = l.rule AND alike.service_name IS NOT DISTINCT FROM l.service_name;
