"""What became of bills: what was loaded of each source, and what the runs made of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from allocation.models import ChargeKind
from allocation.values.money import EXACT, exact_sum
from reports.asking import TeamScope, fetch
from reports.cost_question.answers import costs
from reports.cost_question.question import NOT_AI, CostQuestion
from reports.cost_question.runs import MonthRun

ZERO = Decimal(0)

# One row per source and currency with a current snapshot in the months; totals as they were kept
# when it was loaded.
LOADED = """
SELECT source.name, total ->> 'currency' AS currency, count(DISTINCT scope.id), sum(scope.rows),
    coalesce((SELECT sum(rows_rejected) FROM allocation_import AS delivered
        WHERE delivered.id = ANY(array_agg(DISTINCT scope.bill_import_id))), 0),
    sum((total ->> %(metric)s)::numeric), max(scope.published_at)
FROM allocation_chargescope AS scope
JOIN allocation_source AS source ON source.id = scope.source_id
CROSS JOIN LATERAL jsonb_array_elements(scope.totals) AS total
WHERE scope.state = 'current' AND scope.billing_month = ANY(%(months)s)
GROUP BY source.name, total ->> 'currency'
ORDER BY source.name, currency
"""


@dataclass(frozen=True)
class LoadedSource:
    source: str
    currency: str
    bills: int
    rows: int
    rejected: int
    cost: Decimal
    published_at: datetime | None


@dataclass(frozen=True)
class AllocatedSource:
    """What runs made of one source's charges in one currency; `outside_ai` is the part of what is
    not allocated that is no AI, so that nobody looks for its owner.
    """

    source: str
    currency: str
    allocated: Decimal
    unallocated: Decimal
    outside_ai: Decimal

    @property
    def without_owner(self) -> Decimal:
        return EXACT.subtract(self.unallocated, self.outside_ai)

    @property
    def cost(self) -> Decimal:
        return EXACT.add(self.allocated, self.unallocated)


def loaded_sources(*, months: Sequence[date], metric: str, scope: TeamScope) -> list[LoadedSource]:
    """Of bills of these months. Whole bills, so nothing for a reader who sees only some teams."""
    if not scope.is_everything:
        return []
    return fetch(LoadedSource, LOADED, {"months": list(months), "metric": metric})


def allocated_sources(
    *, runs: Sequence[MonthRun], metric: str, scope: TeamScope
) -> list[AllocatedSource]:
    """Of everything in the runs, AI or not. Nothing for a reader of some teams."""
    if not scope.is_everything:
        return []
    question = CostQuestion(runs=tuple(runs), scope=scope, metric=metric, ai_only=False)
    parts: dict[tuple[str, str], dict[tuple[str, str], Decimal]] = {}
    for row in costs(question.by("source", "currency", "charge_kind", "ai_scope")):
        source, currency, kind, ai_scope = row.key
        parts.setdefault((source, currency), {})[kind, ai_scope] = row.now
    return [
        AllocatedSource(
            *key,
            allocated=exact_sum(
                cost for (kind, _), cost in own.items() if kind != ChargeKind.UNALLOCATED
            ),
            unallocated=exact_sum(
                cost for (kind, _), cost in own.items() if kind == ChargeKind.UNALLOCATED
            ),
            outside_ai=own.get((ChargeKind.UNALLOCATED, NOT_AI), ZERO),
        )
        for key, own in parts.items()
    ]


def difference(loaded: LoadedSource | None, made: AllocatedSource | None) -> Decimal:
    """Loaded minus allocated minus unallocated; nothing on either side counts as zero."""
    return EXACT.subtract(loaded.cost if loaded else ZERO, made.cost if made else ZERO)


def differences(
    loaded: Iterable[LoadedSource], allocated: Iterable[AllocatedSource]
) -> dict[tuple[str, str], Decimal]:
    """Per source and currency of either side. Anything but zero: a bill changed after the run, or
    was never allocated.
    """
    bills = {(one.source, one.currency): one for one in loaded}
    made = {(one.source, one.currency): one for one in allocated}
    return {key: difference(bills.get(key), made.get(key)) for key in sorted({*bills, *made})}
