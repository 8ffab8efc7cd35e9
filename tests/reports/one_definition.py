"""Whether all who say how much is attributed say the same."""

from __future__ import annotations

from decimal import Decimal

from allocation.values.money import exact_sum
from allocation.values.periods import Period
from reports.asking import TeamScope
from reports.cost_question.question import ATTRIBUTED, LEDGER_PARTS, METRICS, CostQuestion
from reports.cost_question.runs import current_runs
from reports.queries.costs.trust import attributed_parts
from reports.queries.ownership.unowned import coverage
from reports.queries.reconcile.ledger import reconcile_period


def assert_one_definition(period: Period) -> None:
    """The ledger, the trust line and the coverage of a month agree to the digit, in each metric and
    currency; the ledger's parts add up to the charges.
    """
    rows = reconcile_period(period=period).rows
    for row in rows:
        assert exact_sum(getattr(row, part) for part in LEDGER_PARTS) == row.charges
    for run in current_runs():
        for metric in METRICS if run.month == period.start else ():
            asked = CostQuestion((run,), TeamScope.everything(), metric=metric)
            ai = attributed_parts(asked).get(ATTRIBUTED, Decimal(0))
            everything = attributed_parts(
                CostQuestion((run,), TeamScope.everything(), metric=metric, ai_only=False)
            )
            own = [row for row in rows if (row.currency, row.metric) == (run.currency, metric)]
            assert exact_sum(row.attributed for row in own) == everything.get(ATTRIBUTED, 0)
            found = coverage(question=asked, month=run.month)
            assert found is not None
            assert found.cost_attributed == ai
