-- One row per source, currency, kind and AI scope, of every day of the runs.
SELECT
    source.name AS source,
    daily.currency AS currency,
    daily.charge_kind AS charge_kind,
    daily.ai_scope AS ai_scope,
    coalesce(sum(daily.cost), 0) AS cost
FROM (
    SELECT *,
        CASE %(metric)s WHEN 'billed_cost' THEN c.billed_cost ELSE c.effective_cost END AS cost
    FROM cost_daily AS c
) AS daily
JOIN allocation_source AS source ON source.id = daily.source_id
WHERE daily.run_id = ANY(%(runs)s)
    AND (%(teams)s::text[] IS NULL OR daily.team = ANY(%(teams)s))
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
