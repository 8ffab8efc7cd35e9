"""How many calls and tokens stand behind the cost, now and in the compared period?"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from allocation.values.periods import Period
from reports.queries.kept import kept
from reports.queries.spend_filter import Spend

# One row per team, feature, model and phase, as the runs knew their usage.
USAGE = """
SELECT team, feature, model,
    coalesce(sum(calls) FILTER (WHERE day >= %(start)s AND day < %(end)s), 0),
    coalesce(sum(tokens_input + tokens_output) FILTER (WHERE day >= %(start)s AND day < %(end)s),
        0),
    coalesce(sum(calls) FILTER (WHERE day >= %(before_start)s AND day < %(before_end)s), 0),
    coalesce(sum(tokens_input + tokens_output) FILTER (WHERE day >= %(before_start)s
        AND day < %(before_end)s), 0),
    coalesce(sum(cost_variance) FILTER (WHERE day >= %(start)s AND day < %(end)s), 0), phase
FROM usage_daily
WHERE run_id = ANY(%(runs)s)
    AND (day >= %(start)s AND day < %(end)s OR day >= %(before_start)s AND day < %(before_end)s)
    AND (%(teams)s::text[] IS NULL OR team = ANY(%(teams)s))
    AND (%(environment)s::text IS NULL OR environment = %(environment)s)
GROUP BY team, feature, model, phase
"""


@dataclass(frozen=True)
class UsageCell:
    """Weighted by adjusted count, so sampled traffic counts in full."""

    team: str | None
    feature: str | None
    model: str | None
    calls: Decimal
    tokens: Decimal
    calls_before: Decimal
    tokens_before: Decimal
    cost_variance: float = 0.0  # of the effective cost, by sampling alone
    phase: str | None = None


@kept
def spend_usage(*, spend: Spend, period: Period, compare: Period | None) -> list[UsageCell]:
    before = compare or period
    with connection.cursor() as cursor:
        cursor.execute(
            USAGE,
            {
                **spend.bound(),
                "start": period.start,
                "end": period.end,
                "before_start": before.start,
                "before_end": before.end,
            },
        )
        return [UsageCell(*row) for row in cursor.fetchall()]
