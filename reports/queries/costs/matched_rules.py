"""What each rule took in a month: charges and money of the current run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from django.db import connection

from allocation.values.names import NO_RULE
from reports.asking import cached_by_run, fetch
from reports.cost_question.answers import costs
from reports.cost_question.question import CostQuestion

LIMIT = 50


@dataclass(frozen=True)
class RuleTake:
    """`charges` is None for a reader of some teams only: a charge that is shared belongs to no team
    alone.
    """

    rule: str
    charges: int | None
    billed_cost: Decimal
    effective_cost: Decimal


# One row per rule.
CHARGES = """
SELECT b.rule, sum(g.charges)::bigint
FROM charge_split_key b
JOIN charge_group g ON g.run_id = b.run_id AND g.split_key_id = b.split_key_id
WHERE b.run_id = ANY(%(runs)s)
GROUP BY b.rule
"""


@dataclass(frozen=True)
class UnmatchedCharges:
    """Charges of one service that no rule took."""

    provider_name: str | None
    service_name: str | None
    charge_category: str
    source: str
    charges: int
    billed_cost: Decimal
    effective_cost: Decimal


# One row per provider, service and category of charges without a rule.
UNMATCHED = """
SELECT b.provider_name, b.service_name, b.charge_category, source.name, sum(g.charges)::bigint,
    sum(g.billed_cost), sum(g.effective_cost)
FROM charge_split_key b
JOIN charge_group g ON g.run_id = b.run_id AND g.split_key_id = b.split_key_id
JOIN allocation_source source ON source.id = b.source_id
WHERE b.run_id = ANY(%(runs)s) AND b.rule = %(no_rule)s
GROUP BY b.provider_name, b.service_name, b.charge_category, source.name
ORDER BY abs(sum(g.effective_cost)) DESC, b.provider_name COLLATE "C", b.service_name COLLATE "C"
LIMIT %(limit)s
"""


@cached_by_run
def matched_charges(*, question: CostQuestion) -> list[RuleTake]:
    """One row per rule that took something in the runs, most effective cost first. The money is
    what the reader's teams were given, which for everything is all of the charges' cost.
    """
    every_environment = replace(question, filters=(), ai_only=False).by("rule")
    billed, effective = (
        {row.key[0]: row.now for row in costs(replace(every_environment, metric=metric))}
        for metric in ("billed_cost", "effective_cost")
    )
    counted = _charges_by_rule(question.run_ids) if question.scope.is_everything else {}
    return [
        RuleTake(rule, counted.get(rule), billed[rule], effective[rule])
        for rule in sorted(effective, key=lambda rule: (-effective[rule], rule))
    ]


def _charges_by_rule(runs: list[int]) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(CHARGES, {"runs": runs})
        return dict(cursor.fetchall())


@cached_by_run
def charges_without_rule(*, question: CostQuestion) -> list[UnmatchedCharges]:
    """At most 50 services whose charges no rule took, most effective cost first; nothing for a
    reader of some teams.
    """
    if not question.scope.is_everything:
        return []
    values = {"runs": question.run_ids, "no_rule": NO_RULE, "limit": LIMIT}
    return fetch(UnmatchedCharges, UNMATCHED, values)
