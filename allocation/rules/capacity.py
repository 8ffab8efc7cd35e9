"""How much of reserved throughput a token takes, as a `capacity` rule says it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from allocation.catalogue.token_classes import OUTPUT_SIDE, TOKEN_COLUMNS
from allocation.rules.conditions import number_of
from allocation.values.names import quoted

CACHED = TOKEN_COLUMNS.index("cache_read")


WEIGHT_NAMES = ("input", "output", "cached")


LARGEST_WEIGHT = 1_000_000


PLACES = 6  # of a weight


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
            f"method capacity needs `weights`: a mapping of {', '.join(WEIGHT_NAMES)} (cached: as "
            "input)"
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
            f"weight {name} is a number from 0 to {LARGEST_WEIGHT} of {PLACES} places, not "
            f"{quoted(value)}"
        )
    return int(millionths)
