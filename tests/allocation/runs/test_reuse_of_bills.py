"""Bills that come, go or change between two runs: only what they move is planned and written."""

from __future__ import annotations

from typing import Any

import pytest

from allocation.models import Charge, LedgerSlice, RunSplitKey, Source, StoredSplitKey
from allocation.values.names import BY_DAY, BY_MONTH, BY_REPORTS, FOLLOWERS
from tests.allocation.bills import Bill, allocate, put_in_force, usage, utc
from tests.allocation.reruns import (
    INPUT,
    OUTPUT,
    TOKENS,
    late_bill,
    reported_month,
    rerun,
    rerun_after_a_change,
    reruns,
    rows_of,
    same_as_whole,
    superseded,
    traced_month,
)

pytestmark = pytest.mark.django_db

Planned = list[tuple[int, int]]
FEE: dict[str, Any] = {"provider_name": "AWS", "service_name": "Fees"}


def fees(text: str = "method: direct, target: {team: ops}") -> None:
    put_in_force(f"rules: [{{name: fees, {text}}}]")


# ---------------------------------------------------------------- what comes


def test_a_late_bill_of_one_day_moves_that_day_and_what_follows_it(planned: Planned) -> None:
    traced_month()
    first = allocate().runs[0]
    late_bill("5", 6)
    planned.clear()

    after = allocate().runs[0]

    assert {day for part, day in planned if part == BY_DAY} == {6}
    assert {day for part, day in planned if part == FOLLOWERS} == set(range(1, 30))
    assert first.sha256 != after.sha256
    assert same_as_whole(after)


def test_what_stays_is_written_once() -> None:
    traced_month()
    allocate()
    late_bill("5", 6)
    before = LedgerSlice.objects.values_list("pk", flat=True).latest("pk")

    allocate()

    new = LedgerSlice.objects.filter(pk__gt=before)
    # The sixth, and the tax: of its first day, which counts the charge, of the days that have a
    # quantum more than others, and of those.
    assert sorted(new.values_list("part", flat=True)) == [BY_DAY, *[FOLLOWERS] * 3]


def test_nothing_new_keeps_the_run(planned: Planned) -> None:
    traced_month()
    first = allocate().runs[0]
    planned.clear()

    kept = allocate().runs[0]

    assert (kept.run, kept.reused, planned) == (first.run, True, [])


def test_an_overwritten_bill_shares_the_days_that_it_left_alone() -> None:
    old = traced_month()
    allocate()
    superseded(old)
    bill = Bill("OpenAI")
    for day, cost in ((5, "10"), (6, "11"), (7, "10")):
        bill.charge(cost, at=utc(day, 10), **TOKENS, **INPUT)

    assert rerun().moved(BY_DAY) == {6}


def test_a_bill_that_was_withdrawn_takes_its_days_along() -> None:
    traced_month()
    late = Bill("OpenAI", delivery="append")
    late.charge("5", at=utc(8), **FEE)
    late.charge("5", at=utc(6), **FEE)
    allocate()
    superseded(late)

    found = rerun()

    assert {place.day.day for place in found.now if place.part == BY_DAY} == {5, 6, 7}
    assert found.moved(BY_DAY) == {6}


def test_a_line_that_comes_late_changes_what_the_others_are_paid_for(planned: Planned) -> None:
    """Cached tokens are part of the input, until the bill has a line for them."""
    bill = traced_month()
    for day in (5, 6, 7):
        usage("ads", at=utc(day, 12), cache_read=50)
    allocate()
    planned.clear()
    cached = {**INPUT, "charge_description": "gpt-4o-2024-08-06, cached input"}
    late_bill("5", 6, **cached)

    after = allocate().runs[0]

    assert {day for part, day in planned if part == BY_DAY} == {5, 6, 7}
    assert same_as_whole(after)
    assert bill.scope.state == "current"


def test_lines_of_batch_jobs_set_their_calls_apart_on_all_days() -> None:
    """Until then they are among the interactive calls, which a bill without quantities splits."""
    bill = Bill("OpenAI")
    for day in (5, 6):
        bill.charge("10", at=utc(day), **INPUT)
        usage("search", at=utc(day, 1), input_uncached=70)
        usage("ads", at=utc(day, 2), tier="batch", input_uncached=30)
    before = allocate().runs[0]
    late_bill("5", 6, charge_description="gpt-4o-2024-08-06, batch input", quantity=None)

    assert rerun_after_a_change(before).moved(BY_DAY) == {5, 6}


def test_a_line_that_is_new_to_its_currency_says_nothing_about_another() -> None:
    bill = traced_month()
    cached = {**INPUT, "charge_description": "gpt-4o-2024-08-06, cached input"}
    bill.charge("4", at=utc(5, 9), quantity="40", consumed_unit="Tokens", **cached)
    for day in (5, 6):
        bill.charge("10", at=utc(day, 10), currency="EUR", **TOKENS, **INPUT)
        usage("data", at=utc(day, 12), cache_read=900)
    allocate()
    late_bill("5", 6, currency="EUR", **cached)

    found = reruns()

    assert found["EUR"].moved(BY_DAY) == {5, 6}
    assert found["USD"].moved() == set()


def test_a_late_bill_in_one_currency_leaves_the_runs_of_others_as_they_are(
    planned: Planned,
) -> None:
    bill = traced_month()
    bill.charge("10", at=utc(6, 10), currency="EUR", **TOKENS, **INPUT)
    allocate()
    late_bill("5", 6, currency="EUR")
    planned.clear()

    after = {run.currency: run for run in allocate().runs}

    assert planned == [(BY_DAY, 6)]
    assert same_as_whole(after["EUR"])
    assert same_as_whole(after["USD"])


def test_a_currency_that_is_new_has_a_run_of_its_own() -> None:
    traced_month()
    allocate()
    Bill("AWS").charge("7", at=utc(5), currency="EUR", **FEE)

    found = reruns()

    assert found["EUR"].moved() == {5}
    assert found["USD"].moved() == set()


def test_a_bill_of_another_month_widens_what_is_read_and_moves_nothing_else() -> None:
    """A charge of September, billed in October, asks for the usage of its own day."""
    traced_month()
    usage("ads", at=utc(20, 10, month=9), input_uncached=900)
    allocate()
    Bill("OpenAI", delivery="append").charge("5", at=utc(20, 10, month=9), **TOKENS, **INPUT)

    found = rerun()

    assert found.moved(BY_DAY) == {20}


# ---------------------------------------------------------------- coverage


@pytest.mark.parametrize(("tokens", "moved"), [("90", {7}), ("5", {7}), ("60", {5, 7})])
def test_low_days_are_split_anew_only_where_the_usual_coverage_says_otherwise(
    tokens: str, moved: set[int], planned: Planned
) -> None:
    """Days of 50% ask how much is usually traced. Where few calls are made, 50% is a loss at 90%,
    none below 80%.
    """
    bill = Bill("OpenAI")
    for day in (5, 6, 7, 8):
        bill.charge("10", at=utc(day, 10), **TOKENS, **INPUT)
        count = 50 if tokens == "90" or day == 5 else 99
        usage("search", at=utc(day, 10), input_uncached=count, calls=1)
    allocate()
    late_bill("5", 7, quantity=tokens)
    planned.clear()

    after = allocate().runs[0]

    assert {day for _, day in planned} == moved
    assert same_as_whole(after)


def test_usual_coverage_of_a_providers_report_is_not_that_of_traces() -> None:
    reported_month((6, 7), tokens=99)
    allocate()
    late_bill("5", 7, quantity="60")

    assert rerun().moved(BY_DAY) >= {7}


def test_a_model_that_nobody_traces_leaves_its_other_days_alone(planned: Planned) -> None:
    bill = traced_month()
    other = {**INPUT, "charge_description": "o3-mini-2025-01-31, input"}
    for day in (5, 8):
        bill.charge("4", at=utc(day, 9), quantity="40", consumed_unit="Tokens", **other)
    allocate()
    late_bill("5", 8, **other)
    planned.clear()

    after = allocate().runs[0]

    assert {day for part, day in planned if part == BY_DAY} == {8}
    assert same_as_whole(after)


def test_a_quantity_that_does_not_convert_takes_the_coverage_of_its_day_along() -> None:
    traced_month()
    before = allocate().runs[0]
    late_bill("5", 6, quantity=None)

    assert rerun_after_a_change(before).moved(BY_DAY) == {6}


# ---------------------------------------------------------------- what a charge says


@pytest.mark.parametrize(
    "column", ["billed_cost", "effective_cost", "list_cost", "consumed_quantity"]
)
def test_each_number_of_a_charge_moves_its_day(column: str) -> None:
    def bill(number: str) -> Bill:
        made = Bill("OpenAI")
        for day in (5, 6):
            made.charge("10", at=utc(day), listed="10", **TOKENS, **OUTPUT)
        last = made.scope.pk, made.line
        Charge.objects.filter(scope_id=last[0], line=last[1]).update(**{column: number})
        return made

    usage("search", at=utc(5), output_text=100)
    usage("search", at=utc(6), output_text=100)
    old = bill("11")
    before = allocate().runs[0]
    superseded(old)
    bill("12")

    assert rerun_after_a_change(before).moved() == {6}


@pytest.mark.parametrize("unit", ["consumed_unit", "pricing_unit"])
def test_a_quantity_is_the_days_own_where_the_month_decides(unit: str) -> None:
    """The month's coverage stays, and with it all that the line is split by."""
    put_in_force("rules: [{name: calls, method: traced_usage, weights: month}]")
    column = unit.replace("unit", "quantity")
    usage("search", at=utc(5), input_uncached=90)

    def bill(*quantities: int) -> Bill:
        made = Bill("OpenAI")
        for day, quantity in zip((5, 6, 7), quantities, strict=True):
            made.charge("10", at=utc(day), **{**INPUT, unit: "Tokens"})
            Charge.objects.filter(scope_id=made.scope.pk, line=made.line).update(
                **{column: quantity}
            )
        return made

    old = bill(40, 60, 20)
    before = allocate().runs[0]
    superseded(old)
    bill(60, 40, 20)

    assert rerun_after_a_change(before).moved() == {5, 6}


def test_a_charge_of_nothing_counts() -> None:
    fees()
    bill = Bill("AWS")
    for day in (5, 6):
        bill.charge("10", at=utc(day), **FEE)
    before = allocate().runs[0]
    Bill("AWS", delivery="append").charge("0", at=utc(6), **FEE)

    assert rerun_after_a_change(before).moved() == {6}


def test_a_charge_of_two_days_stands_apart_from_two_that_cost_the_same() -> None:
    fees()

    def bill(*, is_long: bool) -> Bill:
        made = Bill("AWS")
        for day in (5, 6):
            if is_long and day == 5:
                made.charge("20", at=utc(5), until=utc(7), **FEE)
            elif not is_long:
                made.charge("10", at=utc(day), **FEE)
        return made

    old = bill(is_long=False)
    before = allocate().runs[0]
    superseded(old)
    bill(is_long=True)

    found = rerun_after_a_change(before)
    assert {(place.day.day, place.is_spread) for place in found.now} == {(5, True), (6, True)}


def test_a_charge_of_several_days_moves_each_of_them() -> None:
    fees()
    Bill("AWS").charge("31", at=utc(1), until=utc(1, month=11), **FEE)
    before = allocate().runs[0]
    Bill("AWS", delivery="append").charge("4", at=utc(6), until=utc(8), **FEE)

    assert rerun_after_a_change(before).moved() == {6, 7}


def test_what_every_charge_has_is_part_of_every_day() -> None:
    """The same costs of another service are another line of the chargeback file."""
    fees()
    old = Bill("AWS")
    old.charge("10", at=utc(5), **FEE)
    before = allocate().runs[0]
    superseded(old)
    Bill("AWS").charge("10", at=utc(5), **{**FEE, "service_name": "Other fees"})

    assert rerun_after_a_change(before).moved() == {5}


def test_charges_of_a_source_are_not_those_of_another_that_has_its_name_now() -> None:
    """Otherwise the money of one would be booked on the other."""
    fees()
    old, other = Bill("AWS"), Bill("Azure")
    old.charge("10", at=utc(5), **FEE)
    other.charge("1", at=utc(6), **FEE)
    allocate()
    superseded(old)
    Source.objects.filter(name="AWS").update(name="AWS until September")
    Source.objects.filter(name="Azure").update(name="AWS")
    Bill("AWS", delivery="append").charge("10", at=utc(5), **FEE)

    assert rerun().moved() == {5, 6}


def test_a_tier_that_comes_late_settles_the_price_of_all_days() -> None:
    """All who used a tiered price pay the month's, on the days before it as well."""
    traced_month()
    before = allocate().runs[0]
    late_bill("5", 6, charge_description="gpt-4o-2024-08-06, input, over the free tier")

    found = rerun_after_a_change(before)

    keys = StoredSplitKey.objects.filter(
        pk__in=RunSplitKey.objects.filter(run_id=found.run.run).values("split_key_id")
    )
    of_calls = keys.filter(method="traced_usage").values_list("split_key", flat=True)
    assert [key.get("weights") for key in of_calls] == ["month", "month"]
    assert found.moved(BY_MONTH) == {5, 6, 7}


def test_rows_that_a_rule_tells_apart_by_their_numbers_come_late() -> None:
    put_in_force(
        """
        rules:
          - {name: large, when: {BilledCost: {above: 100}}, method: direct, target: {team: ops}}
          - {name: others, method: direct, target: {team: ads}}
        """
    )
    bill = Bill("AWS")
    for day in (5, 6):
        bill.charge("50", at=utc(day), **FEE)
        bill.charge("150", at=utc(day), **FEE)
    before = allocate().runs[0]
    Bill("AWS", delivery="append").charge("101", at=utc(6), **FEE)

    found = rerun_after_a_change(before)

    assert found.moved() == {6}


# ---------------------------------------------------------------- what goes by other cost


BY_COST = """
rules:
  - {name: fees, when: {ServiceName: Fees}, method: direct, target: {team: {tag: team}}}
  - {name: office, when: {ServiceName: Office}, method: proportional, by: cost}
  - {name: pool, when: {ServiceName: Pool}, method: direct, target: {pool: shared}}
  - {name: of pool, when: {ServiceName: Support}, method: proportional, by: cost, of_rules: [pool]}
  - {name: tax, when: {ChargeCategory: Tax}, method: follow}
pools:
  - {name: shared, method: proportional, by: cost, of_rules: [fees]}
"""


def month_by_cost(rules: str = BY_COST) -> None:
    """Fees of two teams, what is split by them in two stages, and a tax on all of it."""
    put_in_force(rules)
    bill = Bill("AWS")
    for day, team in ((5, "ads"), (6, "search")):
        bill.charge("10", at=utc(day), listed="10", **FEE, tags={"team": team})
        for service in ("Office", "Pool", "Support"):
            bill.charge("7", at=utc(day), provider_name="AWS", service_name=service)
    bill.charge("2", at=utc(7), category="Tax", provider_name="AWS")


@pytest.mark.parametrize("column", ["effective_cost", "billed_cost", "list_cost"])
def test_what_is_weighted_by_other_cost_moves_on_all_days_with_it(column: str) -> None:
    """Chains of splits, with a tax behind them; which is by list cost where it says so."""
    by_list = ", by: list_cost}" if column == "list_cost" else "}"
    month_by_cost(BY_COST.replace("method: follow}", f"method: follow{by_list}"))
    before = allocate().runs[0]
    late = Bill("AWS", delivery="append")
    late.charge("0", at=utc(6), listed="0", **FEE, tags={"team": "search"})
    Charge.objects.filter(scope_id=late.scope.pk).update(**{column: 5})

    found = rerun_after_a_change(before)

    assert found.moved(BY_DAY) == {6}
    moves_splits = column == "effective_cost"
    assert found.moved(BY_REPORTS + 1) == ({5, 6} if moves_splits else set())
    assert found.moved(BY_REPORTS + 2) == ({5, 6} if moves_splits else set())
    assert found.moved(FOLLOWERS) == (set() if column == "billed_cost" else {7})


def test_what_is_split_by_cost_is_itself_a_base_of_what_comes_after_it() -> None:
    month_by_cost()
    before = allocate().runs[0]
    late = Bill("AWS", delivery="append")
    late.charge("5", at=utc(6), provider_name="AWS", service_name="Pool")

    found = rerun_after_a_change(before)

    assert found.moved(BY_DAY) == set()
    assert found.moved(BY_REPORTS + 1) == {6}
    assert found.moved(BY_REPORTS + 2) == {5, 6}
    assert found.moved(FOLLOWERS) == {7}


def test_the_weakest_evidence_behind_a_base_is_that_of_what_follows_it() -> None:
    """The same money of the same team, known by a tag where its calls had been seen."""
    rules = """
        rules:
          - {name: fees, when: {ServiceName: Fees}, method: METHOD}
          - {name: tax, when: {ChargeCategory: Tax}, method: follow}
        """
    put_in_force(rules.replace("METHOD", "proportional, by: requests"))
    usage("ops", at=utc(5), input_uncached=1)
    bill = Bill("AWS")
    bill.charge("10", at=utc(5), **FEE)
    bill.charge("2", at=utc(7), category="Tax", provider_name="AWS")
    before = allocate().runs[0]
    put_in_force(rules.replace("METHOD", "direct, target: {team: ops}"))

    assert rerun_after_a_change(before).moved(FOLLOWERS) == {7}


# ---------------------------------------------------------------- as it is written


def test_the_rollup_is_printed_alike_however_it_came_to_be() -> None:
    bill = traced_month()
    bill.charge("0.12345678901234567", at=utc(5, 11), quantity="1", consumed_unit="Tokens", **INPUT)
    allocate()
    late_bill("5", 6)

    assert rerun().moved(BY_DAY) == {6}


def test_runs_before_the_last_keep_what_they_said() -> None:
    traced_month()
    first = allocate().runs[0]
    before = rows_of(first.run)
    late_bill("5", 6)
    rerun()

    assert rows_of(first.run) == before
