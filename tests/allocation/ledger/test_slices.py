"""Days that say the same stand in the ledger once, and readers see each of them all the same."""

from __future__ import annotations

import gc
import weakref
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from allocation.ledger.slices import SlicePlace
from allocation.ledger.writer import stored_sha256
from allocation.models import (
    AllocationRun,
    LedgerSlice,
    RunSlice,
    SliceBalance,
    SliceCost,
    SliceGroup,
    SliceShare,
    UsageDaily,
)
from allocation.plans.planner import Planner
from reports.queries.reconcile.ledger import reconcile_period
from tests.allocation.bills import OCTOBER, Bill, allocate, billed_by_team, put_in_force, usage, utc

pytestmark = pytest.mark.django_db

MONTH = [OCTOBER.start + timedelta(n) for n in range(31)]
TRACED: dict[str, Any] = {
    "charge_description": "gpt-4o-2024-08-06, input",
    "provider_name": "OpenAI",
    "sub_account_id": "proj-1",
    "consumed_unit": "Tokens",
}
FEES = """
rules:
  - {name: fees, when: {ServiceName: Fees}, method: direct, target: {team: ops}}
  - {name: calls, method: traced_usage}
"""
FEE: dict[str, Any] = {"provider_name": "AWS", "service_name": "Fees"}


def by_day(table: str, run: int, column: str = "billed_cost") -> dict[date, Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT day, sum({column}) FROM {table} WHERE run_id = %s GROUP BY 1", [run]
        )
        return dict(cursor.fetchall())


def counted(statement: str, *values: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.fetchone()[0])


def slices_of(run: int) -> dict[SlicePlace, int]:
    rows = RunSlice.objects.filter(run_id=run).values_list("part", "day", "is_spread", "slice_id")
    return {SlicePlace(part, day, is_spread): pk for part, day, is_spread, pk in rows}


def spread_slices(run: int) -> dict[date, int]:
    return {place.day: pk for place, pk in slices_of(run).items() if place.is_spread}


def whole_month(bill: Bill, cost: str, **columns: Any) -> None:
    bill.charge(cost, at=utc(1), until=utc(1, month=11), **columns)


def test_days_of_a_monthly_tax_share_a_slice_and_readers_see_every_day() -> None:
    bill = Bill("OpenAI")
    for day, tokens in ((5, "100"), (6, "50")):
        bill.charge("10", at=utc(day, 10), quantity=tokens, **TRACED)
        usage("search", at=utc(day, 10), input_uncached=70)
        usage("ads", at=utc(day, 11), input_uncached=30)
    whole_month(bill, "31", category="Tax", provider_name="OpenAI", sub_account_id="proj-1")

    run = allocate().runs[0]

    spread = spread_slices(run.run)
    assert sorted(spread) == MONTH
    assert len(set(spread.values())) == 2  # the first day counts the charge
    assert spread[MONTH[0]] not in {pk for day, pk in spread.items() if day != MONTH[0]}
    taxed = {day: Decimal(1) + (Decimal(10) if day.day in (5, 6) else 0) for day in MONTH}
    for table in ("allocated_cost", "cost_daily", "charge_group"):
        assert by_day(table, run.run) == taxed
    assert by_day("charge_group", run.run, "charges") == {
        day: int(day == MONTH[0]) + int(day.day in (5, 6)) for day in MONTH
    }
    assert run.rows == counted("SELECT count(*) FROM allocated_cost WHERE run_id = %s", run.run)
    assert SliceShare.objects.count() < run.rows / 4
    assert sum(billed_by_team().values()) == 51
    assert reconcile_period(period=OCTOBER).is_balanced
    assert stored_sha256(run_id=run.run, month=OCTOBER.start) == run.sha256


def test_quantities_of_days_that_cost_the_same_add_up_to_what_was_billed() -> None:
    """100 tokens over 31 days leave a remainder that the cost of 31 does not."""
    whole_month(Bill("OpenAI"), "31", quantity="100", **TRACED)

    run = allocate().runs[0]

    assert set(by_day("charge_group", run.run).values()) == {Decimal(1)}
    assert sum(by_day("charge_group", run.run, "quantity").values()) == 100


def test_a_split_key_has_one_group_on_each_day_whatever_its_charges_last() -> None:
    put_in_force(FEES)
    bill = Bill("aws")
    whole_month(bill, "31", **FEE)
    bill.charge("5", at=utc(6, 10), **FEE)

    run = allocate().runs[0]

    assert by_day("charge_group", run.run) == {day: 6 if day.day == 6 else 1 for day in MONTH}
    assert counted("SELECT count(*) FROM charge_group WHERE run_id = %s", run.run) == 31
    places = slices_of(run.run)
    assert {place.day.day for place in places if place.part >= 0 and not place.is_spread} == {6}
    assert len(spread_slices(run.run)) == 30


def test_a_split_key_of_both_kinds_comes_and_goes_with_late_bills() -> None:
    put_in_force(FEES)
    whole_month(Bill("aws"), "31", **FEE)
    Bill("OpenAI").charge("10", at=utc(5, 10), quantity="100", **TRACED)
    usage("search", at=utc(5, 10), input_uncached=70)
    allocate()
    Bill("aws", delivery="append").charge("5", at=utc(6, 10), **FEE)

    late = {run.currency: run for run in allocate().runs}["USD"]

    assert by_day("allocated_cost", late.run) == {
        day: {5: Decimal(11), 6: Decimal(6)}.get(day.day, Decimal(1)) for day in MONTH
    }
    whole = allocate(reuse=False).runs[0]
    assert (late.sha256, late.rows) == (whole.sha256, whole.rows)
    assert reconcile_period(period=OCTOBER).is_balanced


def test_remainders_of_a_split_over_days_part_the_slices_and_not_the_sum() -> None:
    put_in_force(FEES)
    whole_month(Bill("aws"), "100.000000000001", **FEE)

    run = allocate().runs[0]

    days = by_day("cost_daily", run.run)
    assert sum(days.values()) == Decimal("100.000000000001")
    assert len(set(spread_slices(run.run).values())) == 1 + len(set(days.values()))


def test_days_that_hours_bill_alike_share_a_slice_and_their_usage_too() -> None:
    bill = Bill("OpenAI")
    for day in (5, 6, 7):
        bill.charge("10" if day < 7 else "11", at=utc(day, 10), quantity="100", **TRACED)
        usage("search", at=utc(day, 10), calls=3, input_uncached=70)
    usage("ads", at=utc(7, 10), calls=1, input_uncached=70)

    run = allocate().runs[0].run

    parts: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for place, pk in slices_of(run).items():
        parts[place.part][place.day.day] = pk
    for of_part in parts.values():
        assert of_part[5] == of_part[6] != of_part[7]
    assert by_day("allocated_cost", run) == {
        date(2026, 10, 5): 10,
        date(2026, 10, 6): 10,
        date(2026, 10, 7): 11,
    }
    assert by_day("usage_daily", run, "calls") == {
        date(2026, 10, 5): 3,
        date(2026, 10, 6): 3,
        date(2026, 10, 7): 4,
    }
    assert UsageDaily.objects.filter(run_id=run, team="search").count() == 3


def test_days_that_were_swapped_make_another_run_of_the_same_slices() -> None:
    def hashed(*costs: str) -> tuple[str, set[int]]:
        bill = Bill("OpenAI", delivery="overwrite")
        for day, cost in enumerate(costs, 5):
            bill.charge(cost, at=utc(day, 10), **FEE)
        run = allocate().runs[0]
        assert by_day("cost_daily", run.run) == {
            date(2026, 10, day): Decimal(c) for day, c in enumerate(costs, 5)
        }
        bill.scope.state = "superseded"
        bill.scope.save()
        return run.sha256, set(slices_of(run.run).values())

    put_in_force(FEES)
    one, slices = hashed("10", "11")
    other, same_slices = hashed("11", "10")

    assert one != other
    assert slices == same_slices


def test_sampled_days_that_say_the_same_have_each_its_own_error() -> None:
    bill = Bill("OpenAI")
    for day, cost in ((5, "10"), (6, "20")):
        bill.charge(cost, at=utc(day, 10), quantity="1000", **TRACED)
        usage("search", at=utc(day, 10), input_uncached=600, variance_input=60_000)
        usage("ads", at=utc(day, 10), input_uncached=400, variance_input=20_000)

    run = allocate().runs[0].run

    errors = by_day("usage_daily", run, "cost_variance")
    assert errors[date(2026, 10, 6)] == pytest.approx(
        4 * errors[date(2026, 10, 5)]
    )  # twice the cost
    assert by_day("usage_daily", run, "calls") == {date(2026, 10, 5): 2, date(2026, 10, 6): 2}


def test_slices_that_a_kept_run_shares_outlive_the_run_that_wrote_them() -> None:
    put_in_force(FEES)
    whole_month(Bill("aws"), "31", **FEE)
    Bill("OpenAI").charge("10", at=utc(5, 10), quantity="100", **TRACED)
    first = allocate().runs[0]
    for number in range(5):
        Bill("OpenAI", delivery="append").charge(
            str(number + 1), at=utc(5, 11 + number), quantity="1", **TRACED
        )
        run = allocate().runs[0]

    assert not slices_of(first.run)
    assert set(spread_slices(run.run).values()) <= set(
        LedgerSlice.objects.values_list("pk", flat=True)
    )
    assert by_day("allocated_cost", run.run) == {day: 26 if day.day == 5 else 1 for day in MONTH}
    held = set(RunSlice.objects.values_list("slice_id", flat=True))
    assert set(LedgerSlice.objects.values_list("pk", flat=True)) == held
    for table in (SliceShare, SliceGroup, SliceCost, SliceBalance):
        assert set(table.objects.values_list("slice_id", flat=True)) <= held
    assert stored_sha256(run_id=run.run, month=OCTOBER.start) == run.sha256


def test_fees_of_two_currencies_never_share_a_slice() -> None:
    put_in_force(FEES)
    for currency in ("EUR", "USD"):
        whole_month(Bill(currency), "31", currency=currency, **FEE)

    runs = {run.currency: run.run for run in allocate().runs}

    assert not set(slices_of(runs["EUR"]).values()) & set(slices_of(runs["USD"]).values())
    for currency, run in runs.items():
        assert by_day("cost_daily", run) == dict.fromkeys(MONTH, Decimal(1))
        assert AllocationRun.objects.get(pk=run).currency == currency


def test_planners_are_let_go_of_while_the_collector_is_paused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each holds all charge groups of its currency, and is part of a circle."""
    made: list[weakref.ref[Planner]] = []
    alive: list[int] = []
    plain = Planner.__post_init__

    def noted(planner: Planner) -> None:
        assert not gc.isenabled()
        alive.append(sum(known() is not None for known in made))
        made.append(weakref.ref(planner))
        plain(planner)

    monkeypatch.setattr(Planner, "__post_init__", noted)
    usage("search", at=utc(5, 10), input_uncached=70)
    for currency in ("EUR", "JPY", "USD"):
        Bill(currency).charge("10", at=utc(5, 10), quantity="100", currency=currency, **TRACED)

    allocate()

    assert alive == [0, 0, 0]
    assert gc.isenabled()
