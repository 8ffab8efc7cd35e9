-- One row per target and kind, two periods.
SELECT
    daily.team AS team,
    daily.feature AS feature,
    daily.model AS model,
    daily.provider_name AS provider,
    daily.charge_kind AS charge_kind,
    daily.phase AS phase,
    coalesce(sum(daily.cost) FILTER (WHERE daily.is_now), 0) AS cost,
    coalesce(sum(daily.cost) FILTER (WHERE daily.is_before), 0) AS cost_before
FROM (
    SELECT *,
        CASE %(metric)s WHEN 'billed_cost' THEN c.billed_cost ELSE c.effective_cost END AS cost,
        day >= %(start)s AND day < %(end)s AS is_now,
        day >= %(compare_start)s AND day < %(compare_end)s AS is_before
    FROM cost_daily AS c
) AS daily
WHERE daily.run_id = ANY(%(runs)s)
    AND (%(teams)s::text[] IS NULL OR daily.team = ANY(%(teams)s))
    AND daily.ai_scope <> 'other'
    AND (daily.is_now OR daily.is_before)
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY 1, 2, 3, 4, 5, 6
