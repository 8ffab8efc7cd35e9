-- One line of the file per key.
SELECT
    daily.chargeback_key AS chargeback_key,
    placed.cost_center_id AS cost_center,
    sum(daily.billed_cost) AS billed_cost,
    sum(daily.effective_cost) AS effective_cost,
    CASE WHEN count(daily.list_cost) = count(*) THEN sum(daily.list_cost) END AS list_cost,
    sum(CASE WHEN daily.ai_scope = 'other' THEN daily.billed_cost ELSE 0 END) AS outside_ai_billed_cost,
    sum(CASE WHEN daily.ai_scope = 'other' THEN daily.effective_cost ELSE 0 END) AS outside_ai_effective_cost,
    max(daily.evidence) AS weakest_evidence,
    min(daily.line_id) AS any_line
FROM (
    SELECT *
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
GROUP BY 1, 2
