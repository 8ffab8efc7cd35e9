"""What did teams provide to each other: calls that one team's agents served for another's
features?
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from allocation.rules.rules import CALLER
from reports.asking import cached_by_run, fetch, within_scope
from reports.cost_question.question import CostQuestion

# One row per providing and consuming side, team and feature each, with the targets turned where the
# caller pays. Most targets have no partner, so few rows are left.
CROSS_CHARGES = f"""
SELECT
    CASE WHEN caller_pays THEN partner_team ELSE team END,
    CASE WHEN caller_pays THEN partner_feature ELSE feature END,
    CASE WHEN caller_pays THEN team ELSE partner_team END,
    CASE WHEN caller_pays THEN feature ELSE partner_feature END,
    sum(billed_cost), sum(effective_cost)
FROM (
    SELECT t.*, a.billed_cost, a.effective_cost,
        coalesce(r.inputs ->> 'agents', %(caller)s) = %(caller)s AS caller_pays
    FROM allocation_allocationrun r
    JOIN allocated_cost a ON a.billing_month = r.billing_month AND a.run_id = r.id
    JOIN allocation_target t ON t.id = a.target_id
    WHERE r.id = ANY(%(runs)s) AND (t.partner_team IS NOT NULL OR t.partner_feature IS NOT NULL)
        AND ({within_scope("t.team")} OR {within_scope("t.partner_team")})
) AS shared
GROUP BY 1, 2, 3, 4
"""  # noqa: S608  no value is written into it


@dataclass(frozen=True)
class CrossCharge:
    """Cost of what the first team's feature served for the second's; None where a side is not
    known.
    """

    from_team: str | None
    from_feature: str | None
    to_team: str | None
    to_feature: str | None
    billed_cost: Decimal
    effective_cost: Decimal

    @property
    def sides(self) -> tuple[str | None, ...]:
        return self.from_team, self.from_feature, self.to_team, self.to_feature


@cached_by_run
def cross_charges(*, question: CostQuestion) -> list[CrossCharge]:
    """Of whole billing months, ordered by the providing, then the consuming side; for a reader of
    some teams what these provided or consumed. Exact amounts, whichever of the two sides the rules
    let pay.
    """
    values = {"runs": question.run_ids, "teams": question.scope.bound, "caller": CALLER}
    found = fetch(CrossCharge, CROSS_CHARGES, values)
    return sorted(found, key=lambda row: [text or "" for text in row.sides])
