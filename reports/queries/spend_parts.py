"""By which rules did a cost arrive: direct, shared, idle and the other kinds, per rule."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from allocation.values.periods import Period
from reports.queries.kept import kept
from reports.queries.spend_filter import Spend

# One row per kind, rule and reason of the AI scopes.
PARTS = """
SELECT charge_kind, rule, reason,
    sum(CASE %(metric)s WHEN 'billed_cost' THEN billed_cost ELSE effective_cost END) AS cost
FROM cost_daily
WHERE run_id = ANY(%(runs)s) AND ai_scope <> 'other' AND day >= %(start)s AND day < %(end)s
    AND (%(teams)s::text[] IS NULL OR team = ANY(%(teams)s))
    AND (%(environment)s::text IS NULL OR environment = %(environment)s)
GROUP BY charge_kind, rule, reason
ORDER BY cost DESC, charge_kind, rule
"""


@dataclass(frozen=True)
class SpendPart:
    kind: str
    rule: str
    reason: str | None
    cost: Decimal


@kept
def spend_parts(*, spend: Spend, period: Period) -> list[SpendPart]:
    """Largest first."""
    with connection.cursor() as cursor:
        cursor.execute(PARTS, {**spend.bound(), "start": period.start, "end": period.end})
        return [SpendPart(*row) for row in cursor.fetchall()]
