"""Cost of earlier months on a month's bills, above all corrections. Pages go by the day of the
charge and are there for months that have a bill: of a month without one, no page shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from allocation.models import ChargeScope, ScopeState
from allocation.values.money import plain
from reports.asking import fetch

# One row per source, currency and earlier month; whether pages of that month are there.
EARLIER = """
SELECT earlier.source, earlier.currency, to_char(earlier.month, 'YYYY-MM'), earlier.billed,
    earlier.effective,
    EXISTS (
        SELECT FROM allocation_allocationrun AS run
        WHERE run.is_current AND run.currency = earlier.currency
            AND run.billing_month = earlier.month)
FROM (
    SELECT source.name AS source, daily.currency, date_trunc('month', daily.day)::date AS month,
        sum(daily.billed_cost) AS billed, sum(daily.effective_cost) AS effective
    FROM cost_daily AS daily
    JOIN allocation_source AS source ON source.id = daily.source_id
    WHERE daily.run_id = ANY(%(runs)s) AND daily.day < %(month)s
    GROUP BY 1, 2, 3
) AS earlier
ORDER BY 1, 2, 3
"""


@dataclass(frozen=True)
class EarlierCost:
    source: str
    currency: str
    month: str
    billed_cost: Decimal
    effective_cost: Decimal
    is_shown: bool

    @property
    def words(self) -> str:
        return (
            f"{self.source} {self.currency}: {plain(self.billed_cost)} billed and "
            f"{plain(self.effective_cost)} effective cost of {self.month} stand on bills of this "
            "month; no page shows them, since that month has no bill of its own"
        )


def earlier_cost(*, month: date, runs: Sequence[int]) -> list[EarlierCost]:
    """Of these runs of the month."""
    return fetch(EarlierCost, EARLIER, {"month": month, "runs": list(runs)})


def months_with_bills() -> set[str]:
    """Billing months, as YYYY-MM, of the published snapshots."""
    current = ChargeScope.objects.filter(state=ScopeState.CURRENT)
    return {
        f"{month:%Y-%m}" for month in current.values_list("billing_month", flat=True).distinct()
    }
