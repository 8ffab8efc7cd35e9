"""Calls that come, go or change between two runs: what is read and split again is little."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from allocation.models import Span, UsageDaily, UsageDimension, UsageHourly
from allocation.values.names import BY_DAY, BY_MONTH, BY_REPORTS, FOLLOWERS
from portal.ingest.otlp.rollup.merge import merge_deltas
from tests.allocation.bills import Bill, allocate, put_in_force, usage, utc
from tests.allocation.reruns import (
    INPUT,
    OUTPUT,
    TOKENS,
    late_bill,
    owned,
    reported,
    reported_month,
    rerun,
    rerun_after_a_change,
    rows_of,
    same_as_whole,
    slices_of,
    traced_month,
)
from tests.allocation.usage.test_day_sums import waits

pytestmark = pytest.mark.django_db

Planned = list[tuple[int, int]]
Read = list[date | None]
SIXTH = date(2026, 10, 6)
CALLS_BY_MONTH = """
rules:
  - {name: calls, when: {Catalogue.Kind: model_usage}, method: traced_usage, weights: month}
"""


def hours_of(day: int) -> Any:
    return UsageHourly.objects.filter(hour__gte=utc(day), hour__lt=utc(day + 1))


def changes_hands(day: int) -> None:
    """All calls of the day are another team's; nothing else of them changes."""
    (team,) = set(
        UsageDimension.objects.filter(
            pk__in=hours_of(day).values("dimension_id"), team="search"
        ).values_list("pk", flat=True)
    )
    known = UsageDimension.objects.get(pk=team)
    known.pk, known.team, known.content_hash = None, "data", b"another"
    known.save()
    hours_of(day).filter(dimension_id=team).update(dimension_id=known.pk)


# ---------------------------------------------------------------- of a day


def test_late_usage_of_one_day_is_all_that_is_read(planned: Planned, read: Read) -> None:
    traced_month()
    allocate()
    usage("ads", at=utc(6, 15), input_uncached=900)
    planned.clear()
    read.clear()

    after = allocate().runs[0]

    assert read == [SIXTH]
    assert {day for part, day in planned if part == BY_DAY} == {6}
    ads = UsageDaily.objects.filter(run_id=after.run, day=SIXTH, team="ads")
    assert {row.calls for row in ads} == {2}
    assert same_as_whole(after)


def test_who_made_the_calls_is_all_that_changes_a_day() -> None:
    """As many calls and tokens as before, so that the day is joined and covered as before."""
    traced_month()
    before = allocate().runs[0]
    changes_hands(6)

    found = rerun_after_a_change(before)

    assert found.moved(BY_DAY) == {6}
    assert len(found.moved(FOLLOWERS)) == 29


def test_usage_that_waits_to_be_merged_counts_before_and_after() -> None:
    traced_month()
    before = allocate().runs[0]
    waits(utc(6, 10))

    waiting = rerun_after_a_change(before)
    merge_deltas()
    merged = allocate()

    assert waiting.moved(BY_DAY) == {6}
    assert merged.runs[0].reused  # the same content, however it is stored
    assert same_as_whole(merged.runs[0])


def test_prices_that_come_late_move_the_days_that_go_by_them() -> None:
    bill = Bill("OpenAI")
    for day in (5, 6):
        bill.charge("10", at=utc(day), **{**INPUT, "charge_description": "gpt-4o-2024-08-06"})
        usage("search", at=utc(day, 1), input_uncached=70, list_cost="7")
        usage("ads", at=utc(day, 2), output_text=30, list_cost="30")
    before = allocate().runs[0]
    hours_of(6).filter(list_cost="30").update(list_cost="60")

    assert rerun_after_a_change(before).moved() == {6}
    unpriced = allocate().runs[0]
    hours_of(5).filter(list_cost="30").update(list_cost=None)
    assert rerun_after_a_change(unpriced).moved() == {5}


def test_days_whose_usage_went_away_are_like_days_that_had_none() -> None:
    traced_month()
    for day in range(10, 20):
        usage("ads", at=utc(day, 15), input_uncached=9)
    allocate()
    UsageHourly.objects.filter(hour__gte=utc(10, 0)).delete()

    gone = rerun()
    assert allocate().runs[0].reused
    usage("ads", at=utc(12, 15), input_uncached=9)
    back = rerun()

    assert gone.moved() == back.moved() == set()
    assert {place.day.day for place in gone.now if place.part < 0} == {5, 6, 7}
    assert {place.day.day for place in back.now if place.part < 0} == {5, 6, 7, 12}


def test_a_day_that_loses_its_last_calls_goes_by_the_month() -> None:
    traced_month()
    before = allocate().runs[0]
    hours_of(6).delete()

    assert rerun_after_a_change(before).moved(BY_DAY) == {6}


def test_fractions_of_calls_on_one_day_are_written_with_their_places_on_all() -> None:
    """Weights of a month have as many places as any of its days needs."""
    traced_month()
    before = allocate().runs[0]
    usage("ads", at=utc(6, 15), input_uncached="0.5")

    rerun_after_a_change(before)
    whole = allocate().runs[0]
    UsageHourly.objects.filter(hour=utc(6, 15)).delete()
    rerun_after_a_change(whole)


# ---------------------------------------------------------------- of the month


def test_a_day_that_goes_by_the_month_is_not_taken_for_unchanged(read: Read) -> None:
    bill = traced_month()
    bill.charge("8", at=utc(9, 10), quantity="80", consumed_unit="Tokens", **INPUT)
    allocate()  # of the ninth there are no calls
    usage("ads", at=utc(6, 15), input_uncached=900)
    read.clear()

    after = allocate().runs[0]

    assert read == [None, SIXTH] or read == [SIXTH, None]
    assert same_as_whole(after)


def test_a_price_of_the_month_moves_all_days_with_any_of_them() -> None:
    put_in_force(CALLS_BY_MONTH)
    traced_month()
    before = allocate().runs[0]
    changes_hands(6)

    assert rerun_after_a_change(before).moved(BY_MONTH) == {5, 6, 7}


def test_first_calls_of_a_model_take_all_its_days_from_the_providers_report() -> None:
    reported_month()
    before = allocate().runs[0]
    usage("ads", at=utc(6, 10), input_uncached=90)

    assert rerun_after_a_change(before).moved(BY_DAY) == {5, 6, 7}


@pytest.mark.parametrize(("more", "moved"), [(0, {7}), (60, {5, 7})])
def test_lost_calls_are_like_others_until_the_usual_coverage_says_otherwise(
    more: int, moved: set[int]
) -> None:
    """The fifth is traced by half, which is a loss as long as the month has 80%."""
    bill = Bill("OpenAI")
    for day in (5, 6, 7, 8):
        bill.charge("10", at=utc(day, 10), **TOKENS, **INPUT)
        usage("search", at=utc(day, 10), input_uncached=50 if day == 5 else 99)
    allocate()
    hours_of(7).update(input_uncached=98 - more)

    assert rerun().moved() == moved


def test_a_wider_join_goes_by_the_calls_that_answer_it() -> None:
    """A line about no model, by all calls of its provider; a class, by all of its model."""
    put_in_force("rules: [{name: calls, method: traced_usage}]")
    bill = Bill("OpenAI")
    for day in (5, 6):
        platform = {**INPUT, "charge_description": "Code interpreter sessions"}
        for columns in (platform, OUTPUT):
            bill.charge("10", at=utc(day), **columns)
        usage("search", at=utc(day), model="o1", input_uncached=7)
        usage("ads", at=utc(day), input_uncached=5)
    before = allocate().runs[0]
    usage("data", at=utc(6, 5), model="o1", input_uncached=7)

    rerun_after_a_change(before)


# ---------------------------------------------------------------- capacity


CAPACITY = """
rules:
  - name: reserved
    when: {Catalogue.Tier: provisioned}
    method: capacity
    weights: {input: 1, output: 4}
    tokens_per_unit: 100
    owner: {team: platform}
  - {name: calls, method: traced_usage}
"""
METER: dict[str, Any] = {
    **INPUT,
    "charge_description": None,
    "sku_meter": "gpt-4o provisioned managed",
}


def capacity_month(text: str = CAPACITY, days: tuple[int, ...] = (5, 6)) -> None:
    put_in_force(text)
    bill = Bill("OpenAI")
    for day in days:
        bill.charge("100", at=utc(day), quantity="10", consumed_unit="PTU-hours", **METER)
    for day in (5, 6):
        usage("search", at=utc(day, 10), tier="provisioned", input_uncached=400)


def more_is_taken() -> None:
    usage("ads", at=utc(6, 15), tier="provisioned", input_uncached=500)


def more_can_be_served() -> None:
    late = {**METER, "quantity": "5", "consumed_unit": "PTU-hours"}
    Bill("OpenAI", delivery="append").charge("0", at=utc(6), **late)


@pytest.mark.parametrize("change", [more_is_taken, more_can_be_served])
def test_what_was_taken_of_a_capacity_and_what_it_can_serve_move_its_day(
    change: Callable[[], None],
) -> None:
    capacity_month()
    before = allocate().runs[0]
    change()

    assert rerun_after_a_change(before).moved() == {6}


def test_first_calls_on_reserved_capacity_take_all_its_days() -> None:
    put_in_force(CAPACITY)
    bill = Bill("OpenAI")
    for day in (5, 6):
        bill.charge("100", at=utc(day), quantity="10", consumed_unit="PTU-hours", **METER)
        usage("search", at=utc(day, 10), input_uncached=400)
    before = allocate().runs[0]
    more_is_taken()

    assert rerun_after_a_change(before).moved() == {5, 6}


def test_a_capacity_that_goes_by_the_month_goes_by_all_of_it() -> None:
    """Of an unknown capacity, on a day without calls."""
    capacity_month(CAPACITY.replace("    tokens_per_unit: 100\n", ""), days=(5, 6, 9))
    before = allocate().runs[0]
    more_is_taken()

    assert rerun_after_a_change(before).moved() == {6, 9}


# ---------------------------------------------------------------- measures


MEASURES = """
rules:
  - {name: by day, when: {ServiceName: Gateway}, method: proportional, by: requests}
  - {name: by month, when: {ServiceName: Office}, method: proportional, by: tokens, weights: month}
  - {name: pooled, when: {ServiceName: Pool}, method: direct, target: {pool: users}}
pools:
  - {name: users, method: proportional, by: output_tokens}
"""


def measured_month(*services: str) -> None:
    put_in_force(MEASURES)
    bill = Bill("AWS")
    for day in (5, 6, 7):
        for service in services:
            bill.charge("7", at=utc(day), provider_name="AWS", service_name=service)
        if day < 7:
            usage("search", at=utc(day), input_uncached=30, output_text=1)
            usage("ads", at=utc(day), input_uncached=10, output_text=2)


@pytest.mark.parametrize(
    ("service", "part", "moved"),
    [("Gateway", BY_DAY, {6, 7}), ("Office", BY_MONTH, {5, 6, 7}), ("Pool", BY_DAY, {6, 7})],
)
def test_splits_by_calls_move_where_their_calls_do(
    service: str, part: int, moved: set[int]
) -> None:
    """The seventh has no calls of its own, and goes by the month's."""
    measured_month(service)
    before = allocate().runs[0]
    changes_hands(6)

    assert rerun_after_a_change(before).moved(part) == moved


def test_first_calls_of_a_day_weigh_it_by_themselves() -> None:
    measured_month("Gateway")
    before = allocate().runs[0]
    usage("ops", at=utc(7), input_uncached=1, output_text=1)

    assert rerun_after_a_change(before).moved() == {7}


# ---------------------------------------------------------------- the rollup of usage


def test_the_usage_of_a_day_without_charges_is_that_of_the_run() -> None:
    traced_month()
    before = allocate().runs[0]
    usage("ads", at=utc(20), input_uncached=1, output_text=5)

    found = rerun_after_a_change(before)

    assert found.moved() == set()
    assert {place.day.day for place in found.now if place.part < 0} == {5, 6, 7, 20}


def test_models_and_environments_are_part_of_a_days_usage() -> None:
    traced_month()
    before = allocate().runs[0]
    UsageDimension.objects.filter(team="ads").update(environment="prod", phase="build")

    assert rerun_after_a_change(before).moved(-1) == {5, 6, 7}


# ---------------------------------------------------------------- sampling


def test_sampled_usage_has_slices_of_its_own_and_leaves_former_ones_alone() -> None:
    traced_month()
    first = allocate().runs[0]
    before, places = rows_of(first.run), slices_of(first.run)
    usage("ads", at=utc(6, 15), input_uncached=900, variance_input="40000")

    sampled = rerun()
    assert rows_of(first.run) == before
    late_bill("5", 6)
    after = rerun()

    of_usage = [{pk for place, pk in run.now.items() if place.part < 0} for run in (sampled, after)]
    assert not of_usage[0] & of_usage[1]
    assert not of_usage[0] & set(places.values())


def test_usage_that_is_sampled_no_more_shares_its_slices_again() -> None:
    traced_month()
    usage("ads", at=utc(6, 15), input_uncached=900, variance_input="40000")
    before = allocate().runs[0]
    UsageHourly.objects.update(variance_input=0)

    found = rerun_after_a_change(before)
    late_bill("5", 6)
    after = rerun()

    assert found.moved(-1) == {5, 6, 7}
    assert after.moved(-1) == set()


def test_the_error_of_a_sampled_day_moves_with_the_cost_of_another(read: Read) -> None:
    """Taxes carry errors along, by the ratio of the month."""
    traced_month()
    usage("ads", at=utc(6, 15), input_uncached=900, variance_input="40000")
    allocate()
    late_bill("5", 7)

    rerun()


def test_how_traces_cluster_is_known_from_spans_and_moves_the_weights_of_calls() -> None:
    """Spans that came from a few traces; the rollup is as it was."""
    traced_month()
    hours_of(6).filter(hour=utc(6, 10)).update(variance_input="4000")
    before = allocate().runs[0]
    team = hours_of(6).get(hour=utc(6, 10)).dimension_id
    for number in range(2):
        Span.objects.create(
            span_day=SIXTH,
            trace_id="00000000-0000-0000-0000-000000000001",
            span_id=number,
            dimension_id=team,
            started_at=utc(6, 10),
            received_at=utc(6, 10),
            duration_us=1,
            name="chat",
            counted=True,
            adjusted_count=Decimal(2),
            input_uncached=35,
        )

    assert rerun_after_a_change(before).moved(BY_DAY) == {6}


def test_weights_are_rounded_to_the_places_of_their_month() -> None:
    """A correction for sampling has fractions as soon as some count of the month has one."""
    traced_month()
    hours_of(6).filter(hour=utc(6, 10)).update(variance_input="333")
    before = allocate().runs[0]
    usage("ads", at=utc(7, 15), input_uncached="0.5")

    found = rerun_after_a_change(before)

    assert found.moved(BY_DAY) == {5, 6, 7}


# ---------------------------------------------------------------- rules that go by the month


BY_THE_MONTH = """
rules:
  - {name: reported, when: {SubAccountId: proj-1}, method: provider_usage, weights: month}
  - {name: calls, when: {SubAccountId: proj-2}, method: traced_usage, weights: month}
  - {name: requests, when: {ServiceName: Platform}, method: proportional, by: requests,
     weights: month}
  - {name: of each day, when: {ServiceName: Gateway}, method: proportional, by: tokens}
  - {name: others, when: {SubAccountId: proj-3}, method: traced_usage}
  - {name: by cost, when: {ServiceName: Office}, method: proportional, by: cost}
"""


def month_by_the_month() -> None:
    put_in_force(BY_THE_MONTH)
    reported_month()
    bill = Bill("Cloud")
    for day in (5, 6, 7):
        for service in ("Platform", "Gateway", "Office"):
            bill.charge("7", at=utc(day, 9), provider_name="AWS", service_name=service)
        for project in ("proj-2", "proj-3"):
            team = "ads" if day == 5 else "search"
            usage(team, at=utc(day, 10), project=project, input_uncached=95)
            bill.charge("10", at=utc(day, 10), **TOKENS, **{**INPUT, "sub_account_id": project})


def calls_come() -> None:
    usage("ads", at=utc(6, 15), project="proj-2", input_uncached=900)


def a_report_comes() -> None:
    owned("key-2", "ads")
    reported(6, 50, key="key-2")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (calls_come, {BY_DAY: {6}, BY_MONTH: {5, 6, 7}}),
        (a_report_comes, {BY_REPORTS: {5, 6, 7}}),
        (lambda: late_bill("5", 6, sub_account_id="proj-3"), {BY_DAY: {6}}),
        (lambda: late_bill("5", 6, sub_account_id="proj-2"), {BY_MONTH: {5, 6, 7}}),
        (lambda: late_bill("5", 6), {BY_REPORTS: {5, 6, 7}}),
    ],
    ids=["calls", "report", "bill", "bill by the month", "bill by reports"],
)
def test_what_goes_by_the_month_moves_on_all_days_and_nothing_else_does(
    change: Callable[[], None], parts: dict[int, set[int]]
) -> None:
    month_by_the_month()
    before = allocate().runs[0]
    change()

    found = rerun_after_a_change(before)

    for part in (BY_DAY, BY_MONTH, BY_REPORTS):
        assert found.moved(part) == parts.get(part, set()), part
    assert found.moved(BY_REPORTS + 1) == {5, 6, 7}  # by cost, of which there is another amount


def test_a_late_bill_of_several_days_moves_each_of_them() -> None:
    month_by_the_month()
    before = allocate().runs[0]
    Bill("OpenAI", delivery="append").charge(
        "2", at=utc(6, 12), until=utc(7, 12), quantity="3", consumed_unit="Tokens", **INPUT
    )

    found = rerun_after_a_change(before)

    assert found.moved(BY_DAY) == found.moved(BY_MONTH) == set()
    assert found.moved(BY_REPORTS) == {5, 6, 7}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(billed_cost) FROM allocated_cost WHERE run_id = %s", [found.run.run]
        )
        assert cursor.fetchone() == (Decimal(10 * 9 + 7 * 9 + 2),)
