-- One row per team and day, in one environment.
SELECT
    daily.team AS team,
    daily.day AS day,
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
    AND daily.environment = %(is_environment)s
    AND daily.is_now
GROUP BY 1, 2
ORDER BY 1, 2
