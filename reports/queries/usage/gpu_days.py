"""How much of the GPUs was there, booked, asked for and busy each day, and what did it cost?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from allocation.values.names import IDLE
from reports.asking import fetch
from reports.cost_question.question import CostQuestion, cost_of
from reports.cost_question.statement import parameters

# One row per cluster and day. Waste is counted where somebody says what was active, and is part of
# what was booked. A node whose name two clusters share has its cost in the first of them, once.
GPU_DAYS = f"""
WITH hours AS (
    SELECT cluster, node, (hour AT TIME ZONE 'UTC')::date AS day, hour,
        sum(capacity_seconds) AS capacity, sum(booked_seconds) AS booked,
        sum(requested_seconds) AS requested, sum(active_seconds) AS active,
        coalesce(sum(requested_seconds) FILTER (WHERE active_seconds IS NULL), 0) AS unreported,
        sum(greatest(requested_seconds - active_seconds, 0))
            FILTER (WHERE active_seconds IS NOT NULL) AS waste
    FROM allocation_gpuusage
    WHERE hour >= %(start)s::timestamp AT TIME ZONE 'UTC'
        AND hour < %(end)s::timestamp AT TIME ZONE 'UTC'
    GROUP BY cluster, node, hour
), nodes AS (
    SELECT cluster, node, day, sum(capacity) AS capacity, sum(booked) AS booked,
        sum(requested) AS requested, sum(active) AS active, sum(unreported) AS unreported,
        sum(waste) AS waste,
        sum(CASE WHEN capacity IS NOT NULL THEN greatest(capacity - booked, 0) END) AS idle,
        row_number() OVER (PARTITION BY node, day ORDER BY cluster) = 1 AS is_first
    FROM hours GROUP BY cluster, node, day
), costs AS (
    SELECT k.split_key->>'node' AS node, k.split_key->>'node_id' AS node_id, share.day,
        sum(share.cost) FILTER (WHERE share.charge_kind = 'shared') AS booked_cost,
        sum(share.cost) FILTER (WHERE share.charge_kind = 'idle'
            OR target.reason = %(idle)s) AS idle_cost
    FROM charge_split_key AS k
    JOIN (
        SELECT run_id, split_key_id, day, target_id, charge_kind, {cost_of("a")} AS cost
        FROM allocated_cost AS a
        WHERE billing_month = ANY(%(months)s) AND run_id = ANY(%(runs)s)
            AND day >= %(start)s AND day < %(end)s
    ) AS share ON share.run_id = k.run_id AND share.split_key_id = k.split_key_id
    JOIN allocation_target AS target ON target.id = share.target_id
    WHERE k.run_id = ANY(%(runs)s) AND k.method = 'gpu_usage'
    GROUP BY 1, 2, 3
)
SELECT nodes.cluster, nodes.day, sum(capacity), sum(booked), sum(requested), sum(active),
    sum(unreported), sum(idle), sum(waste), sum(costs.booked_cost), sum(costs.idle_cost),
    sum(costs.booked_cost * nodes.waste / nullif(nodes.booked, 0))
FROM nodes LEFT JOIN costs ON nodes.node IN (costs.node, costs.node_id) AND costs.day = nodes.day
    AND nodes.is_first
GROUP BY nodes.cluster, nodes.day
ORDER BY nodes.day, nodes.cluster
"""  # noqa: S608  no value is written into it


@dataclass(frozen=True)
class GpuDay:
    """GPU-seconds, and cost in the runs' currency where a rule splits these nodes by GPU usage;
    None is unknown.

    `idle` is capacity that nobody booked in its hour; `waste` what was requested and not active,
    `unreported` what was requested and nobody says whether it was. `waste_cost` is a part of
    `booked_cost`, in proportion: it is shown, not moved.
    """

    cluster: str
    day: date
    capacity: Decimal | None
    booked: Decimal
    requested: Decimal
    active: Decimal | None
    unreported: Decimal
    idle: Decimal | None
    waste: Decimal | None
    booked_cost: Decimal | None
    idle_cost: Decimal | None
    waste_cost: Decimal | None


def gpu_days(question: CostQuestion) -> list[GpuDay]:
    """Days of the question's period; its runs share a currency. None for a reader of some teams."""
    if not question.scope.is_everything:
        return []
    months = sorted({run.month for run in question.runs})
    return fetch(GpuDay, GPU_DAYS, parameters(question) | {"months": months, "idle": IDLE})
