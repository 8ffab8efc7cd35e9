"""GPU usage: booked share pays for booked, and capacity that nobody booked is an idle line. The
plan is pure.

What a workload requested but did not keep active stays with it: reports show it as waste, no money
moves for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from django.db import connection

from allocation.organisation.owners import NAMED, Owner
from allocation.plans.plan import Part, Plan
from allocation.values.money import places_of, plain, quanta_of
from allocation.values.reasons import IDLE, NO_GPU_USAGE

BOOKED = "GPU-seconds booked"

GPU_SQL = """
-- One row per day, node and workload owner; a node's own row has no owner and carries the capacity.
SELECT (hour AT TIME ZONE 'UTC')::date AS day, node, workload IS NOT NULL, team, feature,
    environment, phase,
    sum(booked_seconds), sum(capacity_seconds)
FROM allocation_gpuusage
WHERE hour >= %(start)s AND hour < %(end)s
GROUP BY 1, 2, 3, 4, 5, 6, 7
ORDER BY 1, node COLLATE "C", 3, team COLLATE "C", feature COLLATE "C", environment COLLATE "C",
    phase COLLATE "C"
"""


class GpuRow(NamedTuple):
    """One day of one owner's workloads on a node; `owner` None is the node itself, with its
    capacity.
    """

    day: date
    node: str
    owner: Owner | None
    booked: Decimal
    capacity: Decimal | None


def load_gpu(*, start: date, end: date, note: Callable[[str], None]) -> list[GpuRow]:
    """GPU usage of these days; `note` is told every row, for the fingerprint of the inputs."""
    with connection.cursor() as cursor:
        cursor.execute(GPU_SQL, {"start": f"{start} 00:00+00", "end": f"{end} 00:00+00"})
        rows = cursor.fetchall()
    found = []
    for row in rows:
        day, node, is_workload, team, feature, environment, phase, booked, capacity = row
        note(repr((*row[:7], plain(booked), None if capacity is None else plain(capacity))))
        owner = Owner(team, feature, environment=environment, phase=phase) if is_workload else None
        found.append(GpuRow(day, node, owner, booked, capacity))
    return found


class Booking(NamedTuple):
    target: int
    seconds: int


class NodeDay(NamedTuple):
    """What was booked on a node, in whole numbers of the index's places; capacity None where nobody
    reported it.
    """

    bookings: tuple[Booking, ...]
    capacity: int | None


@dataclass
class GpuIndex:
    """Bookings by node and day; the month under None."""

    places: int = 0
    nodes: dict[str, dict[date | None, NodeDay]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, rows: Sequence[GpuRow], *, nodes: Iterable[str], number: Callable[[Owner, date], int]
    ) -> GpuIndex:
        """The index of some nodes; `number` makes the target of an owner on a day."""
        wanted = set(nodes)
        # Places of every row, so that a bill of another node does not change how amounts are
        # written.
        texts = [
            plain(value)
            for row in rows
            for value in (row.booked, row.capacity)
            if value is not None
        ]
        rows = [row for row in rows if row.node in wanted]
        index = cls(places=max(map(places_of, texts), default=0))
        bookings: dict[str, dict[date | None, dict[int, int]]] = {}
        capacity: dict[str, dict[date | None, int]] = {}
        for row in rows:
            for day in (row.day, None):
                booked = bookings.setdefault(row.node, {}).setdefault(day, {})
                if row.owner is not None and row.booked:
                    target = number(row.owner, row.day)
                    booked[target] = booked.get(target, 0) + quanta_of(
                        plain(row.booked), index.places
                    )
                if row.capacity is not None:
                    known = capacity.setdefault(row.node, {})
                    known[day] = known.get(day, 0) + quanta_of(plain(row.capacity), index.places)
        index.nodes = {
            node: {
                day: NodeDay(
                    tuple(Booking(*pair) for pair in booked.items()),
                    capacity.get(node, {}).get(day),
                )
                for day, booked in days.items()
            }
            for node, days in bookings.items()
        }
        return index


@dataclass(frozen=True)
class GpuLine:
    """A bucket under GPU usage. `owner` pays for idle capacity, and for a node without any usage;
    None: nobody.
    """

    node: str | None
    owner: int | None
    owner_rung: int
    idle: int  # target "unallocated: idle capacity"
    nobody: int  # target "unallocated: no GPU usage"


def gpu_plan(line: GpuLine, day: date, index: GpuIndex, rank: Sequence[int]) -> Plan:
    """The plan of one day; the month's bookings where the day has none reported."""
    days = index.nodes.get(line.node or "", {})
    for when, widened in ((day, None), (None, "month")):
        found = days.get(when)
        if found is None:
            continue
        entries = tuple(
            (booking.target, booking.seconds, NAMED)
            for booking in sorted(found.bookings, key=lambda booking: rank[booking.target])
        )
        booked = sum(booking.seconds for booking in found.bookings)
        idle = max((found.capacity or 0) - booked, 0)
        if not booked and not idle:
            continue
        parts = [Part(booked, "shared", entries)] if booked else []
        if idle:
            parts.append(_to_owner(line, idle, "idle", line.idle))
        note = "over-booked" if found.capacity is not None and booked > found.capacity else None
        return Plan(
            parts=tuple(parts),
            driver=BOOKED,
            driver_total=booked + idle,
            places=index.places,
            coverage=None,
            widened=widened,
            note=note or (IDLE if idle else None),
        )
    return Plan(parts=(_to_owner(line, 1, "direct", line.nobody),), note=NO_GPU_USAGE)


def _to_owner(line: GpuLine, weight: int, kind: str, nobody: int) -> Part:
    if line.owner is not None:
        return Part(weight, kind, ((line.owner, weight, line.owner_rung),))
    return Part(weight, "unallocated", ((nobody, weight, 6),))
