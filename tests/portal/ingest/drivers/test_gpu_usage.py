"""GPU usage: hours of clusters are replaced, nodes and workloads told apart."""

from __future__ import annotations

import pytest

from allocation.models import (
    GpuUsage,
)
from portal.ingest.drivers.gpu_usage import GPU_USAGE
from tests.portal.ingest.drivers.files import (
    GPU_HEADER,
    OCTOBER,
    bad,
    send,
)

pytestmark = pytest.mark.django_db


def test_gpu_usage_replaces_the_hours_of_the_clusters_it_has() -> None:
    first = (
        GPU_HEADER
        + "2026-10-14T09:00:00Z,west,n1,,,H100,,28800,,\n"
        + "2026-10-14T09:00:00Z,west,n1,train,r1,H100,search,,36000,36000\n"
        + "2026-10-14T10:00:00Z,west,n1,,,H100,,28800,,\n"
        + "2026-10-14T09:00:00Z,east,n1,,,A100,,3600,,\n"
    )
    assert send(GPU_USAGE, first).status == "loaded"

    outcome = send(GPU_USAGE, GPU_HEADER + "2026-10-14T09:00:00Z,west,n2,,,H100,,3600,,\n")

    left = GpuUsage.objects.order_by("cluster", "hour").values_list(
        "cluster", "node", "hour__hour", "workload"
    )
    assert list(left) == [
        ("east", "n1", 9, None),
        ("west", "n2", 9, None),
        ("west", "n1", 10, None),
    ]
    (change,) = outcome.changes
    assert (str(change.scope), change.removed, change.added) == ("west, 2026-10-14", 2, 1)
    assert (change.quantity_before, change.quantity_after) == (
        36000,
        0,
    )  # booked beyond capacity is legal
    assert change.months == (OCTOBER, OCTOBER)


def test_a_row_is_a_node_with_capacity_or_a_workload_with_use() -> None:
    outcome = send(
        GPU_USAGE,
        GPU_HEADER
        + "2026-10-14T09:30:00Z,west,n1,,,H100,,28800,,\n"
        + "2026-10-14T09:00:00+02:00,west,n1,,,H100,,28800,,\n"
        + "2026-10-14T09:00:00Z,west,n1,,,H100,,,,\n"
        + "2026-10-14T09:00:00Z,west,n1,,,H100,,28800,5,\n"
        + "2026-10-14T09:00:00Z,west,n1,train,,H100,,28800,5,\n"
        + "2026-10-14T09:00:00Z,west,n1,train,,H100,,,,5\n"
        + "2026-10-14T09:00:00Z,west,n2,train,,H100,,,-5,\n",
    )

    assert [(line, column) for line, column, _, _ in bad(outcome)] == [
        (2, "hour"),
        (3, "hour"),
        (4, "capacity_seconds"),
        (5, "booked_seconds"),
        (6, "capacity_seconds"),
        (7, "booked_seconds"),
        (8, "booked_seconds"),
    ]
    assert not GpuUsage.objects.exists()
