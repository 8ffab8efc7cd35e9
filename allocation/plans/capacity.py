"""Reserved throughput: a capacity that is paid whether used or not, split by how much of it each
caller took. Pure.

Providers count capacity in units (PTU, GSU, model units) of which an output token takes more than
an input token. What callers did not take is idle and stays with who reserved it; where nobody says
how much a unit can serve, nothing is known to be idle and the callers carry it all. Calls that
spilled over are on-demand lines of their own.
"""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Any

from allocation.plans.plan import Part, Plan
from allocation.plans.traced import TracedLine
from allocation.rules.capacity import PLACES, Capacity
from allocation.usage.index import UsageIndex

WEIGHTED, ANY_TIER, OVER_CAPACITY, UNUSED = (
    "weighted tokens",
    "any tier",
    "over capacity",
    "unused capacity",
)


def capacity_plan(
    line: TracedLine, capacity: Capacity, day: date, index: UsageIndex, *, units: Fraction | None
) -> Plan:
    """The plan of one day on which `units` were billed; None where the bill does not say.

    Usage that says it was served by reserved capacity counts; where none does, all of the model's,
    and it is said.
    """
    places = index.token_places + PLACES
    can_serve = None
    if capacity.tokens_per_unit is not None and units is not None:
        can_serve = int(units * capacity.tokens_per_unit * 10**places)
    for key, widened in ((line.key, None), (line.key._replace(is_reserved=False), ANY_TIER)):
        days = index.of_capacity(key)
        if not days:
            continue
        entries = _taken(index, capacity, days.get(day, []), line.nobody)
        if not entries and can_serve is None:
            entries = _taken(index, capacity, index.month_of_capacity(key), line.nobody)
            widened = f"{widened}, month" if widened else "month"
        taken = sum(weight for _, weight, _ in entries)
        idle = max((can_serve or 0) - taken, 0)
        if not taken and not idle:
            continue
        parts = [Part(taken, "shared", entries)] if taken else []
        if idle:
            parts.append(_unused(line, idle))
        over = can_serve is not None and taken > can_serve
        return Plan(
            parts=tuple(parts),
            driver=WEIGHTED,
            driver_total=taken + idle,
            places=places,
            widened=widened,
            note=OVER_CAPACITY if over else UNUSED if idle else None,
        )
    return Plan(parts=(_unused(line, 1),), note="no traces")


def _taken(
    index: UsageIndex, capacity: Capacity, rows: Any, nobody: int
) -> tuple[tuple[int, int, int], ...]:
    """(target, weight, rung) in canonical order; weights are whole numbers of the index's places
    and six more.
    """
    weights: dict[int, int] = {}
    rungs: dict[int, int] = {}
    for row in rows:
        weight = sum(
            [tokens * each for tokens, each in zip(row.tokens, capacity.weights, strict=True)]
        )
        if weight > 0:
            weights[row.target] = weights.get(row.target, 0) + weight
            rungs[row.target] = max(rungs.get(row.target, 0), row.rung)
    return tuple(
        (target, weights[target], rungs[target])
        for target in sorted(weights, key=index.order.__getitem__)
    )


def _unused(line: TracedLine, weight: int) -> Part:
    if line.owner is not None:
        return Part(weight, "idle", ((line.owner, 1, line.owner_rung),))
    return Part(weight, "unallocated", ((line.nobody, 1, 6),))
