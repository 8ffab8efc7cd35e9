"""Which months and currencies have a current allocation run, and how far its charges reach."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from reports.rows import fetch

SHA256_LENGTH = 64

# One row per current run. The last day is that of its slices, the cost comes from its balances.
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


@dataclass(frozen=True)
class MonthRun:
    """The run that readers of a month and currency use. `sha256` is of its content."""

    id: int
    month: date
    currency: str
    last_day: date | None
    cost: Decimal
    sha256: str | None

    @property
    def is_final(self) -> bool:
        """The run is published with a hash of its content, so its rows never change."""
        return self.sha256 is not None and len(self.sha256) == SHA256_LENGTH


def current_runs() -> list[MonthRun]:
    """Every current run, oldest month first. It tells which months exist, not what anybody spent:
    no scope needed.
    """
    return fetch(MonthRun, CURRENT_RUNS, {})


def runs_of_months(runs: Iterable[MonthRun], months: Iterable[date]) -> tuple[MonthRun, ...]:
    """Those of the runs that are billed in one of the months (their first days)."""
    wanted = set(months)
    return tuple(run for run in runs if run.month in wanted)
