"""How much of what AI costs is not billed by the call of a model."""

from __future__ import annotations

from decimal import Decimal

from allocation.values.money import EXACT
from reports.cost_question.answers import costs
from reports.cost_question.question import FEES, NAMED_MODEL, CostQuestion
from reports.readable import ratio


def share_beyond_calls(question: CostQuestion) -> Decimal | None:
    """The share of the question's cost, 0 to 1, that names no model: GPU and infrastructure. Tax
    and credits stand outside; None without cost.
    """
    if not question.runs:
        return None
    of_group = {row.key[0]: row.now for row in costs(question.by("model_group"))}
    of_group.pop(FEES, None)
    whole = Decimal(0)
    for cost in of_group.values():
        whole = EXACT.add(whole, cost)
    if whole <= 0:
        return None
    return ratio(EXACT.subtract(whole, of_group.get(NAMED_MODEL, Decimal(0))), whole)
