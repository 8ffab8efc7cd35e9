"""Cutting an amount into shares that add up to it exactly: largest remainder on whole quanta. Pure.

The source amount's own scale, at least twelve places, sets the quantum. What a plain division
leaves over goes, one quantum each, to the largest remainders; ties go to the first key. A negative
amount is cut by magnitude and gets its sign back, so that a refund mirrors the charge it undoes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import lcm

from allocation.values.money import LEAST_PLACES, places_of, quanta_of, text_of
from allocation.values.reasons import NO_DRIVER, ZERO_DRIVER

Weight = int | Fraction | Decimal


class BadWeight(ValueError):
    """A weight is negative, infinite or not a number; `key` says whose."""

    def __init__(self, key: object, weight: object) -> None:
        super().__init__(
            f"weight of {key!r} is {weight}; a weight is a finite number, zero or more"
        )
        self.key = key
        self.weight = weight


@dataclass(frozen=True)
class Shares:
    """Key and amount of everyone with a weight above zero, in key order; the amounts add up to the
    source exactly.
    """

    amounts: tuple[tuple[str, Decimal], ...]


@dataclass(frozen=True)
class NoShares:
    """Nobody to give the amount to; the caller sends it to unallocated with this reason."""

    reason: str


def split(amount: Decimal, weights: Mapping[str, Weight]) -> Shares | NoShares:
    """The amount cut by weight. Raises BadWeight for a negative or non-finite weight."""
    if not weights:
        return NoShares(NO_DRIVER)
    keys = sorted(key for key in weights if _checked(key, weights[key]))
    if not keys:
        return NoShares(ZERO_DRIVER)
    text = format(amount, "f")
    places = max(LEAST_PLACES, places_of(text))
    cut = split_quanta(quanta_of(text, places), whole_weights([weights[key] for key in keys]))
    return Shares(
        tuple((key, Decimal(text_of(share, places))) for key, share in zip(keys, cut, strict=True))
    )


def _checked(key: str, weight: Weight) -> bool:
    if isinstance(weight, Decimal) and not weight.is_finite():
        raise BadWeight(key, weight)
    if weight < 0:
        raise BadWeight(key, weight)
    return weight > 0


def whole_weights(weights: Sequence[Weight]) -> list[int]:
    """Weights in the same proportions, as integers."""
    if all(type(weight) is int for weight in weights):
        return list(weights)  # type: ignore[arg-type]
    fractions = [Fraction(weight) for weight in weights]
    scale = lcm(*(fraction.denominator for fraction in fractions))
    return [fraction.numerator * (scale // fraction.denominator) for fraction in fractions]


def split_quanta(quanta: int, weights: Sequence[int]) -> list[int]:
    """Whole quanta cut by non-negative integer weights whose sum is above zero; ties go to the
    first.

    The one place in the portal where money is divided.
    """
    total = sum(weights)
    if total <= 0:
        raise ValueError("the weights add up to nothing")
    if quanta < 0:
        return [-share for share in split_quanta(-quanta, weights)]
    if not quanta:
        return [0] * len(weights)
    cut = [divmod(quanta * weight, total) for weight in weights]
    shares = [share for share, _ in cut]
    left = quanta - sum(shares)
    if left:
        remainders = [remainder for _, remainder in cut]
        # Sorting is stable, in reverse too, so equal remainders keep key order.
        for i in sorted(range(len(shares)), key=remainders.__getitem__, reverse=True)[:left]:
            shares[i] += 1
    return shares
