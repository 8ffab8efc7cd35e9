"""Cost centres of an open month are compared like for like, and still add up to the whole."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from allocation.models import Source
from reports.asking import TeamScope
from reports.cost_question.question import Alike, CostQuestion, SourceDays
from reports.cost_question.runs import current_runs
from reports.queries.costs.cost_centers import cost_centers
from tests.factories import Costs, make_team

pytestmark = pytest.mark.django_db
OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)


def test_what_comes_with_the_invoice_and_days_that_are_not_billed_yet_are_left_out() -> None:
    make_team("search", cost_center="CC-1")
    for month, usage in ((OCTOBER, "10"), (NOVEMBER, "11")):
        costs = Costs(month)
        costs.add(1, usage, team="search")
        costs.add(20, "100", team="search")
        costs.add(2, "7", team="search", source="Late")
        if month == OCTOBER:
            costs.add(30, "4", team="search", charge_kind="tax", with_invoice="tax")
        costs.balance()
    before, now = current_runs()
    everything = TeamScope.everything()
    source = Source.objects.get(name="AWS").pk  # billed to the 9th; Late is not billed yet
    like = Alike((SourceDays(source, date(2026, 11, 10), date(2026, 10, 10)),))

    def asked(like: Alike | None) -> tuple[Decimal, Decimal, Decimal]:
        (center,) = cost_centers(
            question=CostQuestion((now,), everything, ai_only=False),
            before=CostQuestion((before,), everything, ai_only=False),
            like=like,
            mode_on=NOVEMBER,
        )
        return center.now, center.compared, center.before

    assert asked(like) == (118, 11, 10)
    assert asked(None) == (118, 118, 121)
