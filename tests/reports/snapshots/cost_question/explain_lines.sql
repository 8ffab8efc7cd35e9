-- One row per bill line behind an amount.
WITH wanted AS MATERIALIZED (
    SELECT b.run_id, b.split_key_id, source.name AS source FROM charge_split_key b
    JOIN allocation_source source ON source.id = b.source_id
    WHERE b.run_id = ANY(%(runs)s)
        AND b.ai_scope <> 'other'
        AND b.rule = %(is_rule)s
        AND source.name = %(is_source)s
), target AS MATERIALIZED (
    SELECT t.id FROM allocation_target t WHERE (%(teams)s::text[] IS NULL OR t.team = ANY(%(teams)s))
        AND t.reason IS DISTINCT FROM %(outside)s
        AND t.team = %(is_team)s
        AND t.environment = %(is_environment)s
        AND t.reason = %(is_reason)s
), share AS (
    SELECT a.run_id, a.split_key_id, wanted.source, sum(CASE %(metric)s WHEN 'billed_cost' THEN a.billed_cost ELSE a.effective_cost END) AS amount,
        count(DISTINCT a.day) AS days
    FROM wanted
    JOIN allocated_cost a ON a.run_id = wanted.run_id AND a.split_key_id = wanted.split_key_id
    WHERE a.billing_month = ANY(%(months)s)
        AND a.day >= %(start)s AND a.day < %(end)s
        AND a.evidence = %(is_evidence)s AND a.target_id IN (SELECT id FROM target)
    GROUP BY a.run_id, a.split_key_id, wanted.source
)
SELECT share.run_id, share.split_key_id, b.rule, b.method, share.source, b.provider_name,
    b.service_name, b.charge_category, b.split_key::text, share.amount, share.days
FROM share
JOIN charge_split_key b ON b.run_id = share.run_id AND b.split_key_id = share.split_key_id
ORDER BY abs(share.amount) DESC, share.run_id, share.split_key_id
OFFSET %(offset)s LIMIT %(limit)s
