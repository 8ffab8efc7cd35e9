"""What did each target cost, now and in the compared period?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from django.db import connection

from allocation.values.periods import Period
from reports.queries.kept import kept
from reports.queries.spend_filter import Spend

# One row per AI scope, team, feature, model, provider, kind, reason and phase. Charge days decide
# what is now and what before.
CELLS = """
SELECT ai_scope, team, feature, model, provider_name, charge_kind, reason,
    coalesce(sum(cost) FILTER (WHERE day >= %(start)s AND day < %(end)s), 0) AS now,
    coalesce(sum(cost) FILTER (WHERE day >= %(before_start)s AND day < %(before_end)s),
        0) AS before, phase
FROM (
    SELECT *, CASE %(metric)s WHEN 'billed_cost' THEN billed_cost ELSE effective_cost END AS cost
    FROM cost_daily
    WHERE run_id = ANY(%(runs)s)
        AND (day >= %(start)s AND day < %(end)s OR day >= %(before_start)s AND day < %(before_end)s)
        AND (%(teams)s::text[] IS NULL OR team = ANY(%(teams)s))
        AND (%(environment)s::text IS NULL OR environment = %(environment)s)
) AS costs
GROUP BY ai_scope, team, feature, model, provider_name, charge_kind, reason, phase
"""


@dataclass(frozen=True)
class SpendCell:
    """Cost of one target and kind. `team` None is unallocated, for `reason`."""

    ai_scope: str
    team: str | None
    feature: str | None
    model: str | None
    provider: str | None
    kind: str
    reason: str | None
    now: Decimal
    before: Decimal
    phase: str | None = None


@kept
def spend_cells(*, spend: Spend, period: Period, compare: Period | None) -> list[SpendCell]:
    """Half-open periods, exact amounts; `before` is 0 throughout where nothing is compared."""
    before = compare or period
    with connection.cursor() as cursor:
        cursor.execute(
            CELLS,
            {
                **spend.bound(),
                "start": period.start,
                "end": period.end,
                "before_start": before.start,
                "before_end": before.end,
            },
        )
        cells = [SpendCell(*row) for row in cursor.fetchall()]
    if compare is None:
        return [replace(cell, before=Decimal(0)) for cell in cells]
    return cells
