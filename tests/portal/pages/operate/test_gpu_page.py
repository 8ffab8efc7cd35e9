"""The GPU page: capacity, idle and waste per cluster and day, and what they cost where a run splits
by GPU usage.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from allocation.models import GpuUsage, Team
from portal.accounts.models import Role
from portal.ingest.drivers.delivery import deliver
from portal.ingest.drivers.gpu_usage import GPU_USAGE
from tests.allocation.bills import Bill, allocate, put_in_force, utc
from tests.factories import make_user

pytestmark = pytest.mark.django_db
AWS: dict[str, Any] = {"provider_name": "AWS", "service_name": "EC2"}
RULES = "version: 1\nrules: [{name: nodes, method: gpu_usage, owner: {team: {tag: team}}}]"
COLUMNS = (
    "hour,cluster,node,workload,team,"
    "capacity_seconds,booked_seconds,requested_seconds,active_seconds"
)
USAGE = f"""{COLUMNS}
{{day}}T03:00:00Z,west,node-1,,,7200,,,
{{day}}T03:00:00Z,west,node-1,train,a,,3600,3600,1800
{{day}}T03:00:00Z,west,node-1,serve,b,,1800,900,
{{day}}T03:00:00Z,east,node-2,,,3600,,,
{{day}}T04:00:00Z,east,node-2,job,a,,3600,3600,3600
"""


def page(role: Role = Role.ON_CALL, query: str = "") -> Any:
    client = Client()
    client.force_login(make_user(role))
    return client.get(f"/gpu/?period={utc(5):%Y-%m}{query}")


@pytest.fixture
def usage() -> None:
    outcome = deliver(GPU_USAGE, USAGE.format(day=utc(5).date()).encode(), file_name="gpu.csv")
    assert outcome.status == "loaded", outcome.in_words()


def test_idle_and_waste_are_told_in_gpu_hours_and_unknown_is_not_nothing(usage: None) -> None:
    response = page()

    rows = {row["cluster"].value: row for row in response.context["clusters"].rows}
    west = {name: cell.value for name, cell in rows["west"].items()}
    assert (
        west
        | {
            "capacity": 2,
            "booked": Decimal("1.5"),
            "requested": Decimal("1.25"),
            "active": Decimal("0.5"),
            "unreported": Decimal("0.25"),
            "idle": Decimal("0.5"),
            "waste": Decimal("0.5"),
        }
        == west
    )
    assert (rows["east"]["idle"].value, rows["east"]["waste"].value) == (1, 0)
    assert west["booked_cost"] is None
    assert "No cost: no run of these months" in response.content.decode()
    GpuUsage.objects.filter(workload="train").update(active_seconds=None)
    rows = {row["cluster"].value: row for row in page().context["clusters"].rows}
    assert rows["west"]["waste"].value is None


def test_costs_are_those_of_the_run_and_waste_is_a_part_of_booked(usage: None) -> None:
    Team.objects.bulk_create(Team(slug=slug, name=slug) for slug in ("a", "b", "ops"))
    put_in_force(RULES)
    Bill().charge("72", at=utc(5, 3), resource_name="node-1", tags={"team": "ops"}, **AWS)
    allocate()

    response = page()

    rows = {row["cluster"].value: row for row in response.context["clusters"].rows}
    west = {name: cell.value for name, cell in rows["west"].items()}
    assert (west["booked_cost"], west["idle_cost"], west["waste_cost"]) == (54, 18, 18)
    assert response.context["clusters"].total["booked_cost"].value == 54
    csv = page(query="&download=days").content.decode()
    assert f"{utc(5).date()},west,2,1.5,1.25,0.5,0.25,0.5,0.5,54,18,18" in csv


def test_without_usage_the_page_says_what_it_would_show() -> None:
    assert "What the GPUs did" in page().content.decode()
    assert page(Role.EXECUTIVE).status_code == 404
