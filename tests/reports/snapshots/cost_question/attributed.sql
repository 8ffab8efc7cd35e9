-- One row per part of attribution.
SELECT
    CASE WHEN daily.charge_kind = 'unallocated' THEN 'unallocated' WHEN daily.evidence > 4 THEN 'inferred' WHEN daily.charge_kind = 'untraced' AND daily.evidence <= 3 THEN 'shared_out' ELSE 'attributed' END AS attribution,
    coalesce(sum(daily.cost), 0) AS cost
FROM (
    SELECT *,
        CASE %(metric)s WHEN 'billed_cost' THEN c.billed_cost ELSE c.effective_cost END AS cost,
        day >= %(start)s AND day < %(end)s AS is_now
    FROM cost_daily AS c
) AS daily
WHERE daily.run_id = ANY(%(runs)s)
    AND (%(teams)s::text[] IS NULL OR daily.team = ANY(%(teams)s))
    AND daily.ai_scope <> 'other'
    AND daily.is_now
GROUP BY 1
ORDER BY 1
