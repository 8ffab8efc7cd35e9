"""Late bills and late usage: what is read and split again is little, and comes to what a whole run would say."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from allocation import driver_data, members, runs
from allocation import reported as reported_usage
from allocation.buckets import BY_DAY, BY_MONTH, BY_REPORTS, MemberKey
from allocation.charges import described, kept_groups
from allocation.draft_runs import draft_runs
from allocation.ledger import stored_sha256
from allocation.models import (
    AllocationRun,
    ChargeScope,
    GpuUsage,
    IdentityOwner,
    Import,
    LedgerSlice,
    ProviderUsage,
    RuleSet,
    RunBucket,
    RunGiven,
    RunSlice,
    SliceShare,
    UsageDaily,
    UsageHourly,
)
from allocation.models import Bucket as BucketRow
from allocation.rule_sets import latest_rule_set
from allocation.runs import MonthJob, RunOutcome
from allocation.slices import Place
from allocation.usage_facts import UsageReader
from portal.ingest.otlp.fold import fold
from reports.queries.reconciliation import reconcile_period
from tests.allocation.bills import NOW, OCTOBER, Bill, allocate, put_in_force, usage, utc
from tests.allocation.months import made_up
from tests.allocation.test_months_in_database import storable, written
from tests.allocation.test_usage_days import DELTA, all_agree

pytestmark = pytest.mark.django_db

INPUT: dict[str, Any] = {
    "charge_description": "gpt-4o-2024-08-06, input",
    "provider_name": "OpenAI",
    "sub_account_id": "proj-1",
}


def traced_month(**settings: Any) -> Bill:
    """Three days of two callers, with a tax that follows them."""
    bill = Bill("OpenAI", settings=settings)
    for day in (5, 6, 7):
        bill.charge("10", at=utc(day, 10), quantity="100", consumed_unit="Tokens", **INPUT)
        usage("search", at=utc(day, 10), input_uncached=70)
        usage("ads", at=utc(day, 11), input_uncached=30)
    bill.charge("3", at=utc(1, 0), until=utc(30, 0), category="Tax", provider_name="OpenAI", sub_account_id="proj-1")
    return bill


def late_bill(cost: str, day: int, **columns: Any) -> None:
    """One more delivery of the source with a charge of one day."""
    Bill("OpenAI", delivery="append").charge(
        cost, at=utc(day, 12), **{"quantity": "5", "consumed_unit": "Tokens", **INPUT, **columns}
    )


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How each month was read: "late" or "whole"."""
    found: list[str] = []
    plain = MonthJob._allocate

    def noted(job: MonthJob, world: Any, members: Any, late: Any) -> list[RunOutcome]:
        found.append("late" if late else "whole")
        return plain(job, world, members, late)

    monkeypatch.setattr(MonthJob, "_allocate", noted)
    return found


def slices_of(run: int) -> dict[Place, int]:
    rows = RunSlice.objects.filter(run_id=run).values_list("part", "day", "is_spread", "slice_id")
    return {Place(part, day, is_spread): pk for part, day, is_spread, pk in rows}


def same_as_whole(outcome: RunOutcome) -> bool:
    """The run's bytes are those of a run that reads everything, and those that stand in the database."""
    whole = next(run for run in allocate(reuse=False).runs if run.currency == outcome.currency)
    stored = stored_sha256(run_id=outcome.run, month=OCTOBER.start)
    return outcome.sha256 == whole.sha256 == stored and outcome.rows == whole.rows


ROLLUP = """
SELECT day, line_id, evidence, billed_cost::text, effective_cost::text, list_cost::text FROM cost_daily
WHERE run_id = %s ORDER BY 1, 2, 3, 4, 5, 6
"""
GROUPS = "SELECT to_jsonb(g) - 'run_id' FROM charge_group g WHERE run_id = %s ORDER BY day, bucket"
CALLS = "SELECT to_jsonb(u) - '{run_id,id}'::text[] FROM usage_daily u WHERE run_id = %s ORDER BY 1"


def rows_of(run: int) -> list[list[tuple[Any, ...]]]:
    """What readers see of a run besides its shares."""
    found = []
    for statement in (ROLLUP, GROUPS, CALLS):
        with connection.cursor() as cursor:
            cursor.execute(statement, [run])
            found.append(cursor.fetchall())
    return found


def reported(day: int, tokens: int) -> None:
    """A day of one key in the provider's own report."""
    ProviderUsage.objects.create(
        day=utc(day).date(),
        provider="openai",
        project="proj-1",
        model="gpt-4o",
        is_batch=False,
        api_key="key-1",
        requests=1,
        input_uncached=tokens,
    )


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
    assert {row.calls for row in UsageDaily.objects.filter(run_id=after.run, day=date(2026, 10, 6), team="ads")} == {2}
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
    bill.charge("8", at=utc(9, 10), quantity="80", consumed_unit="Tokens", **INPUT)  # no call that day: by the month
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
    """Days of 50% ask how much is usually traced. Where few calls are made, 50% is a loss at 90%, none below 80%."""
    bill = Bill("OpenAI")
    for day in (5, 6, 7, 8):
        bill.charge("10", at=utc(day, 10), quantity="100", consumed_unit="Tokens", **INPUT)
        usage("search", at=utc(day, 10), input_uncached=50 if tokens == "90" or day == 5 else 99, calls=1)
    allocate()
    Bill("OpenAI", delivery="append").charge("5", at=utc(7, 12), quantity=tokens, consumed_unit="Tokens", **INPUT)

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


def test_a_bill_that_stands_apart_from_others_changes_how_all_calls_are_read(ways: list[str]) -> None:
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


def test_first_calls_of_a_model_take_all_its_days_from_the_providers_report(ways: list[str]) -> None:
    IdentityOwner.objects.create(
        provider="openai", kind="api_key", value="key-1", team="search", valid_from=date(2026, 1, 1)
    )
    bill = Bill("OpenAI")
    for day in (5, 6, 7):
        bill.charge("10", at=utc(day, 10), quantity="100", consumed_unit="Tokens", **INPUT)
        reported(day, 100)
    allocate()
    usage("ads", at=utc(6, 10), input_uncached=90)

    after = allocate().runs[0]

    assert same_as_whole(after), ways


def reported_month(*days: int) -> None:
    """Three days billed, and reported by the provider on these."""
    IdentityOwner.objects.create(
        provider="openai", kind="api_key", value="key-1", team="search", valid_from=date(2026, 1, 1)
    )
    bill = Bill("OpenAI")
    for day in (5, 6, 7):
        bill.charge("10", at=utc(day, 10), quantity="100", consumed_unit="Tokens", **INPUT)
    for day in days:
        reported(day, 100)


def test_reports_of_other_days_are_not_read_again(ways: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    reported_month(5, 6, 7)
    allocate()
    late_bill("5", 6)
    read: list[date] = []
    plain = reported_usage.load_reported

    def noted(**settings: Any) -> Any:
        rows = plain(**settings)
        read.extend(row.day for row in rows)
        return rows

    with monkeypatch.context() as watched:
        watched.setattr(driver_data, "load_reported", noted)
        after = allocate().runs[0]

    assert (ways, read) == (["whole", "late"], [date(2026, 10, 6)])
    assert same_as_whole(after)


def test_a_late_day_without_a_report_goes_by_the_months_reports(ways: list[str]) -> None:
    reported_month(5, 6)
    allocate()
    late_bill("5", 7)

    after = allocate().runs[0]

    assert ways == ["whole", "late", "late"]
    assert AllocationRun.objects.filter(status="failed").count() == 0
    assert same_as_whole(after)


BY_THE_MONTH = """
rules:
  - {name: reported, when: {SubAccountId: proj-1}, method: provider_usage, weights: month}
  - {name: calls, when: {SubAccountId: proj-2}, method: traced_usage, weights: month}
  - {name: requests, when: {ServiceName: Platform}, method: proportional, by: requests, weights: month}
  - {name: of each day, when: {ServiceName: Gateway}, method: proportional, by: tokens}
  - {name: others, when: {SubAccountId: proj-3}, method: traced_usage}
  - {name: by cost, when: {ServiceName: Office}, method: proportional, by: cost}
"""


def month_by_the_month() -> None:
    put_in_force(BY_THE_MONTH)
    reported_month(5, 6, 7)
    bill = Bill("Cloud")
    for day in (5, 6, 7):
        for service in ("Platform", "Gateway", "Office"):
            bill.charge("7", at=utc(day, 9), provider_name="AWS", service_name=service)
        for project in ("proj-2", "proj-3"):
            usage("ads" if day == 5 else "search", at=utc(day, 10), project=project, input_uncached=95)
            bill.charge(
                "10", at=utc(day, 10), quantity="100", consumed_unit="Tokens", **{**INPUT, "sub_account_id": project}
            )


@pytest.mark.parametrize("what", ["calls", "bill", "bill by the month", "bill by reports", "bill of several days"])
def test_what_goes_by_the_month_is_split_again_on_all_days_and_no_more_is_read(ways: list[str], what: str) -> None:
    month_by_the_month()
    before = slices_of(allocate().runs[0].run)
    if what == "calls":
        usage("ads", at=utc(6, 15), project="proj-2", input_uncached=900)
    elif what == "bill of several days":
        Bill("OpenAI", delivery="append").charge(
            "2", at=utc(6, 12), until=utc(7, 12), quantity="3", consumed_unit="Tokens", **INPUT
        )
    else:
        project = {"bill": "proj-3", "bill by the month": "proj-2", "bill by reports": "proj-1"}[what]
        late_bill("5", 6, sub_account_id=project)

    after = allocate().runs[0]

    assert ways == ["whole", "late"]
    now = slices_of(after.run)
    moved = {(place.part, place.day.day) for place, pk in now.items() if place.part >= 0 and before.get(place) != pk}
    by_day = {6, 7} if what == "bill of several days" else {6}
    assert {day for part, day in moved if part == BY_DAY} <= by_day
    assert any(part == BY_MONTH for part, _ in moved) == (what in ("calls", "bill by the month"))
    assert any(part == BY_REPORTS for part, _ in moved) == (what in ("bill by reports", "bill of several days"))
    assert same_as_whole(after)
    assert rows_of(after.run) == rows_of(AllocationRun.objects.get(is_current=True).pk)


@pytest.mark.parametrize("change", ["report", "owner"])
@pytest.mark.parametrize("is_emptied", [False, True])
def test_reports_that_changed_are_noticed(ways: list[str], change: str, is_emptied: bool) -> None:
    reported_month(5, 6, 7)
    if is_emptied:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM report_version")
    allocate()
    if change == "report":
        ProviderUsage.objects.filter(day=utc(5).date()).update(input_uncached=7)
    else:
        IdentityOwner.objects.update(team="ads")
    late_bill("5", 6)

    after = allocate().runs[0]

    assert ways == ["whole", "late", "whole"]
    assert same_as_whole(after)


def test_usual_coverage_of_a_providers_report_is_not_that_of_traces(ways: list[str]) -> None:
    IdentityOwner.objects.create(
        provider="openai", kind="api_key", value="key-1", team="search", valid_from=date(2026, 1, 1)
    )
    bill = Bill("OpenAI")
    for day in (5, 6, 7, 8):
        bill.charge("10", at=utc(day, 10), quantity="100", consumed_unit="Tokens", **INPUT)
        reported(day, 50 if day == 5 else 99)
    allocate()
    late_bill("5", 7, quantity="60")

    after = allocate().runs[0]

    assert same_as_whole(after), ways


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
            hour=utc(5, 10), cluster="train", node=node, workload="job", team="search", booked_seconds=seconds
        )
    columns: dict[str, Any] = {"provider_name": "AWS", "service_name": "Compute", "resource_type": "p5.48xlarge"}
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
    of_usage = [{pk for place, pk in slices_of(run).items() if place.part < 0} for run in (sampled.run, after.run)]
    assert not of_usage[0] & of_usage[1]
    assert not of_usage[0] & set(places.values())
    assert rows_of(first.run) == before
    assert same_as_whole(after)


def test_a_run_that_died_before_it_was_published_costs_nothing_but_a_clean_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    traced_month()
    first = allocate().runs[0]
    before = rows_of(first.run)
    late_bill("5", 6)

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(runs, "balance_slices", dies)
        killed.setattr(runs, "delete_rows", dies)
        with pytest.raises(KeyboardInterrupt):
            allocate()
    AllocationRun.objects.filter(is_current=False).update(status="running", detail="")

    after = allocate().runs[0]

    assert rows_of(first.run) == before
    assert stored_sha256(run_id=first.run, month=OCTOBER.start) == first.sha256
    held = set(RunSlice.objects.values_list("slice_id", flat=True))
    assert set(LedgerSlice.objects.values_list("pk", flat=True)) == held
    assert set(SliceShare.objects.values_list("slice_id", flat=True)) <= held
    assert same_as_whole(after)


def test_a_comparison_that_has_to_read_the_month_after_all_leaves_no_run_behind(ways: list[str]) -> None:
    traced_month()
    Bill("AWS").charge("7", at=utc(5), currency="EUR", provider_name="AWS")
    allocate()
    late_bill("5", 6, quantity="100")  # a day of 35% asks how much is usual, once EUR is done
    base = latest_rule_set()
    draft = RuleSet.objects.create(number=-1, text=base.text + "\n", content_sha256="draft", effective_from=date.min)
    before = set(AllocationRun.objects.values_list("pk", flat=True))

    with draft_runs(
        month=OCTOBER.start, base=base, draft=draft, now=NOW, progress=lambda _done, _total, _note: None
    ) as pairs:
        assert [pair.currency for pair in pairs] == ["EUR", "USD"]

    assert ways == ["whole", "late", "whole", "whole"]
    assert set(AllocationRun.objects.values_list("pk", flat=True)) == before


def change_usage(chance: random.Random) -> None:
    """Prices come, an hour goes, calls wait to be merged, are merged: or nothing of it."""
    hour = chance.choice(sorted(set(UsageHourly.objects.values_list("hour", flat=True))))
    kind = chance.random()
    if kind < 0.15:
        UsageHourly.objects.filter(hour=hour).update(list_cost=chance.choice((None, "0.75")))
    elif kind < 0.25 and UsageHourly.objects.count() > 1:
        UsageHourly.objects.filter(hour=hour).delete()
    elif kind < 0.45:
        with connection.cursor() as cursor:
            cursor.execute(DELTA, [hour])
    elif kind < 0.6:
        fold()


@pytest.mark.parametrize("seed", range(40))
def test_a_made_up_month_with_late_changes_has_the_bytes_of_a_whole_run(seed: int) -> None:
    chance = random.Random(seed)
    month = written(storable(made_up(seed, 8)), seed)
    allocate()
    for number in range(2):
        if chance.random() < 0.6 and month.charges:
            charge = chance.choice(month.charges)
            row = month.dimensions[charge.dimension]
            columns: dict[str, Any] = dict(row.columns)
            start, end = charge.spread or (f"{charge.day}T07:00:00+00:00", f"{charge.day}T08:00:00+00:00")
            source = month.sources[row.source_id]
            Bill(source.name, delivery="append").charge(
                format(charge.billed * 3, "f"),
                at=datetime.fromisoformat(start),
                until=datetime.fromisoformat(end),
                quantity=None if charge.quantity is None else format(charge.quantity, "f"),
                currency=columns.pop("billing_currency"),
                category=columns.pop("charge_category"),
                **columns,
            )
        if chance.random() < 0.6 and month.usage:
            call = chance.choice(month.usage)
            usage(
                call.attributes[0],
                call.attributes[1],
                at=datetime.fromisoformat(f"{call.day}T20:00:00+00:00") + timedelta(minutes=seed, seconds=number),
                provider=call.key.provider or "",
                project=call.key.project,
                model=call.key.model or "",
                input_uncached=chance.randint(1, 5000),
            )
        if month.usage:
            change_usage(chance)
        if seed % 2:
            members.forget()  # as a process does that makes its first run
        late = {run.currency: run for run in allocate().runs}
        for run in late.values():
            assert stored_sha256(run_id=run.run, month=OCTOBER.start) == run.sha256
        assert reconcile_period(period=OCTOBER).is_balanced
        assert all_agree()
        whole = {run.currency: run for run in allocate(reuse=False).runs}
        assert {name: run.sha256 for name, run in late.items()} == {name: run.sha256 for name, run in whole.items()}
        for name, run in late.items():
            assert rows_of(run.run) == rows_of(whole[name].run)


def test_a_line_that_is_new_to_its_currency_changes_how_all_its_days_are_read() -> None:
    """What stands apart on the bill is asked in each currency: another one's lines say nothing about it."""
    bill = traced_month()
    cached = {**INPUT, "charge_description": "gpt-4o-2024-08-06, cached input"}
    bill.charge("4", at=utc(5, 9), quantity="40", consumed_unit="Tokens", **cached)
    for day in (5, 6):
        bill.charge("10", at=utc(day, 10), quantity="100", currency="EUR", consumed_unit="Tokens", **INPUT)
        usage("data", at=utc(day, 12), cache_read=900)
    allocate()
    late_bill("5", 6, currency="EUR", charge_description="gpt-4o-2024-08-06, cached input")

    for after in allocate().runs:
        assert same_as_whole(after), after.currency


CALLS_BY_MONTH = """
rules:
  - {name: calls, when: {Catalogue.Kind: model_usage}, method: traced_usage, weights: month}
"""


def around(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, before: Any = None, after: Any = None) -> None:
    """Something comes just before, or after, a run reads by this function for the first time."""
    plain, todo = getattr(owner, name), [before, after]

    def read(*values: Any, **named: Any) -> Any:
        first, second = todo
        todo[:] = [None, None]
        if first:
            first()
        found = plain(*values, **named)
        if second:
            second()
        return found

    monkeypatch.setattr(owner, name, read)


def test_usage_that_went_and_came_back_while_the_month_was_read_leaves_no_trace(
    ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in_force(CALLS_BY_MONTH)
    traced_month()
    allocate()
    late_bill("5", 6)
    with monkeypatch.context() as beside:
        hours = list(UsageHourly.objects.filter(hour=utc(5, 10)))
        around(
            beside,
            UsageReader,
            "rest",
            before=lambda: UsageHourly.objects.filter(hour=utc(5, 10)).delete(),
            after=lambda: UsageHourly.objects.bulk_create(hours),
        )
        allocate()

    after = allocate().runs[0]

    assert ways[:3] == ["whole", "late", "whole"]
    assert same_as_whole(after)


def test_a_report_that_changed_and_changed_back_while_it_was_read_leaves_no_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reported_month(5, 6, 7)
    ProviderUsage.objects.create(
        day=utc(6).date(), provider="openai", project="proj-1", model="gpt-4o", api_key="key-2", input_uncached=100
    )
    allocate()
    late_bill("5", 6)
    day = ProviderUsage.objects.filter(day=utc(6).date(), api_key="key-1")
    with monkeypatch.context() as beside:
        around(
            beside,
            driver_data,
            "load_reported",
            before=lambda: day.update(input_uncached=900),
            after=lambda: day.update(input_uncached=100),
        )
        allocate()

    assert same_as_whole(allocate().runs[0])


def test_whose_a_key_is_is_read_once_in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    IdentityOwner.objects.create(
        provider="gateway", kind="api_key", value="key-1", team="search", valid_from=date(2026, 1, 1)
    )
    traced_month()
    usage(None, at=utc(6, 10), input_uncached=90, about={"caller": "key-1"})
    with monkeypatch.context() as beside:
        around(beside, UsageReader, "read", after=lambda: IdentityOwner.objects.update(team="ads"))
        allocate()

    assert same_as_whole(allocate().runs[0])


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


def test_a_tier_that_comes_late_settles_the_buckets_that_are_remembered(ways: list[str]) -> None:
    """All who used a tiered price pay the month's, on the days before it as well."""
    traced_month()
    allocate()
    late_bill("5", 6, charge_description="gpt-4o-2024-08-06, input, over the free tier")

    after = allocate().runs[0]

    assert ways == ["whole", "whole"]
    keys = BucketRow.objects.filter(pk__in=RunBucket.objects.filter(run_id=after.run).values("bucket"))
    assert [key.get("weights") for key in keys.filter(method="traced_usage").values_list("split_key", flat=True)] == [
        "month",
        "month",
    ]
    assert same_as_whole(after)


def test_runs_of_a_former_engine_are_not_built_upon(ways: list[str]) -> None:
    """They kept no quantities of groups, nothing that was given by the day, and knew no version of reports."""
    traced_month()
    run = AllocationRun.objects.get(pk=allocate().runs[0].run)
    run.inputs["engine"] = "5"
    del run.basis["reports"]
    run.save()
    RunGiven.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE slice_group SET consumed_quantity = NULL, pricing_quantity = NULL")
        cursor.execute("UPDATE ledger_slice SET content_sha256 = md5(content_sha256)")  # quantities are part of it now
    for day in (6, 7):
        late_bill("5", day)
        after = allocate().runs[0]

    assert ways == ["whole", "whole", "late"]
    assert same_as_whole(after)
