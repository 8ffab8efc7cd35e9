"""Does the ledger add up to the bills? Per source, currency and metric, straight from charges and allocated rows."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from allocation.charges import pinned_scopes, source_totals
from allocation.models import AllocationRun, Source
from allocation.money import exact_sum
from allocation.periods import Period
from allocation.runs import BALANCE_SQL, METRICS
from allocation.targets import OUTSIDE_SCOPE


@dataclass(frozen=True)
class ReconciliationRow:
    """`difference` is charges - allocated - unallocated: not zero where bills changed since the run, or none exists."""

    source: str
    currency: str
    metric: str  # billed_cost, effective_cost
    run: int | None
    charges: Decimal
    allocated: Decimal
    unallocated: Decimal

    @property
    def difference(self) -> Decimal:
        return exact_sum((self.charges, self.allocated.copy_negate(), self.unallocated.copy_negate()))


@dataclass(frozen=True)
class Reconciliation:
    period: Period
    rows: tuple[ReconciliationRow, ...]

    @property
    def is_balanced(self) -> bool:
        return all(not row.difference for row in self.rows)


def reconcile_period(*, period: Period) -> Reconciliation:
    """One row per invoice source, currency and metric, of published charges against the current runs."""
    month = period.start
    scopes = pinned_scopes(month)
    names = dict(Source.objects.values_list("pk", "name"))
    charges = {
        (total.source_id, total.currency): (total.billed_cost, total.effective_cost)
        for total in (source_totals(month=month, scopes=scopes) if scopes else [])
    }
    runs = dict(AllocationRun.objects.filter(billing_month=month, is_current=True).values_list("currency", "pk"))
    shares = {
        (row[0], currency): row[1:] for currency, run in runs.items() for row in _balances(run, month.isoformat())
    }
    zero = Decimal(0)
    rows = []
    for source_id, currency in sorted(charges.keys() | shares.keys(), key=lambda key: (names[key[0]], key[1])):
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
                )
            )
    return Reconciliation(period, tuple(rows))


def _balances(run: int, month: str) -> list[tuple[int, Decimal, Decimal, Decimal, Decimal]]:
    with connection.cursor() as cursor:
        cursor.execute(BALANCE_SQL, {"run": run, "month": month, "outside": OUTSIDE_SCOPE})
        return [row[:5] for row in cursor.fetchall()]
