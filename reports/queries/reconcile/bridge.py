"""How billed cost and effective cost of a month hang together: the bridge between the two bases,
from charges alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.db import connection

from allocation.charges.groups import pinned_scopes
from allocation.models import ChargeScope
from allocation.values.money import exact_sum
from allocation.values.periods import Period
from reports.asking import TeamScope

# What makes the two differ, in the order in which a bridge is read. Every charge counts in one of
# them.
PURCHASES, USED, UNUSED, AMORTISED, OTHER = (
    "purchases",
    "commitment_used",
    "commitment_unused",
    "amortised",
    "other",
)
STEPS = (PURCHASES, USED, UNUSED, AMORTISED, OTHER)

BRIDGE_SQL = """
-- One row per source, currency and step: billed cost, effective cost.
SELECT s.name, d.billing_currency,
    CASE WHEN d.charge_category = 'Purchase' THEN 'purchases'
        WHEN d.commitment_discount_status = 'Used' THEN 'commitment_used'
        WHEN d.commitment_discount_status = 'Unused' THEN 'commitment_unused'
        WHEN c.billed_cost = 0 AND c.effective_cost <> 0 THEN 'amortised'
        ELSE 'other' END,
    sum(c.billed_cost), sum(c.effective_cost)
FROM charge c
JOIN allocation_chargescope scope ON scope.id = c.scope_id
JOIN allocation_source s ON s.id = scope.source_id
JOIN allocation_chargedimension d ON d.id = c.dimension_id
WHERE c.billing_month = %(month)s AND c.scope_id = ANY(%(scopes)s)
GROUP BY 1, 2, 3
"""


@dataclass(frozen=True)
class Bridge:
    """One source and currency: billed = effective + the steps, exactly.

    `steps` are billed less effective cost: of purchases (prepaid: billed now, used later), of what
    was used and what was left unused of commitments, of other cost that was prepaid earlier
    (amortised), and of everything else.
    """

    source: str
    currency: str
    billed: Decimal
    effective: Decimal
    steps: dict[str, Decimal]

    @property
    def difference(self) -> Decimal:
        """Always zero: every charge stands in one step."""
        return exact_sum(
            (
                self.billed,
                self.effective.copy_negate(),
                *(s.copy_negate() for s in self.steps.values()),
            )
        )


def bridges(*, period: Period, scope: TeamScope, currency: str | None = None) -> tuple[Bridge, ...]:
    """Of every invoice source and currency of the billing month, or of one currency, by source.

    Bills name no team, so a reader of some teams gets none.
    """
    if not scope.is_everything:
        return ()
    found: dict[tuple[str, str], dict[str, tuple[Decimal, Decimal]]] = {}
    for source, code, step, billed, effective in _step_sums(period.start):
        if currency in (None, code):
            found.setdefault((source, code), {})[step] = (billed, effective)
    nothing = (Decimal(0), Decimal(0))
    return tuple(
        Bridge(
            source=source,
            currency=code,
            billed=exact_sum(billed for billed, _ in steps.values()),
            effective=exact_sum(effective for _, effective in steps.values()),
            steps={
                step: exact_sum((billed, effective.copy_negate()))
                for step in STEPS
                for billed, effective in [steps.get(step, nothing)]
            },
        )
        for (source, code), steps in sorted(found.items())
    )


Snapshots = tuple[tuple[int, datetime | None], ...]  # ids, and when each was published
Sums = tuple[tuple[str, str, str, Decimal, Decimal], ...]


def _step_sums(month: date) -> Sums:
    """The rows of BRIDGE_SQL, kept by process where all snapshots are published: these never
    change.
    """
    found = (
        ChargeScope.objects.filter(pk__in=pinned_scopes(month))
        .order_by("pk")
        .values_list("pk", "published_at")
    )
    snapshots: Snapshots = tuple(found)
    read = _kept_sums if all(published for _, published in snapshots) else _read_sums
    return read(month, snapshots)


def _read_sums(month: date, snapshots: Snapshots) -> Sums:
    values: dict[str, Any] = {"month": month, "scopes": [pk for pk, _ in snapshots]}
    with connection.cursor() as cursor:
        cursor.execute(BRIDGE_SQL, values)
        return tuple(cursor.fetchall())


_kept_sums = lru_cache(maxsize=24)(_read_sums)
