"""Does every source add up? Charges, allocated, unallocated and difference of the current runs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from allocation.values.money import EXACT
from reports.scope import TeamScope

# One row per metric and source: the stored balances of the runs.
BALANCES = """
SELECT balance.metric, source.name, run.currency, sum(balance.charges), sum(balance.allocated),
    sum(balance.unallocated), sum(balance.other)
FROM allocation_runsource AS balance
JOIN allocation_allocationrun AS run ON run.id = balance.run_id
JOIN allocation_source AS source ON source.id = balance.source_id
WHERE balance.run_id = ANY(%(runs)s) AND balance.metric = ANY(%(metrics)s)
GROUP BY balance.metric, source.name, run.currency
ORDER BY sum(balance.charges) DESC, source.name
"""


@dataclass(frozen=True)
class SourceBalance:
    """One source, currency and metric over the runs asked for. `other` is the part of `charges`
    that is not AI.
    """

    source: str
    currency: str
    charges: Decimal
    allocated: Decimal
    unallocated: Decimal
    other: Decimal

    @property
    def difference(self) -> Decimal:
        return EXACT.subtract(EXACT.subtract(self.charges, self.allocated), self.unallocated)


def balances(*, runs: tuple[int, ...], scope: TeamScope, metric: str) -> list[SourceBalance]:
    """Whole bills, so nothing for a reader who sees only some teams."""
    return balances_of(runs=runs, scope=scope, metrics=(metric,))[metric]


def balances_of(
    *, runs: tuple[int, ...], scope: TeamScope, metrics: tuple[str, ...]
) -> dict[str, list[SourceBalance]]:
    """The same for several metrics in one statement."""
    found: dict[str, list[SourceBalance]] = {metric: [] for metric in metrics}
    if not scope.is_everything:
        return found
    with connection.cursor() as cursor:
        cursor.execute(BALANCES, {"runs": list(runs), "metrics": list(metrics)})
        for metric, *row in cursor.fetchall():
            found[metric].append(SourceBalance(*row))
    return found
