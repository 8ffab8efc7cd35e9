"""Reserved throughput: a capacity that is paid whether used or not, split by how much of it each
caller took. Pure.

Providers count capacity in units (PTU, GSU, model units) of which an output token takes more than
an input token. What callers did not take is idle and stays with who reserved it; where nobody says
how much a unit can serve, nothing is known to be idle and the callers carry it all. Calls that
spilled over are on-demand lines of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from allocation.organisation.targets import NAMED
from allocation.plans.plan import Part, Plan
from allocation.plans.traced import NO_TRACES, TracedLine
from allocation.rules.methods import PLACES, Capacity
from allocation.usage.facts import UsageFacts
from allocation.usage.index import Usage, UsageIndex
from allocation.usage.keys import Key
from allocation.usage.measures import GpuIndex
from allocation.values.names import IDLE, NO_GPU_USAGE

WEIGHTED, ANY_TIER, OVER_CAPACITY, UNUSED = (
    "weighted tokens",
    "any tier",
    "over capacity",
    "unused capacity",
)


class CapacityJoin(NamedTuple):
    """Whose calls took the capacity. `key` None: nobody's.

    `serves` are the weighted tokens that the billed units can serve, None where nobody says.
    """

    key: Key | None
    day: date | None = None  # None: the month
    widened: str | None = None
    serves: int | None = None


def capacity_join(
    line: TracedLine, capacity: Capacity, day: date, facts: UsageFacts, *, units: Fraction | None
) -> CapacityJoin:
    """The join of one day on which `units` were billed; None where the bill does not say.

    Usage that says it was served by reserved capacity counts; where none does, all of the model's.
    """
    serves = None
    if capacity.tokens_per_unit is not None and units is not None:
        serves = int(units * capacity.tokens_per_unit * 10 ** (facts.places + PLACES))
    any_tier = line.key._replace(is_reserved=False)
    for key, widened in ((line.key, None), (any_tier, ANY_TIER)):
        if not facts.of_capacity(key):
            continue
        taken = weight_of(capacity, facts.capacity_on(key, day).tokens)
        if taken or (serves is not None and serves > 0):
            return CapacityJoin(key, day, widened, serves)
        if serves is None and weight_of(capacity, facts.capacity_on(key, None).tokens):
            return CapacityJoin(key, None, f"{widened}, month" if widened else "month")
    return CapacityJoin(None)


def weight_of(capacity: Capacity, tokens: Iterable[int]) -> int:
    """How much of the capacity these tokens take."""
    return sum([count * each for count, each in zip(tokens, capacity.weights, strict=True)])


def capacity_plan(
    line: TracedLine, capacity: Capacity, join: CapacityJoin, index: UsageIndex
) -> Plan:
    if join.key is None:
        return Plan(parts=(_unused(line, 1),), note=NO_TRACES)
    keys = index.facts.keys_of_capacity(join.key)
    entries = _taken(capacity, index.rows(keys, join.day), index)
    taken = sum(weight for _, weight, _ in entries)
    idle = max((join.serves or 0) - taken, 0)
    parts = [Part(taken, "shared", entries)] if taken else []
    if idle:
        parts.append(_unused(line, idle))
    is_over = join.serves is not None and taken > join.serves
    return Plan(
        parts=tuple(parts),
        driver=WEIGHTED,
        driver_total=taken + idle,
        places=index.facts.places + PLACES,
        widened=join.widened,
        note=OVER_CAPACITY if is_over else UNUSED if idle else None,
    )


def _taken(
    capacity: Capacity, rows: Iterable[Usage], index: UsageIndex
) -> tuple[tuple[int, int, int], ...]:
    """(target, weight, rung) in canonical order."""
    weights: dict[int, int] = {}
    rungs: dict[int, int] = {}
    for row in rows:
        weight = weight_of(capacity, row.tokens)
        if weight > 0:
            weights[row.target] = weights.get(row.target, 0) + weight
            rungs[row.target] = max(rungs.get(row.target, 0), row.rung)
    targets = sorted(weights, key=index.order.__getitem__)
    return tuple((target, weights[target], rungs[target]) for target in targets)


def _unused(line: TracedLine, weight: int) -> Part:
    """What nobody took stays with who reserved it."""
    if line.owner is not None:
        return Part(weight, "idle", ((line.owner, 1, line.owner_rung),))
    return Part(weight, "unallocated", ((line.nobody, 1, 6),))


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
