-- One row per team, two periods, only what is like for like.
SELECT
    daily.team AS team,
    coalesce(sum(daily.cost) FILTER (WHERE daily.is_now), 0) AS cost,
    coalesce(sum(daily.cost) FILTER (WHERE daily.is_before), 0) AS cost_before,
    coalesce(sum(daily.cost) FILTER (WHERE daily.is_left_out), 0) AS cost_left_out
FROM (
    SELECT *,
        CASE %(metric)s WHEN 'billed_cost' THEN c.billed_cost ELSE c.effective_cost END AS cost,
        day >= %(start)s AND day < %(end)s AS is_now,
        day >= %(compare_start)s AND day < compare_ends_at AND with_invoice IS NULL AS is_before,
        day >= %(start)s AND day < %(end)s AND (day < ends_at AND with_invoice IS NULL) IS NOT TRUE AS is_left_out
    FROM cost_daily AS c
    LEFT JOIN unnest(%(sources)s::bigint[], %(source_ends)s::date[],
        %(source_compare_ends)s::date[]) AS compared (of_source, ends_at, compare_ends_at)
        ON compared.of_source = c.source_id
) AS daily
WHERE daily.run_id = ANY(%(runs)s)
    AND (%(teams)s::text[] IS NULL OR daily.team = ANY(%(teams)s))
    AND daily.ai_scope <> 'other'
    AND (daily.is_now OR daily.is_before)
GROUP BY 1
ORDER BY 1
