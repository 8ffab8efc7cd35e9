-- One row per cost centre.
SELECT
    placed.cost_center_id AS cost_center,
    coalesce(sum(daily.cost), 0) AS cost
FROM (
    SELECT *,
        CASE %(metric)s WHEN 'billed_cost' THEN c.billed_cost ELSE c.effective_cost END AS cost
    FROM cost_daily AS c
) AS daily
LEFT JOIN (
        SELECT team.slug, placement.valid_from, placement.valid_to, placement.cost_center_id
        FROM team_placement_period AS placement
        JOIN allocation_team AS team ON team.id = placement.team_id
    ) AS placed ON placed.slug = daily.team AND daily.day >= placed.valid_from
        AND (placed.valid_to IS NULL OR daily.day < placed.valid_to)
WHERE daily.run_id = ANY(%(runs)s)
    AND (%(teams)s::text[] IS NULL OR daily.team = ANY(%(teams)s))
GROUP BY 1
ORDER BY 1
