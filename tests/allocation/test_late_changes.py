"""Late bills and late usage: what is read and split again is little, and comes to what a whole run
would say.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

import pytest
from django.db import connection

from allocation.charges import split_key_map as members
from allocation.charges.groups import described, kept_groups
from allocation.charges.split_keys import MemberKey
from allocation.models import (
    AllocationRun,
    ChargeScope,
    GpuUsage,
    Import,
    RunBucket,
    UsageDaily,
    UsageHourly,
)
from allocation.models import Bucket as BucketRow
from reports.queries.reconcile.ledger import reconcile_period
from tests.allocation.bills import OCTOBER, Bill, allocate, put_in_force, usage, utc
from tests.allocation.late import INPUT, late_bill, rows_of, same_as_whole, slices_of, traced_month

pytestmark = pytest.mark.django_db


def test_a_late_bill_of_one_day_moves_that_day_and_what_follows_it(ways: list[str]) -> None:
    traced_month()
    before = slices_of(allocate().runs[0].run)
    late_bill("5", 6)
    said: list[str] = []

    after = allocate(progress=lambda _done, _total, note: said.append(note)).runs[0]

    assert ways == ["whole", "late"]
    delivered = Import.objects.latest("pk").pk
    assert f"import {delivered} of OpenAI was loaded: splitting 06 Oct again" in said
    kept = {place for place, pk in slices_of(after.run).items() if before.get(place) == pk}
    moved = {at.day for at in before if at.part == 0} - {at.day for at in kept if at.part == 0}
    assert moved == {date(2026, 10, 6)}
    assert reconcile_period(period=OCTOBER).is_balanced
    assert same_as_whole(after)


def test_late_usage_of_one_day_is_all_that_is_read(ways: list[str]) -> None:
    traced_month()
    allocate()
    usage("ads", at=utc(6, 15), input_uncached=900)

    after = allocate().runs[0]

    assert ways == ["whole", "late"]
    assert {
        row.calls
        for row in UsageDaily.objects.filter(run_id=after.run, day=date(2026, 10, 6), team="ads")
    } == {2}
    assert same_as_whole(after)


def test_usage_that_waits_to_be_merged_is_read_again_until_it_is(ways: list[str]) -> None:
    traced_month()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO usage_delta SELECT * FROM jsonb_populate_record(NULL::usage_delta,"
            " (SELECT to_jsonb(h) || '{\"id\": 1}' FROM usage_hourly h ORDER BY hour LIMIT 1))"
        )
    allocate()
    UsageHourly.objects.filter(hour__gte=utc(7, 0)).update(list_cost="0.5")

    after = allocate().runs[0]

    assert ways == ["whole", "late"]
    assert same_as_whole(after)


def test_nothing_new_keeps_the_run_without_reading_usage(ways: list[str]) -> None:
    traced_month()
    first = allocate().runs[0]

    kept = allocate().runs[0]

    assert (kept.run, kept.reused, ways) == (first.run, True, ["whole", "late"])


def test_days_whose_usage_went_away_are_read_once(ways: list[str]) -> None:
    traced_month()
    for day in range(10, 20):
        usage("ads", at=utc(day, 15), input_uncached=9)
    UsageHourly.objects.filter(hour__gte=utc(10, 0)).delete()
    allocate()

    assert allocate().runs[0].reused
    usage("ads", at=utc(12, 15), input_uncached=9)
    assert same_as_whole(allocate().runs[0])
    assert ways[:3] == ["whole", "late", "late"]


def test_a_day_that_goes_by_the_month_is_not_taken_for_unchanged(ways: list[str]) -> None:
    bill = traced_month()
    bill.charge(
        "8", at=utc(9, 10), quantity="80", consumed_unit="Tokens", **INPUT
    )  # no call that day: by the month
    allocate()
    usage("ads", at=utc(6, 15), input_uncached=900)

    after = allocate().runs[0]

    assert ways == ["whole", "late", "whole"]
    assert AllocationRun.objects.filter(status="failed").count() == 0
    assert same_as_whole(after)


@pytest.mark.parametrize(("tokens", "way"), [("90", "late"), ("5", "late"), ("60", "whole")])
def test_low_days_are_split_anew_only_where_the_usual_coverage_says_otherwise(
    ways: list[str], tokens: str, way: str
) -> None:
    """Days of 50% ask how much is usually traced. Where few calls are made, 50% is a loss at 90%,
    none below 80%.
    """
    bill = Bill("OpenAI")
    for day in (5, 6, 7, 8):
        bill.charge("10", at=utc(day, 10), quantity="100", consumed_unit="Tokens", **INPUT)
        usage(
            "search",
            at=utc(day, 10),
            input_uncached=50 if tokens == "90" or day == 5 else 99,
            calls=1,
        )
    allocate()
    Bill("OpenAI", delivery="append").charge(
        "5", at=utc(7, 12), quantity=tokens, consumed_unit="Tokens", **INPUT
    )

    after = allocate().runs[0]

    assert ways[-1] == way
    assert same_as_whole(after)


def test_a_model_that_nobody_traces_does_not_make_a_late_bill_slow(ways: list[str]) -> None:
    bill = traced_month()
    for day in (5, 8):
        other = {**INPUT, "charge_description": "o3-mini-2025-01-31, input"}
        bill.charge("4", at=utc(day, 9), quantity="40", consumed_unit="Tokens", **other)
    allocate()
    late_bill("5", 8, charge_description="o3-mini-2025-01-31, input")

    after = allocate().runs[0]

    assert ways[:2] == ["whole", "late"]
    assert same_as_whole(after)


def test_a_bill_that_stands_apart_from_others_changes_how_all_calls_are_read(
    ways: list[str],
) -> None:
    traced_month()
    allocate()
    late_bill("5", 6, charge_description="gpt-4o-2024-08-06, output")

    after = allocate().runs[0]

    assert ways == ["whole", "whole"]
    assert same_as_whole(after)


def test_an_overwritten_bill_shares_the_days_that_it_left_alone() -> None:
    old = traced_month()
    before = slices_of(allocate().runs[0].run)
    ChargeScope.objects.filter(pk=old.scope.pk).update(state="superseded")
    bill = Bill("OpenAI")
    for day, cost in ((5, "10"), (6, "11"), (7, "10")):
        bill.charge(cost, at=utc(day, 10), quantity="100", consumed_unit="Tokens", **INPUT)

    after = allocate().runs[0]

    now = slices_of(after.run)
    assert {at.day.day for at in now if at.part == 0 and before.get(at) == now[at]} == {5, 7}
    assert same_as_whole(after)


CAPACITY = """
rules:
  - name: reserved
    when: {Catalogue.Tier: provisioned}
    method: capacity
    weights: {input: 1, output: 4}
    tokens_per_unit: 100
  - {name: calls, method: traced_usage}
"""

GPU = """
rules:
  - {name: gpus, when: {ServiceName: Compute}, method: gpu_usage}
"""


def test_a_late_bill_of_another_node_leaves_how_days_are_written_alone(ways: list[str]) -> None:
    put_in_force(GPU)
    for node, seconds in (("node-1", "60"), ("node-2", "0.125")):
        GpuUsage.objects.create(
            hour=utc(5, 10),
            cluster="train",
            node=node,
            workload="job",
            team="search",
            booked_seconds=seconds,
        )
    columns: dict[str, Any] = {
        "provider_name": "AWS",
        "service_name": "Compute",
        "resource_type": "p5.48xlarge",
    }
    Bill("AWS").charge("10", at=utc(5, 10), resource_name="node-1", **columns)
    allocate()
    Bill("AWS", delivery="append").charge("1", at=utc(6, 10), resource_name="node-2", **columns)

    after = allocate().runs[0]

    assert ways == ["whole", "late"]
    assert same_as_whole(after)


def test_first_calls_on_reserved_capacity_take_all_its_days(ways: list[str]) -> None:
    put_in_force(CAPACITY)
    bill = Bill("OpenAI")
    meter = {**INPUT, "charge_description": None, "sku_meter": "gpt-4o provisioned managed"}
    for day in (5, 6):
        bill.charge("100", at=utc(day), quantity="10", consumed_unit="PTU-hours", **meter)
        usage("search", at=utc(day, 10), input_uncached=400)
    allocate()
    usage("ads", at=utc(6, 15), tier="provisioned", input_uncached=500)

    after = allocate().runs[0]

    assert same_as_whole(after), ways


def test_the_rollup_is_printed_alike_however_it_came_to_be(ways: list[str]) -> None:
    bill = traced_month()
    bill.charge("0.12345678901234567", at=utc(5, 11), quantity="1", consumed_unit="Tokens", **INPUT)
    allocate()
    late_bill("5", 6)

    after = allocate().runs[0]

    assert ways == ["whole", "late"]
    assert same_as_whole(after)
    whole = AllocationRun.objects.get(is_current=True)
    assert rows_of(after.run) == rows_of(whole.pk)


def test_only_the_current_run_keeps_what_the_next_one_builds_upon() -> None:
    traced_month()
    first = allocate().runs[0]
    late_bill("5", 6)

    after = allocate().runs[0]

    assert AllocationRun.objects.get(pk=first.run).basis == {}
    assert AllocationRun.objects.get(pk=after.run).basis["usage"]["days"]


def test_sampled_usage_has_slices_of_its_own_and_leaves_former_ones_alone(ways: list[str]) -> None:
    traced_month()
    first = allocate().runs[0]
    before, places = rows_of(first.run), slices_of(first.run)
    usage("ads", at=utc(6, 15), input_uncached=900, variance_input="40000")

    sampled = allocate().runs[0]
    late_bill("5", 6)
    after = allocate().runs[0]

    assert ways == ["whole", "late", "whole", "whole"]
    of_usage = [
        {pk for place, pk in slices_of(run).items() if place.part < 0}
        for run in (sampled.run, after.run)
    ]
    assert not of_usage[0] & of_usage[1]
    assert not of_usage[0] & set(places.values())
    assert rows_of(first.run) == before
    assert same_as_whole(after)


def test_a_line_that_is_new_to_its_currency_changes_how_all_its_days_are_read() -> None:
    """What stands apart on the bill is asked in each currency: another one's lines say nothing
    about it.
    """
    bill = traced_month()
    cached = {**INPUT, "charge_description": "gpt-4o-2024-08-06, cached input"}
    bill.charge("4", at=utc(5, 9), quantity="40", consumed_unit="Tokens", **cached)
    for day in (5, 6):
        bill.charge(
            "10", at=utc(day, 10), quantity="100", currency="EUR", consumed_unit="Tokens", **INPUT
        )
        usage("data", at=utc(day, 12), cache_read=900)
    allocate()
    late_bill("5", 6, currency="EUR", charge_description="gpt-4o-2024-08-06, cached input")

    for after in allocate().runs:
        assert same_as_whole(after), after.currency


def test_groups_of_other_runs_and_months_are_not_read() -> None:
    traced_month()
    run = allocate().runs[0].run
    read = "SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'slice_group'"
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO slice_group (slice_id, bucket, charges, billed_cost, effective_cost)"
            " SELECT -slice, bucket, 1, 1, 1 FROM generate_series(1, 200) slice, generate_series(1, 200) bucket"
        )
        cursor.execute("ANALYZE slice_group")
        cursor.execute(read)
        before = cursor.fetchone()
        groups = kept_groups(run_id=run, days=[date(2026, 10, 6)])
        cursor.execute(read)
        assert (len({group.bucket for group in groups}), cursor.fetchone()) == (2, before)


@pytest.mark.parametrize("is_first", [True, False])
def test_buckets_that_the_process_remembers_are_not_named_again(
    ways: list[str], monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    traced_month()
    allocate()
    if is_first:
        members.forget()
    late_bill("5", 6)
    named: list[MemberKey] = []

    def note(wanted: Iterable[MemberKey], tests: Any) -> Any:
        named.extend(listed := list(wanted))
        return described(listed, tests)

    monkeypatch.setattr(members, "described", note)

    after = allocate().runs[0]

    assert ways == ["whole", "late"]
    assert len(named) == (2 if is_first else 0)  # calls and the tax
    assert same_as_whole(after)


def test_no_more_buckets_are_remembered_than_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process lives on: what a month of countless buckets takes would be gone for good."""
    traced_month()
    members.forget()
    allocate()
    count = len(members._remembered)
    assert count == RunBucket.objects.count() > 1

    for most in (count, count - 1):
        monkeypatch.setattr(members, "MOST_REMEMBERED", most)
        allocate(reuse=False)
        assert len(members._remembered) == (count if most == count else 0)


def test_a_tier_that_comes_late_settles_the_buckets_that_are_remembered(ways: list[str]) -> None:
    """All who used a tiered price pay the month's, on the days before it as well."""
    traced_month()
    allocate()
    late_bill("5", 6, charge_description="gpt-4o-2024-08-06, input, over the free tier")

    after = allocate().runs[0]

    assert ways == ["whole", "whole"]
    keys = BucketRow.objects.filter(
        pk__in=RunBucket.objects.filter(run_id=after.run).values("bucket")
    )
    assert [
        key.get("weights")
        for key in keys.filter(method="traced_usage").values_list("split_key", flat=True)
    ] == [
        "month",
        "month",
    ]
    assert same_as_whole(after)
