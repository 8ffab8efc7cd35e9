"""Does the ledger add up to the bills? Per source, currency and metric, straight from charges and
allocated rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection

from allocation.charges.groups import pinned_scopes
from allocation.models import AllocationRun, Source
from allocation.runs.month import METRICS
from allocation.storage.rows import whole_month_plans
from allocation.values.money import exact_sum
from allocation.values.periods import Period
from reports.queries.reconcile.other_months import EarlierCost, earlier_cost
from reports.queries.reconcile.rejected import NOTHING_REJECTED, RejectedMoney, rejected_money

# One row per source and currency: what was billed, from the charges themselves and not from any sum
# kept of them.
CHARGED = """
SELECT s.source_id, d.billing_currency, sum(c.billed_cost), sum(c.effective_cost)
FROM charge c
JOIN allocation_chargescope s ON s.id = c.scope_id
JOIN allocation_chargedimension d ON d.id = c.dimension_id
WHERE c.billing_month = %(month)s AND c.scope_id = ANY(%(scopes)s)
GROUP BY 1, 2
"""

# One row per source of a run: what was allocated and what was not, of billed and of effective cost.
SHARED = """
SELECT b.source_id,
    coalesce(sum(a.billed_cost) FILTER (WHERE a.charge_kind <> 'unallocated'), 0),
    coalesce(sum(a.billed_cost) FILTER (WHERE a.charge_kind = 'unallocated'), 0),
    coalesce(sum(a.effective_cost) FILTER (WHERE a.charge_kind <> 'unallocated'), 0),
    coalesce(sum(a.effective_cost) FILTER (WHERE a.charge_kind = 'unallocated'), 0)
FROM allocated_cost a JOIN split_key b ON b.id = a.split_key_id
WHERE a.billing_month = %(month)s AND a.run_id = %(run)s
GROUP BY 1
"""


BILLED = METRICS[0]


@dataclass(frozen=True)
class ReconciliationRow:
    """`difference` is charges - allocated - unallocated: not zero where bills changed since the
    run, or none exists.
    """

    source: str
    currency: str
    metric: str  # billed_cost, effective_cost
    run: int | None
    charges: Decimal
    allocated: Decimal
    unallocated: Decimal
    rejected: RejectedMoney = NOTHING_REJECTED

    @property
    def difference(self) -> Decimal:
        return exact_sum(
            (self.charges, self.allocated.copy_negate(), self.unallocated.copy_negate())
        )


@dataclass(frozen=True)
class Reconciliation:
    period: Period
    rows: tuple[ReconciliationRow, ...]
    earlier: tuple[EarlierCost, ...] = ()

    @property
    def is_balanced(self) -> bool:
        return not self.troubles

    @property
    def troubles(self) -> list[str]:
        """Why it is not balanced, each with what to do."""
        found = []
        if any(row.difference for row in self.rows):
            found.append("charges and runs differ: allocate the month again")
        for row in self.rows:
            if row.metric == BILLED and row.rejected.is_open:
                found.append(f"{row.source} {row.currency}: {row.rejected.words(row.currency)}")
        return found


def reconcile_period(*, period: Period) -> Reconciliation:
    """One row per invoice source, currency and metric, of published charges against the current
    runs.
    """
    month = period.start
    scopes = pinned_scopes(month)
    names = dict(Source.objects.values_list("pk", "name"))
    charges = {
        (row[0], row[1]): row[2:] for row in _sums(CHARGED, {"month": month, "scopes": scopes})
    }
    runs = dict(
        AllocationRun.objects.filter(billing_month=month, is_current=True).values_list(
            "currency", "pk"
        )
    )
    shares = {
        (row[0], currency): row[1:]
        for currency, run in runs.items()
        for row in _sums(SHARED, {"month": month, "run": run})
    }
    rejected = rejected_money(month)
    numbers = {name: pk for pk, name in names.items()}
    zero = Decimal(0)
    rows = []
    for source_id, currency in sorted(
        charges.keys() | shares.keys() | {(numbers[name], code) for name, code in rejected},
        key=lambda key: (names[key[0]], key[1]),
    ):
        billed_effective = charges.get((source_id, currency), (zero, zero))
        share = shares.get((source_id, currency), (zero,) * 4)
        for n, metric in enumerate(METRICS):
            rows.append(
                ReconciliationRow(
                    source=names[source_id],
                    currency=currency,
                    metric=metric,
                    run=runs.get(currency),
                    charges=billed_effective[n],
                    allocated=share[2 * n],
                    unallocated=share[2 * n + 1],
                    rejected=rejected.get((names[source_id], currency), NOTHING_REJECTED),
                )
            )
    earlier = earlier_cost(month=month, runs=list(runs.values()))
    return Reconciliation(period, tuple(rows), tuple(earlier))


def _sums(statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())
