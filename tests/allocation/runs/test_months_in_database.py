"""Made-up months through the whole of a real run: PostgreSQL's sums and the ledger in memory have
the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from allocation.charges.groups import Amount
from allocation.ledger.writer import stored_sha256
from allocation.models import AllocationRun, RunSource
from allocation.values.money import exact_sum, text_of
from reports.queries.reconcile.ledger import reconcile_period
from tests.allocation import months
from tests.allocation.bills import OCTOBER, allocate
from tests.allocation.months import Month, made_up
from tests.allocation.stored_months import storable, written

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("seed", range(25))
def test_a_real_run_of_a_made_up_month_has_the_bytes_of_the_one_in_memory(seed: int) -> None:
    month = written(storable(made_up(seed, 8)), seed)

    runs = {run.currency: run for run in allocate().runs}

    expected = months.allocate(month)
    assert {currency: run.sha256 for currency, run in runs.items()} == {
        currency: ledger.sha256 for currency, ledger in expected.items()
    }
    for run in runs.values():
        assert stored_sha256(run_id=run.run, month=OCTOBER.start) == run.sha256
        readers_see(run.run, expected[run.currency], month)
    again = {run.currency: run.sha256 for run in allocate(reuse=False).runs}
    assert again == {currency: run.sha256 for currency, run in runs.items()}
    assert reconcile_period(period=OCTOBER).is_balanced
    for row in AllocationRun.objects.filter(is_current=True):
        charges = [each.billed for each in month.charges if month.currency_of(each) == row.currency]
        balances = RunSource.objects.filter(run=row, metric="billed_cost").values_list(
            "allocated", "unallocated"
        )
        assert exact_sum(amount for balance in balances for amount in balance) == exact_sum(charges)


ONE = Decimal(1)
SEEN = {
    "shares": """
        SELECT a.day, t.team, t.reason, a.charge_kind, a.evidence, sum(a.billed_cost),
            sum(a.effective_cost)
        FROM allocated_cost a JOIN allocation_target t ON t.id = a.target_id WHERE a.run_id = %s
            GROUP BY 1, 2, 3, 4, 5
        """,
    "rollup": """
        SELECT day, team, reason, charge_kind, evidence, sum(billed_cost), sum(effective_cost)
        FROM cost_daily WHERE run_id = %s GROUP BY 1, 2, 3, 4, 5
        """,
    "groups": """
        SELECT day, sum(billed_cost), sum(effective_cost), sum(charges), count(*),
            count(DISTINCT split_key_id)
        FROM charge_group WHERE run_id = %s GROUP BY 1
        """,
    "calls": """
        SELECT day, sum(calls), sum(tokens_input + tokens_output) FROM usage_daily
        WHERE run_id = %s GROUP BY 1
        """,
}


def readers_see(run: int, ledger: months.Ledger, month: Month) -> None:
    """The views say on each day what the ledger in memory says, however many days share a slice."""
    seen: dict[str, set[tuple[Any, ...]]] = {}
    for name, statement in SEEN.items():
        with connection.cursor() as cursor:
            cursor.execute(statement, [run])
            seen[name] = set(cursor.fetchall())
    shares = summed(
        (
            (line.day, line.target.team, line.target.reason, line.kind, line.rung),
            (line.billed, line.effective),
        )
        for line in ledger.lines
    )
    without_zeros = [
        {row for row in rows if row[5] or row[6]}
        for rows in (shares, seen["shares"], seen["rollup"])
    ]
    assert without_zeros[0] == without_zeros[1] == without_zeros[2]
    assert seen["groups"] == summed(
        (
            (group.day,),
            (
                decimal_of(group.billed_cost),
                decimal_of(group.effective_cost),
                Decimal(group.charges),
                *[Decimal(1)] * 2,
            ),
        )
        for group, _, _ in ledger.groups
    )
    calls = summed(
        ((row.day,), (Decimal(row.calls), exact_sum(map(Decimal, row.tokens))))
        for row in month.usage
    )
    assert seen["calls"] == calls


def summed(rows: Iterable[tuple[tuple[Any, ...], tuple[Decimal, ...]]]) -> set[tuple[Any, ...]]:
    """Keys with exact sums of the numbers beside them."""
    found: dict[tuple[Any, ...], list[tuple[Decimal, ...]]] = {}
    for key, numbers in rows:
        found.setdefault(key, []).append(numbers)
    return {(*key, *map(exact_sum, zip(*own, strict=True))) for key, own in found.items()}


def decimal_of(amount: Amount) -> Decimal:
    return Decimal(text_of(amount.quanta, amount.places))
