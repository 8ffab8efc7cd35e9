-- One row: all AI cost of the period.
SELECT
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
