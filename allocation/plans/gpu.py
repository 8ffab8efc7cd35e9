"""GPU usage: booked share pays for booked, and capacity that nobody booked is an idle line. The
plan is pure.

What a workload requested but did not keep active stays with it: reports show it as waste, no money
moves for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from allocation.organisation.targets import NAMED
from allocation.plans.plan import Part, Plan
from allocation.usage.measures import GpuIndex
from allocation.values.vocabulary import IDLE, NO_GPU_USAGE

BOOKED = "GPU-seconds booked"


@dataclass(frozen=True)
class GpuLine:
    """A split key under GPU usage. `owner` pays for idle capacity, and for a node without any
    usage; None: nobody.
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
