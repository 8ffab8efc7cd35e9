"""The rollup that pages read: cost_daily, a cache of one run's ledger."""

from __future__ import annotations

from typing import Any

from django.db import connection

from allocation.charges import whole_month_plans
from allocation.models import AllocationRun
from allocation.targets import OUTSIDE_SCOPE

ROLL_UP_SQL = """
-- One row per run, day and everything that pages group by; only customer and the split key are summed away. Buckets and
-- targets that look alike to pages are one number each, so that a long ledger is grouped by numbers and not by text.
INSERT INTO cost_daily (run_id, billing_month, day, currency, source_id, ai_scope, provider_name, service_name, team,
    product, feature, model, environment, phase, charge_kind, rule, reason, evidence, billed_cost, effective_cost,
    list_cost)
WITH charged AS MATERIALIZED (
    SELECT bucket, min(bucket) OVER (PARTITION BY source_id, ai_scope, provider_name, service_name, rule) AS line
    FROM charge_bucket WHERE run_id = %(run)s
), named AS MATERIALIZED (
    SELECT id, min(id) OVER (PARTITION BY team, product, feature, model, environment, phase, reason) AS target
    FROM allocation_target WHERE id = ANY(%(targets)s)
), summed AS MATERIALIZED (
    SELECT a.day, charged.line, named.target, a.charge_kind, a.evidence, sum(a.billed_cost) AS billed_cost,
        sum(a.effective_cost) AS effective_cost,
        CASE WHEN count(a.list_cost) = count(*) THEN sum(a.list_cost) END AS list_cost
    FROM allocated_cost a JOIN charged ON charged.bucket = a.bucket JOIN named ON named.id = a.target_id
    WHERE a.billing_month = %(month)s AND a.run_id = %(run)s
    GROUP BY 1, 2, 3, 4, 5
)
SELECT %(run)s, %(month)s, x.day, %(currency)s, b.source_id,
    CASE WHEN t.reason = %(outside)s THEN 'other' ELSE b.ai_scope END, b.provider_name, b.service_name, t.team,
    t.product, t.feature, t.model, t.environment, t.phase, x.charge_kind, b.rule, t.reason, x.evidence, x.billed_cost,
    x.effective_cost, x.list_cost
FROM summed x
JOIN charge_bucket b ON b.run_id = %(run)s AND b.bucket = x.line
JOIN allocation_target t ON t.id = x.target
ORDER BY x.day, t.team
"""


def roll_up(run: AllocationRun, targets: list[int]) -> None:
    """Fill cost_daily for the run, whose shares belong to these targets."""
    values: dict[str, Any] = {
        "run": run.pk,
        "month": run.billing_month,
        "currency": run.currency,
        "outside": OUTSIDE_SCOPE,
        "targets": targets,
    }
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute(ROLL_UP_SQL, values)
