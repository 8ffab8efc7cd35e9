-- One row per day, kind and rung of a bill line.
SELECT a.day, a.charge_kind, a.evidence, t.reason, sum(CASE %(metric)s WHEN 'billed_cost' THEN a.billed_cost ELSE a.effective_cost END), sum(a.driver_quantity), count(*),
    g.charges, CASE %(metric)s WHEN 'billed_cost' THEN g.billed_cost ELSE g.effective_cost END, g.quantity, g.driver, g.driver_total, g.coverage, g.widened, g.note
FROM allocated_cost a
JOIN charge_group g ON g.run_id = a.run_id AND g.split_key_id = a.split_key_id AND g.day = a.day
JOIN allocation_target t ON t.id = a.target_id
WHERE a.billing_month = ANY(%(months)s)
        AND a.day >= %(start)s AND a.day < %(end)s
        AND a.evidence = %(is_evidence)s AND a.run_id = %(run)s AND a.split_key_id = %(split_key_id)s AND (%(teams)s::text[] IS NULL OR t.team = ANY(%(teams)s))
        AND t.reason IS DISTINCT FROM %(outside)s
        AND t.team = %(is_team)s
        AND t.environment = %(is_environment)s
        AND t.reason = %(is_reason)s
GROUP BY a.day, a.charge_kind, a.evidence, t.reason, g.charges, g.billed_cost, g.effective_cost,
    g.quantity, g.driver, g.driver_total, g.coverage, g.widened, g.note
ORDER BY a.day, a.charge_kind COLLATE "C", a.evidence, t.reason COLLATE "C"
