"""What changed since a run, and which days it touches."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial

import pytest
from django.utils import timezone

from allocation.models import (
    AllocationRun,
    ChargeScope,
    DriverPoint,
    GpuUsage,
    IdentityOwner,
    Import,
    ProviderUsage,
    Team,
)
from allocation.runs.changes import StaleReason, changes_since
from tests.allocation.bills import AWS, OPENAI, Bill, allocate, put_in_force, usage, utc

pytestmark = pytest.mark.django_db
TAGGED = "rules: [{name: tagged, method: direct, target: {team: {tag: team}}}]"


def changes() -> list[StaleReason]:
    return changes_since(AllocationRun.objects.get(is_current=True))


def test_nothing_changed_is_nothing_stale() -> None:
    Bill().charge("1", **AWS)
    allocate()

    assert changes() == []


def test_a_late_import_touches_its_own_charge_days() -> None:
    Bill().charge("1", **AWS)
    allocate()
    late = Bill(name="late")
    late.charge("1", at=utc(14), **AWS)
    late.charge("1", at=utc(15), **AWS)

    (change,) = changes()

    assert change.cause == f"import {late.scope.bill_import_id} of late was loaded"
    assert change.days == (date(2026, 10, 14), date(2026, 10, 15))
    allocate()
    assert changes() == []


def test_a_withdrawn_bill_a_new_rule_set_and_a_new_team_are_named() -> None:
    Bill().charge("1", **AWS)
    gone = Bill(name="gone")
    gone.charge("2", at=utc(9), **AWS)
    allocate()
    ChargeScope.objects.filter(pk=gone.scope.pk).update(state="superseded")
    made = put_in_force(TAGGED)
    Team.objects.create(slug="new", name="New")

    found = changes()

    assert found[0] == StaleReason(
        f"import {gone.scope.bill_import_id} of gone was replaced or withdrawn",
        (date(2026, 10, 9),),
    )
    assert [change.cause for change in found[1:]] == [
        f"rule set {made.number} is in force",
        "the organisation changed",
    ]
    assert all(change.days is None for change in found[1:])


# ---------------------------------------------------------------- driver data

BY_DRIVERS = """
rules:
- {name: gpus, method: proportional, by: gpu_seconds, when: {ServiceName: Amazon EC2}}
- {name: seats, method: proportional, by: seats, when: {ServiceName: Office}}
- {name: models, method: traced_usage}
"""


def driver_data() -> None:
    """A gateway's key, a reported key, GPU-seconds and seats, each with a bill split by it."""
    usage(None, input_uncached=10, at=utc(5), about={"observer": "gateway", "caller": "vk-1"})
    ProviderUsage.objects.create(
        day=date(2026, 10, 5),
        provider="openai",
        project="proj-1",
        model="gpt-4o",
        api_key="key-1",
        input_uncached=5,
        requests=1,
        is_batch=False,
    )
    GpuUsage.objects.create(
        hour=utc(5), cluster="c", node="n", workload="w", team="ads", booked_seconds=60
    )
    DriverPoint.objects.create(series="seats", month=date(2026, 10, 1), team="ads", quantity=3)
    own("gateway", "vk-1", "ads")
    own("openai", "key-1", "ads")
    cloud = Bill("aws")
    cloud.charge("4", **AWS)
    cloud.charge("2", **(AWS | {"service_name": "Office"}))
    Bill().charge("10", quantity="10", sku_meter="gpt-4o, input", **OPENAI)
    put_in_force(BY_DRIVERS)


def own(provider: str, key: str, team: str, since: date = date(2026, 1, 1)) -> None:
    IdentityOwner.objects.create(
        provider=provider, kind="api_key", value=key, team=team, valid_from=since
    )


def told(*, first: str = "2026-10", last: str | None = "2026-10") -> None:
    """As a delivery leaves it that changed something of these months."""
    change = {"subject": "x", "first_month": first, "last_month": last}
    Import.objects.create(
        kind="series",
        status="loaded",
        file_name="x.csv",
        changes=[change],
        finished_at=timezone.now(),
    )


def only_causes() -> list[str]:
    return [change.cause for change in changes()]


def test_driver_data_that_a_run_did_not_see_makes_it_stale() -> None:
    driver_data()
    allocate()
    told()
    assert only_causes() == []  # delivered again, as the run saw it

    def is_stale(change: Callable[[], object], undo: Callable[[], object]) -> bool:
        change()
        found = only_causes()
        undo()
        assert only_causes() == []
        return found == ["usage data changed"]

    point, gpu, reported = (
        DriverPoint.objects.get(),
        GpuUsage.objects.get(),
        ProviderUsage.objects.get(),
    )
    for row, name, other in (
        (point, "quantity", 4),
        (gpu, "booked_seconds", 61),
        (reported, "input_uncached", 6),
    ):
        before = getattr(row, name)
        rows = type(row).objects.filter(pk=row.pk)
        assert is_stale(
            partial(rows.update, **{name: other}), partial(rows.update, **{name: before})
        ), name
    for key in ("vk-1", "key-1"):
        keys = IdentityOwner.objects.filter(value=key)
        assert is_stale(lambda: keys.update(team="web"), lambda: keys.update(team="ads")), key  # noqa: B023


def test_driver_data_that_a_run_does_not_look_at_leaves_it_alone() -> None:
    driver_data()
    allocate()
    told(last=None)

    own("gateway", "vk-2", "web")  # a key that nobody calls with
    own("gateway", "vk-1", "web", date(2026, 12, 1))  # of days after the month's
    DriverPoint.objects.create(series="desks", month=date(2026, 10, 1), team="web", quantity=9)
    DriverPoint.objects.create(series="seats", month=date(2026, 9, 1), team="web", quantity=9)
    GpuUsage.objects.create(
        hour=utc(5, month=8), cluster="c", node="n", workload="w", team="web", booked_seconds=60
    )

    assert only_causes() == []
    assert [run.reused for run in allocate().runs] == [True]


def test_a_month_is_read_again_only_where_something_was_delivered() -> None:
    driver_data()
    allocate()
    DriverPoint.objects.update(quantity=4)  # no delivery tells of it
    told(first="2026-08", last="2026-09")

    assert only_causes() == []
    told()
    assert only_causes() == ["usage data changed"]
