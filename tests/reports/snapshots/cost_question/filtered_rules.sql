-- One row per rule, of one target and source.
SELECT
    daily.rule AS rule,
    coalesce(sum(daily.cost), 0) AS cost
FROM (
    SELECT *,
        CASE %(metric)s WHEN 'billed_cost' THEN c.billed_cost ELSE c.effective_cost END AS cost,
        day >= %(start)s AND day < %(end)s AS is_now
    FROM cost_daily AS c
) AS daily
JOIN allocation_source AS source ON source.id = daily.source_id
WHERE daily.run_id = ANY(%(runs)s)
    AND (%(teams)s::text[] IS NULL OR daily.team = ANY(%(teams)s))
    AND daily.ai_scope <> 'other'
    AND daily.team = %(is_team)s
    AND daily.environment = %(is_environment)s
    AND daily.rule = %(is_rule)s
    AND source.name = %(is_source)s
    AND daily.evidence = %(is_evidence)s
    AND daily.reason = %(is_reason)s
    AND daily.is_now
GROUP BY 1
ORDER BY 1
