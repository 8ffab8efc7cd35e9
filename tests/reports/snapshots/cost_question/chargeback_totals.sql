-- One control total per currency.
SELECT
    daily.currency AS currency,
    sum(daily.billed_cost) AS billed_cost,
    sum(daily.effective_cost) AS effective_cost,
    CASE WHEN count(daily.list_cost) = count(*) THEN sum(daily.list_cost) END AS list_cost,
    sum(CASE WHEN daily.ai_scope = 'other' THEN daily.billed_cost ELSE 0 END) AS outside_ai_billed_cost,
    sum(CASE WHEN daily.ai_scope = 'other' THEN daily.effective_cost ELSE 0 END) AS outside_ai_effective_cost
FROM (
    SELECT *
    FROM cost_daily AS c
) AS daily
WHERE daily.run_id = ANY(%(runs)s)
    AND (%(teams)s::text[] IS NULL OR daily.team = ANY(%(teams)s))
GROUP BY 1
