"""GPU-seconds per hour, node and workload, as a cluster's exporter or scheduler knows them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db import models

from allocation.models import GpuUsage, ImportKind
from portal.ingest.drivers.kinds import Asked, DeliveredRow, DriverKind, Scope, months_of
from portal.ingest.drivers.table import (
    FileColumn,
    FileLine,
    Problems,
    hour,
    name_text,
    one_of,
    quantity,
    read_table,
)

USED = ("booked_seconds", "requested_seconds", "active_seconds")
COLUMNS = (
    FileColumn("hour", hour, needed=True, optional=False),
    FileColumn("cluster", name_text, needed=True, optional=False),
    FileColumn("node", name_text, needed=True, optional=False),
    FileColumn("workload", name_text, optional=False),
    FileColumn("run", name_text),
    FileColumn("gpu_model", name_text),
    FileColumn("team", name_text),
    FileColumn("feature", name_text),
    FileColumn("environment", name_text),
    FileColumn("phase", one_of("build", "run", "move")),
    FileColumn("capacity_seconds", quantity, optional=False),
    FileColumn("booked_seconds", quantity, optional=False),
    FileColumn("requested_seconds", quantity),
    FileColumn("active_seconds", quantity),
)


def read(content: bytes, asked: Asked, problems: Problems) -> list[DeliveredRow]:
    rows = []
    for line in read_table(content, COLUMNS, problems):
        before = len(problems.found)
        check_sides(line, problems)
        if len(problems.found) == before:
            told = dict(line.values)
            told["booked_seconds"] = told["booked_seconds"] or Decimal(0)
            told["requested_seconds"] = told["requested_seconds"] or Decimal(0)
            rows.append(DeliveredRow(line.number, GpuUsage(**told)))
    return rows


def check_sides(line: FileLine, problems: Problems) -> None:
    """A node has capacity, a workload has use; a row that has both would count one of them twice.

    More booked than there is capacity is legal and kept.
    """
    told = line.values
    if told["workload"] is None:
        if told["capacity_seconds"] is None:
            problems.add(
                line.number,
                "capacity_seconds",
                None,
                "missing: a row without a workload is a whole node's",
            )
        for name in USED:
            if told[name]:
                problems.add(line.number, name, told[name], "belongs on the row of a workload")
    else:
        if told["capacity_seconds"]:
            problems.add(
                line.number,
                "capacity_seconds",
                told["capacity_seconds"],
                "belongs on the row of the node",
            )
        if told["booked_seconds"] is None:
            problems.add(
                line.number, "booked_seconds", None, "missing: write 0 where nothing was booked"
            )


def stored(rows: Sequence[Any]) -> models.QuerySet[GpuUsage]:
    hours = [row.hour for row in rows]
    return GpuUsage.objects.filter(
        cluster__in={row.cluster for row in rows}, hour__gte=min(hours), hour__lte=max(hours)
    )


def scope(row: Any) -> Scope:
    return Scope(row.cluster, row.hour.isoformat(), f"{row.hour:%Y-%m-%d}")


GPU_USAGE = DriverKind(
    name=ImportKind.GPU_USAGE.value,
    label="GPU usage",
    help="CSV of GPU-seconds per hour, node and workload. Replaces the hours it has, by cluster.",
    model=GpuUsage,
    read=read,
    key=("hour", "cluster", "node", "workload", "run"),
    compared=(
        "gpu_model",
        "team",
        "feature",
        "environment",
        "phase",
        "capacity_seconds",
        "booked_seconds",
        "requested_seconds",
        "active_seconds",
    ),
    scope=scope,
    stored=stored,
    months=lambda rows: months_of(row.hour.date() for row in rows),
    measure=lambda row: row.booked_seconds,
    unit="GPU-hours booked",
    position=2,
)
