"""What is attributed: one definition, whether the ledger, the trust line or coverage is asked."""

from __future__ import annotations

from decimal import Decimal

import pytest

from allocation.models import Team
from allocation.values.money import exact_sum
from reports.asking import TeamScope
from reports.cost_question.question import LEDGER_PARTS, METRICS, CostQuestion
from reports.cost_question.runs import current_runs
from reports.queries.costs.trust import attributed_parts
from reports.queries.ownership.unowned import coverage
from reports.queries.reconcile.ledger import ReconciliationRow, reconcile_period
from tests.allocation.bills import OCTOBER, OPENAI, Bill, allocate, put_in_force, usage
from tests.reports.one_definition import assert_one_definition

pytestmark = pytest.mark.django_db

OWNED = {"tags": {"team": "owner"}}
RULES = """
scope:
  - {name: all, scope: ai, when: {BillingAccountId: {missing: false}}}
rules:
  - {name: guessed, when: {ServiceName: Guessed}, method: direct, target: {team: {inferred: ads}}}
  - {name: tagged, when: {ServiceName: Tagged}, method: direct, target: {team: {tag: team}}}
  - name: calls
    when: {ServiceName: OpenAI API}
    method: traced_usage
    owner: {team: {tag: team}}
"""


def line(bill: Bill, cost: str, model: str, quantity: str | None, unit: str = "Tokens") -> None:
    about = {**OPENAI, "sku_meter": f"{model}, input", "consumed_unit": unit, **OWNED}
    bill.charge(cost, quantity=quantity, **about)


def month() -> None:
    """Ten of each fate, and more: attributed are 40 traced, 90 of 100, 1 and 9 of 10, and 5."""
    for slug in ("search", "ads", "owner"):
        Team.objects.create(slug=slug, name=slug.title())
    put_in_force(RULES)
    bill = Bill()
    line(bill, "40", "gpt-4o", "400")
    usage("search", model="gpt-4o", input_uncached=400)
    line(bill, "100", "gpt-4.1", "100")
    usage("search", model="gpt-4.1", input_uncached=90)
    line(bill, "10", "gpt-4o-mini", "100")
    usage("search", model="gpt-4o-mini", input_uncached=10)
    line(bill, "8", "acme-7", "1", "Bushels")
    usage("search", model="acme-7", input_uncached=10)
    bill.charge("7", **{**OPENAI, "service_name": "Guessed"})
    bill.charge("5", **{**OPENAI, "service_name": "Tagged", **OWNED})
    bill.charge("3", **{**OPENAI, "service_name": "Other"})
    allocate()


def parts(row: ReconciliationRow) -> dict[str, Decimal]:
    return {part: getattr(row, part) for part in LEDGER_PARTS}


def test_every_fate_of_cost_is_told_and_adds_up() -> None:
    month()

    for row in reconcile_period(period=OCTOBER).rows:
        assert parts(row) == {
            "attributed": Decimal(40 + 90 + 1 + 9 + 5),
            "shared_out": Decimal(10),
            "owner": Decimal(7),
            "unknown_coverage": Decimal(8),
            "unallocated": Decimal(3),
        }
        assert exact_sum(parts(row).values()) == row.charges
        assert row.difference == 0


@pytest.mark.parametrize("metric", METRICS)
def test_pages_ask_by_the_same_definition(metric: str) -> None:
    month()

    assert_one_definition(OCTOBER)

    question = CostQuestion(tuple(current_runs()), TeamScope.everything(), metric=metric)
    assert attributed_parts(question) == {
        "attributed": Decimal(145),
        "shared_out": Decimal(10),
        "inferred": Decimal(15),
        "unallocated": Decimal(3),
    }
    found = coverage(question=question, month=OCTOBER.start)
    assert found is not None
    assert (found.cost_attributed, found.cost_allocated) == (Decimal(145), Decimal(170))
    # Bill lines count where all of them is: not the one of which a part is shared out.
    assert (found.charges_attributed, found.charges) == (3, 7)
