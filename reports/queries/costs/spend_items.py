"""What was spent on, two periods beside each other: the grain at which a change has a name."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from allocation.values.money import EXACT
from reports.cost_question.answers import costs
from reports.cost_question.question import CostQuestion


class SpendItem(NamedTuple):
    """Cost of one model or service of one feature; `group` is what it is of where no model is
    named.
    """

    team: str | None
    feature: str | None
    model: str | None
    group: str
    service: str | None
    kind: str
    now: Decimal
    before: Decimal
    left_out: Decimal = Decimal(0)  # of now: not compared with before

    @property
    def compared(self) -> Decimal:
        return EXACT.subtract(self.now, self.left_out)


def spend_items(question: CostQuestion) -> list[SpendItem]:
    asked = question.by("team", "feature", "model", "model_group", "service", "charge_kind")
    return [SpendItem._make((*row.key, *row[1:])) for row in costs(asked)]
