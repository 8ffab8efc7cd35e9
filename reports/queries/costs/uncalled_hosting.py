"""Which models of their own do teams keep hosted that nobody calls?"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from reports.asking import cached_by_run, fetch, within_scope
from reports.cost_question.question import CostQuestion

# One row per team and hosted model without any call of the month, dearest first.
UNCALLED = f"""
SELECT t.team, b.split_key ->> 'model', sum(a.billed_cost), sum(a.effective_cost)
FROM allocation_allocationrun r
JOIN charge_split_key b ON b.run_id = r.id AND (b.split_key ->> 'is_hosting')::boolean
JOIN allocated_cost a ON a.billing_month = r.billing_month AND a.run_id = b.run_id
    AND a.split_key_id = b.split_key_id
JOIN allocation_target t ON t.id = a.target_id
WHERE r.id = ANY(%(runs)s)
    AND {within_scope("t.team")}
    AND NOT EXISTS (
        SELECT FROM usage_daily u
        WHERE u.run_id = r.id AND u.model = b.split_key ->> 'model' AND u.calls > 0)
GROUP BY 1, 2
ORDER BY 4 DESC, t.team COLLATE "C", (b.split_key ->> 'model') COLLATE "C"
"""  # noqa: S608  no value is written into it


@dataclass(frozen=True)
class UncalledHosting:
    """`team` None is unallocated; `model` None where the bill does not name it, so that no call can
    be seen.
    """

    team: str | None
    model: str | None
    billed_cost: Decimal
    effective_cost: Decimal


@cached_by_run
def uncalled_hosting(*, question: CostQuestion) -> list[UncalledHosting]:
    """Of whole billing months of one currency."""
    values = {"runs": question.run_ids, "teams": question.scope.bound}
    return fetch(UncalledHosting, UNCALLED, values)
