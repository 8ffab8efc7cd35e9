-- One page of rows per feature, model and currency.
SELECT
    daily.feature AS feature,
    daily.model AS model,
    daily.currency AS currency,
    coalesce(sum(daily.cost), 0) AS cost
FROM (
    SELECT *,
        CASE %(metric)s WHEN 'billed_cost' THEN c.billed_cost ELSE c.effective_cost END AS cost
    FROM cost_daily AS c
) AS daily
WHERE daily.run_id = ANY(%(runs)s)
    AND (%(teams)s::text[] IS NULL OR daily.team = ANY(%(teams)s))
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
LIMIT %(limit)s OFFSET %(offset)s
