"""Driver data that changes between two runs: reports, owners of keys, GPU usage, series."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from allocation.models import DriverPoint, GpuUsage, IdentityOwner, ProviderUsage, UsageDaily
from allocation.values.names import BY_DAY
from tests.allocation.bills import OCTOBER, Bill, allocate, put_in_force, usage, utc
from tests.allocation.reruns import (
    INPUT,
    TOKENS,
    late_bill,
    owned,
    reported,
    reported_month,
    rerun,
    rerun_after_a_change,
    same_as_whole,
    traced_month,
)

pytestmark = pytest.mark.django_db

Planned = list[tuple[int, int]]


# ---------------------------------------------------------------- reports


def test_a_report_of_one_day_moves_that_day(planned: Planned) -> None:
    reported_month()
    owned("key-2", "ads")
    allocate()
    reported(6, 50, key="key-2")
    planned.clear()

    after = allocate().runs[0]

    assert planned == [(BY_DAY, 6)]
    assert same_as_whole(after)


@pytest.mark.parametrize(
    "change",
    [
        {"input_uncached": 70},
        {"api_key": "key-2"},
        {"project": "proj-2"},
        {"model": "o1"},
        {"provider": "anthropic"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_a_report_says_of_a_day_moves_it(change: dict[str, Any]) -> None:
    """Of two keys, so that each counts for something."""
    reported_month()
    owned("key-2", "ads")
    for day in (5, 6, 7):
        reported(day, 100, key="key-3")
    owned("key-3", "ads")
    before = allocate().runs[0]
    ProviderUsage.objects.filter(day=utc(6).date(), api_key="key-1").update(**change)

    assert rerun_after_a_change(before).moved() == {6}


def test_reported_batch_jobs_are_those_of_batch_lines() -> None:
    reported_month()
    owned("key-2", "ads")
    for day in (5, 6, 7):
        reported(day, 100, key="key-2")
    late_bill("5", 5, charge_description="gpt-4o-2024-08-06, batch input")
    before = allocate().runs[0]
    ProviderUsage.objects.filter(day=utc(6).date(), api_key="key-1").update(is_batch=True)

    assert rerun_after_a_change(before).moved() == {5, 6}  # of the fifth's jobs, by the month


@pytest.mark.parametrize("kind", ["user", "workspace", "project"])
def test_an_identity_that_has_an_owner_now_moves_the_days_from_its_first(kind: str) -> None:
    reported_month()
    ProviderUsage.objects.update(api_key=None, user="who", workspace="where")
    before = allocate().runs[0]
    value = {"user": "who", "workspace": "where", "project": "proj-1"}[kind]
    IdentityOwner.objects.create(
        provider="openai", kind=kind, value=value, team="ads", valid_from=date(2026, 10, 6)
    )

    assert rerun_after_a_change(before).moved() == {6, 7}


def test_a_key_that_changes_hands_moves_the_days_of_its_new_owner() -> None:
    reported_month()
    before = allocate().runs[0]
    IdentityOwner.objects.create(
        provider="openai",
        kind="api_key",
        value="key-1",
        team="ads",
        feature="banner",
        valid_from=date(2026, 10, 7),
    )

    assert rerun_after_a_change(before).moved() == {7}


def test_a_report_that_went_away_leaves_its_day_to_the_months() -> None:
    reported_month()
    before = allocate().runs[0]
    ProviderUsage.objects.filter(day=utc(6).date()).delete()

    assert rerun_after_a_change(before).moved() == {6}


def test_a_late_day_without_a_report_goes_by_the_months_reports() -> None:
    reported_month((5, 6))
    before = allocate().runs[0]
    late_bill("5", 7)

    assert rerun_after_a_change(before).moved() == {7}


def test_a_day_that_goes_by_the_months_reports_moves_with_any_of_them() -> None:
    reported_month((5, 6))
    owned("key-2", "ads")
    before = allocate().runs[0]
    ProviderUsage.objects.filter(day=utc(5).date()).update(api_key="key-2")

    assert rerun_after_a_change(before).moved() == {5, 7}


def test_fractions_in_the_report_of_one_day_are_written_with_their_places_on_all() -> None:
    reported_month()
    before = allocate().runs[0]
    ProviderUsage.objects.filter(day=utc(6).date()).update(input_uncached=Decimal("99.5"))

    rerun_after_a_change(before)


def test_reports_that_come_again_as_they_were_change_nothing() -> None:
    reported_month()
    first = allocate().runs[0]
    ProviderUsage.objects.all().delete()
    for day in (7, 6, 5):
        reported(day, 100)

    assert allocate().runs[0].run == first.run


# ---------------------------------------------------------------- keys of a gateway


def test_whose_a_gateways_key_is_moves_all_that_is_told_of_it() -> None:
    owned("key-1", "search", provider="gateway")
    bill = Bill("OpenAI")
    for day in (5, 6):
        bill.charge("10", at=utc(day), **TOKENS, **INPUT)
        usage(None, at=utc(day), input_uncached=100, about={"caller": "key-1"})
    before = allocate().runs[0]
    IdentityOwner.objects.create(
        provider="gateway",
        kind="api_key",
        value="key-1",
        team="ads",
        valid_from=date(2026, 10, 6),
    )

    found = rerun_after_a_change(before)

    assert found.moved(BY_DAY) == {6}
    teams = UsageDaily.objects.filter(run_id=found.run.run).order_by("day")
    assert list(teams.values_list("team", flat=True)) == ["search", "ads"]


def test_owners_of_keys_that_nobody_uses_change_nothing(planned: Planned) -> None:
    traced_month()
    first = allocate().runs[0]
    planned.clear()
    owned("another", "ads", provider="gateway")

    assert (allocate().runs[0].run, planned) == (first.run, [])


# ---------------------------------------------------------------- GPU usage


GPU: dict[str, Any] = {
    "provider_name": "AWS",
    "service_name": "Compute",
    "resource_type": "p5.48xlarge",
}
NODES = """
rules:
  - {name: gpus, when: {ServiceName: Compute}, method: gpu_usage, owner: {team: platform}}
  - {name: storage, when: {ServiceName: Storage}, method: proportional, by: gpu_seconds}
  - {name: fees, method: direct, target: {team: ops}}
"""


def booked(day: int, node: str, seconds: str, team: str | None = "search", **columns: Any) -> None:
    GpuUsage.objects.create(
        hour=utc(day, 10),
        cluster="train",
        node=node,
        workload=f"job of {team}" if team else None,
        team=team,
        booked_seconds=seconds,
        **columns,
    )


def gpu_month(service: str = "Compute") -> None:
    put_in_force(NODES)
    bill = Bill("AWS")
    for day in (5, 6):
        bill.charge("10", at=utc(day), resource_name="node-1", **{**GPU, "service_name": service})
        booked(day, "node-1", "60")
        booked(day, "node-1", "0", None, capacity_seconds="100")


def more_is_booked() -> None:
    booked(6, "node-1", "20", "ads")


def capacity_grows() -> None:
    GpuUsage.objects.filter(hour=utc(6, 10), team=None).update(capacity_seconds="200")


def another_feature_booked_it() -> None:
    GpuUsage.objects.filter(hour=utc(6, 10), team="search").update(feature="index")


def it_ran_for_another_phase() -> None:
    GpuUsage.objects.filter(hour=utc(6, 10), team="search").update(phase="build")


@pytest.mark.parametrize(
    "change",
    [more_is_booked, capacity_grows, another_feature_booked_it, it_ran_for_another_phase],
)
def test_whatever_is_told_of_a_node_moves_its_day(change: Callable[[], None]) -> None:
    gpu_month()
    before = allocate().runs[0]
    change()

    assert rerun_after_a_change(before).moved() == {6}


def test_gpu_seconds_weigh_what_is_shared_by_them() -> None:
    gpu_month("Storage")
    before = allocate().runs[0]
    more_is_booked()

    assert rerun_after_a_change(before).moved() == {6}


def test_gpu_usage_says_nothing_about_what_does_not_go_by_it(planned: Planned) -> None:
    gpu_month()
    Bill("Azure").charge("3", at=utc(5), provider_name="Azure", service_name="Fees")
    allocate()
    more_is_booked()

    found = rerun()

    assert found.moved() == {6}


def test_a_late_bill_of_another_node_leaves_how_days_are_written_alone() -> None:
    """Whose usage is told in fractions of a second."""
    gpu_month()
    booked(5, "node-2", "0.125")
    before = allocate().runs[0]
    Bill("AWS", delivery="append").charge("1", at=utc(6, 12), resource_name="node-2", **GPU)

    assert rerun_after_a_change(before).moved() == {6}


def test_the_first_bill_of_a_node_looks_at_gpu_usage(planned: Planned) -> None:
    traced_month()
    put_in_force("rules: [{name: gpus, when: {ServiceName: Compute}, method: gpu_usage}]")
    booked(5, "node-1", "60")
    before = allocate().runs[0]
    Bill("AWS").charge("10", at=utc(5), resource_name="node-1", **GPU)

    assert rerun_after_a_change(before).moved(BY_DAY) == {5}


# ---------------------------------------------------------------- series


SERIES = """
rules:
  - {name: licences, when: {ServiceName: Office}, method: proportional, by: seats}
  - {name: desk, when: {ServiceName: Desk}, method: proportional, by: series, series: tickets}
  - {name: fees, method: direct, target: {team: ops}}
"""


def point(series: str, quantity: str, team: str = "search", day: int | None = None) -> None:
    DriverPoint.objects.create(
        series=series,
        month=OCTOBER.start,
        day=utc(day).date() if day else None,
        team=team,
        quantity=Decimal(quantity),
    )


def series_month(service: str) -> None:
    put_in_force(SERIES)
    bill = Bill("Office")
    for day in (5, 6):
        bill.charge("10", at=utc(day), provider_name="Office", service_name=service)
        point("tickets", "3", "search", day)
        point("tickets", "2", "ads", day)
    for team in ("search", "ads"):
        point("seats", "10", team)


@pytest.mark.parametrize("change", [{"quantity": Decimal(7)}, {"team": "data"}])
def test_seats_move_every_day(change: dict[str, Any]) -> None:
    series_month("Office")
    before = allocate().runs[0]
    DriverPoint.objects.filter(series="seats", team="ads").update(**change)

    assert rerun_after_a_change(before).moved() == {5, 6}


@pytest.mark.parametrize(
    "change", [{"quantity": Decimal(7)}, {"team": "data"}, {"feature": "x"}, {"day": None}]
)
def test_a_days_point_of_a_series_moves_the_day(change: dict[str, Any]) -> None:
    series_month("Desk")
    before = allocate().runs[0]
    DriverPoint.objects.filter(series="tickets", team="ads", day=utc(6).date()).update(**change)

    assert rerun_after_a_change(before).moved() == {6}


def test_a_series_that_nothing_goes_by_changes_nothing(planned: Planned) -> None:
    series_month("Desk")
    first = allocate().runs[0]
    planned.clear()
    DriverPoint.objects.filter(series="seats").update(quantity=1)

    assert (allocate().runs[0].run, planned) == (first.run, [])


def test_a_series_through_a_pool_is_looked_at() -> None:
    put_in_force(
        """
        rules: [{name: desk, method: direct, target: {pool: people}}]
        pools: [{name: people, method: proportional, by: seats}]
        """
    )
    Bill("Office").charge("10", at=utc(5), provider_name="Office", service_name="Desk")
    point("seats", "1")
    before = allocate().runs[0]
    point("seats", "2", "ads")

    assert rerun_after_a_change(before).moved() == {5}
