"""What of the AI bill is not billed by the call."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from reports.asking import TeamScope
from reports.cost_question.question import CostQuestion
from reports.cost_question.runs import current_runs
from reports.queries.costs.beyond_calls import share_beyond_calls
from tests.factories import Costs

pytestmark = pytest.mark.django_db


def question() -> CostQuestion:
    return CostQuestion(runs=tuple(current_runs()), scope=TeamScope.everything())


def test_what_names_no_model_is_beyond_calls_and_tax_is_of_neither() -> None:
    costs = Costs(date(2026, 10, 1))
    costs.add(3, "30", team="search", model="gpt-4o")
    costs.add(3, "50", team="search", phase="build")
    costs.add(4, "20", team="search")
    costs.add(5, "999", team="search", charge_kind="tax")
    costs.balance()

    assert share_beyond_calls(question()) == Decimal("0.7")


def test_without_a_bill_it_is_not_known() -> None:
    assert share_beyond_calls(question()) is None
