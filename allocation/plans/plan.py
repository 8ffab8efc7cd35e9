"""How a charge group is cut: the shape that every method's answer has. Pure."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple


class Part(NamedTuple):
    """A piece of the amount and who shares it: (target, weight, evidence rung) with weights above
    zero.
    """

    weight: int
    kind: str
    entries: tuple[tuple[int, int, int], ...]


class Plan(NamedTuple):
    """How one charge group is cut, with what Explain shows. `driver_total` and weights are in
    10**-places.
    """

    parts: tuple[Part, ...]
    driver: str | None = None
    driver_total: int | None = None
    places: int = 0
    coverage: Fraction | None = None
    widened: str | None = None
    note: str | None = None
