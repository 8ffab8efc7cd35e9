"""Reserved throughput: a capacity that is paid whether used or not, split by how much of it each
caller took. Pure.

Providers count capacity in units (PTU, GSU, model units) of which an output token takes more than
an input token. What callers did not take is idle and stays with who reserved it; where nobody says
how much a unit can serve, nothing is known to be idle and the callers carry it all. Calls that
spilled over are on-demand lines of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

from allocation.catalogue.wording import TOKEN_COLUMNS
from allocation.plans.traced import Part, Plan, TracedLine
from allocation.rules.conditions import number_of
from allocation.usage.index import OUTPUT_SIDE, Key, UsageIndex
from allocation.values.names import quoted

CACHED = TOKEN_COLUMNS.index("cache_read")
WEIGHT_NAMES = ("input", "output", "cached")
LARGEST_WEIGHT = 1_000_000
PLACES = 6  # of a weight
WEIGHTED, ANY_TIER, OVER_CAPACITY, UNUSED = (
    "weighted tokens",
    "any tier",
    "over capacity",
    "unused capacity",
)


@dataclass(frozen=True)
class Capacity:
    """How much one token of each column takes, in millionths, and the weighted tokens that one
    billed unit can serve (None: not known).
    """

    weights: tuple[int, ...]  # as TOKEN_COLUMNS
    tokens_per_unit: Fraction | None
    text: tuple[tuple[str, str], ...]  # as written, for people


def parse_capacity(item: Mapping[str, Any]) -> Capacity:
    """The options of a `capacity` rule; raises ValueError saying what is wrong."""
    told = item.get("weights")
    if not isinstance(told, dict) or not {"input", "output"} <= set(told) <= set(WEIGHT_NAMES):
        raise ValueError(
            f"method capacity needs `weights`: a mapping of {', '.join(WEIGHT_NAMES)} (cached: as input)"
        )
    weights = {name: _weight(name, value) for name, value in told.items()}
    if not any(weights.values()):
        raise ValueError("`weights` are all zero: no call would take any capacity")
    cached = weights.get("cached", weights["input"])
    per_unit = number_of(str(item["tokens_per_unit"])) if "tokens_per_unit" in item else None
    if "tokens_per_unit" in item and (per_unit is None or per_unit <= 0):
        raise ValueError(
            f"`tokens_per_unit` is a number above zero, not {quoted(item['tokens_per_unit'])}"
        )
    return Capacity(
        weights=tuple(
            cached if n == CACHED else weights["output"] if n in OUTPUT_SIDE else weights["input"]
            for n in range(len(TOKEN_COLUMNS))
        ),
        tokens_per_unit=None if per_unit is None else Fraction(per_unit),
        text=(
            *((name, str(told[name])) for name in WEIGHT_NAMES if name in told),
            *((("tokens_per_unit", str(item["tokens_per_unit"])),) if per_unit is not None else ()),
        ),
    )


def _weight(name: str, value: Any) -> int:
    number = None if isinstance(value, bool) else number_of(str(value))
    millionths = None if number is None else Fraction(number) * 10**PLACES
    if (
        millionths is None
        or millionths.denominator != 1
        or not 0 <= millionths <= LARGEST_WEIGHT * 10**PLACES
    ):
        raise ValueError(
            f"weight {name} is a number from 0 to {LARGEST_WEIGHT} of {PLACES} places, not {quoted(value)}"
        )
    return int(millionths)


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


def reserved_key(provider: str | None, project: str | None, model: str | None) -> Key:
    return Key(provider, project, model, False, is_reserved=True)
