"""Cutting an amount into shares that add up to it exactly: largest remainder on whole quanta. Pure.

The source amount's own scale, at least twelve places, sets the quantum. What a plain division
leaves over goes, one quantum each, to the largest remainders; ties go to the first key. A negative
amount is cut by magnitude and gets its sign back, so that a refund mirrors the charge it undoes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import gcd, lcm

from allocation.values.money import LEAST_PLACES, places_of, quanta_of, text_of
from allocation.values.names import NO_DRIVER, ZERO_DRIVER

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


ONE = Fraction(1)


def bounded(
    weights: Sequence[Fraction], *, least: Fraction, most: Fraction
) -> tuple[list[Fraction], Fraction]:
    """Shares of one in proportion to the weights, none below `least` or above `most`; and what no
    one may take.

    What a bound gives or takes is shared by those whom no bound holds, in proportion again. Who has
    no weight gets the minimum and no more. A minimum that cannot be given to everyone makes the
    shares equal. Raises ValueError where no weight is above zero.
    """
    if sum(weights) <= 0:
        raise ValueError("the weights add up to nothing")
    least = min(least, ONE / len(weights))
    full = [most if weight else least for weight in weights]
    if sum(full) <= ONE:
        return full, ONE - sum(full)
    # Each share is weight x factor within its bounds; the sum grows with the factor, piecewise
    # linearly. The factor lies between two of the points where some share meets a bound; at the
    # first of them all have the minimum.
    turns = sorted({bound / weight for weight in weights if weight for bound in (least, most)})
    over = bisect_right(turns, ONE, key=lambda turn: _sum(weights, turn, least, most))
    inside = (turns[over - 1] + turns[over]) / 2
    held = [_clamped(weight * inside, least, most) for weight in weights]
    free = [weight for weight, share in zip(weights, held, strict=True) if share == weight * inside]
    fixed = sum(
        (share for weight, share in zip(weights, held, strict=True) if share != weight * inside),
        Fraction(0),
    )
    factor = (ONE - fixed) / sum(free)
    shares = [
        weight * factor if share == weight * inside else share
        for weight, share in zip(weights, held, strict=True)
    ]
    return shares, Fraction(0)


def _clamped(share: Fraction, least: Fraction, most: Fraction) -> Fraction:
    return min(max(share, least), most)


def _sum(
    weights: Sequence[Fraction], factor: Fraction, least: Fraction, most: Fraction
) -> Fraction:
    return sum((_clamped(weight * factor, least, most) for weight in weights), Fraction(0))


def smallest_whole(fractions: Sequence[Fraction]) -> list[int]:
    """The smallest integers in the same proportions."""
    scale = lcm(*(fraction.denominator for fraction in fractions))
    whole = [fraction.numerator * (scale // fraction.denominator) for fraction in fractions]
    divisor = gcd(*whole) or 1
    return [number // divisor for number in whole]
