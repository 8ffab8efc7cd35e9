"""Does the ledger add up to the bills? Per source, currency and metric, straight from charges and
allocated rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import connection

from allocation.charges.groups import pinned_scopes
from allocation.models import AllocationRun, Source
from allocation.runs.month import METRICS
from allocation.storage.rows import whole_month_plans
from allocation.values.money import exact_sum
from allocation.values.periods import Period
from reports.asking import TeamScope, cached_by_run
from reports.cost_question.question import (
    ATTRIBUTED_UP_TO,
    LEDGER_PARTS,
    UNALLOCATED,
    ledger_attribution,
)
from reports.cost_question.runs import MonthRun
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

# One row per source of a run and part: billed and effective cost that is attributed, or why not.
# Only what is inferred is told apart by its group.
SHARED = f"""
SELECT b.source_id, {ledger_attribution("a", "b", "g")}, sum(a.billed_cost), sum(a.effective_cost)
FROM allocated_cost a
JOIN split_key b ON b.id = a.split_key_id
LEFT JOIN charge_group g ON a.evidence > {ATTRIBUTED_UP_TO} AND g.run_id = a.run_id
    AND g.split_key_id = a.split_key_id AND g.day = a.day
WHERE a.billing_month = %(month)s AND a.run_id = %(run)s
GROUP BY 1, 2
"""  # noqa: S608  no value is written into it

BILLED = METRICS[0]
ZERO = Decimal(0)
Parts = dict[str, tuple[Decimal, Decimal]]  # billed and effective cost of each part


@dataclass(frozen=True)
class ReconciliationRow:
    """`difference` is charges - allocated - unallocated: not zero where bills changed since the
    run, or none exists.

    `attributed` to `unknown_coverage` add up to what is allocated: known owners, untraced cost that
    was shared out, owners that are inferred, and lines of which nobody knows what is traced.
    """

    source: str
    currency: str
    metric: str  # billed_cost, effective_cost
    run: int | None
    charges: Decimal
    allocated: Decimal
    unallocated: Decimal
    attributed: Decimal = ZERO
    shared_out: Decimal = ZERO
    owner: Decimal = ZERO
    unknown_coverage: Decimal = ZERO
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
        (source_id, currency): parts
        for currency, run in runs.items()
        for source_id, parts in ledger_parts(month=month, run=run).items()
    }
    rejected = rejected_money(month)
    numbers = {name: pk for pk, name in names.items()}
    rows = []
    for source_id, currency in sorted(
        charges.keys() | shares.keys() | {(numbers[name], code) for name, code in rejected},
        key=lambda key: (names[key[0]], key[1]),
    ):
        billed_effective = charges.get((source_id, currency), (ZERO, ZERO))
        parts = shares.get((source_id, currency), {})
        for n, metric in enumerate(METRICS):
            rows.append(
                ReconciliationRow(
                    source=names[source_id],
                    currency=currency,
                    metric=metric,
                    run=runs.get(currency),
                    charges=billed_effective[n],
                    allocated=exact_sum(
                        amounts[n] for part, amounts in parts.items() if part != UNALLOCATED
                    ),
                    **{part: parts.get(part, (ZERO, ZERO))[n] for part in LEDGER_PARTS},
                    rejected=rejected.get((names[source_id], currency), NOTHING_REJECTED),
                )
            )
    earlier = earlier_cost(month=month, runs=list(runs.values()))
    return Reconciliation(period, tuple(rows), tuple(earlier))


def ledger_parts(*, month: date, run: int) -> dict[int, Parts]:
    """One run's cost by source: what of it is attributed, and what became of the rest."""
    found: dict[int, Parts] = {}
    for source_id, part, billed, effective in _sums(SHARED, {"month": month, "run": run}):
        found.setdefault(source_id, {})[part] = billed, effective
    return found


@cached_by_run
def attributed_sources(*, question: MonthRun, scope: TeamScope) -> dict[str, Parts]:
    """The same by the source's name. Nothing for a reader of some teams."""
    if not scope.is_everything:
        return {}
    names = dict(Source.objects.values_list("pk", "name"))
    found = ledger_parts(month=question.month, run=question.id)
    return {names[source_id]: parts for source_id, parts in found.items()}


def _sums(statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())
