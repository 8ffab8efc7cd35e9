"""Which months and currencies have a succeeded allocation run, and how far its charges reach."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db import connection

from reports.scope import TeamScope

# One row per current run. The last day is that of its slices, the cost comes from the run's
# balance.
CURRENT_RUNS = """
SELECT run.id, run.billing_month, run.currency,
    (SELECT max(s.day) FROM run_slice s WHERE s.run_id = run.id AND s.part >= 0
        AND EXISTS (SELECT FROM slice_cost c WHERE c.slice_id = s.slice_id)) AS last_day,
    coalesce((SELECT sum(charges) FROM allocation_runsource AS balance
        WHERE balance.run_id = run.id AND metric = 'effective_cost'), 0) AS cost,
    run.sha256
FROM allocation_allocationrun AS run
WHERE run.is_current
ORDER BY run.billing_month, run.currency
"""

# One row per currency of some runs.
COST_BY_CURRENCY = """
SELECT currency, sum(effective_cost) FROM cost_daily
WHERE run_id = ANY(%(runs)s) AND (%(teams)s::text[] IS NULL OR team = ANY(%(teams)s))
GROUP BY currency
"""


@dataclass(frozen=True)
class MonthRun:
    """The run that readers of a month and currency use."""

    id: int
    month: date
    currency: str
    last_day: date | None
    cost: Decimal
    sha256: str | None


def current_runs() -> list[MonthRun]:
    """Every current run, oldest month first. It tells which months exist, not what anybody spent:
    no scope needed.
    """
    with connection.cursor() as cursor:
        cursor.execute(CURRENT_RUNS)
        return [MonthRun(*row) for row in cursor.fetchall()]


def cost_by_currency(*, runs: list[int], scope: TeamScope) -> dict[str, Decimal]:
    teams = None if scope.teams is None else sorted(scope.teams)
    with connection.cursor() as cursor:
        cursor.execute(COST_BY_CURRENCY, {"runs": runs, "teams": teams})
        return dict(cursor.fetchall())
