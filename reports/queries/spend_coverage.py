"""Which months and currencies have a succeeded allocation run, and how far its charges reach."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db import connection

# One row per current run. The last day comes off the (run_id, day) index, the cost from the run's balance.
CURRENT_RUNS = """
SELECT run.id, run.billing_month, run.currency,
    (SELECT max(day) FROM cost_daily WHERE cost_daily.run_id = run.id) AS last_day,
    coalesce((SELECT sum(charges) FROM allocation_runsource AS balance
        WHERE balance.run_id = run.id AND metric = 'effective_cost'), 0) AS cost,
    run.sha256
FROM allocation_allocationrun AS run
WHERE run.is_current
ORDER BY run.billing_month, run.currency
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
    """Every current run, oldest month first. It tells which months exist, not what anybody spent: no scope needed."""
    with connection.cursor() as cursor:
        cursor.execute(CURRENT_RUNS)
        return [MonthRun(*row) for row in cursor.fetchall()]
