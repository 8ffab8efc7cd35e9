"""Bounds on shares: at least so much for each, at most so much for any. Exact and pure."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd, lcm

ONE = Fraction(1)


def bounded(weights: Sequence[Fraction], *, least: Fraction, most: Fraction) -> tuple[list[Fraction], Fraction]:
    """Shares of one in proportion to the weights, none below `least` or above `most`; and what no one may take.

    What a bound gives or takes is shared by those whom no bound holds, in proportion again. A minimum that cannot be
    given to everyone makes the shares equal. Raises ValueError where no weight is above zero.
    """
    total = sum(weights)
    if total <= 0:
        raise ValueError("the weights add up to nothing")
    count = len(weights)
    if most * count <= ONE:
        return [most] * count, ONE - most * count
    least = min(least, ONE / count)
    low, high = Fraction(0), None
    # Each share is weight x factor within its bounds; the sum grows with the factor, piecewise linearly. The factor
    # lies between two of the points where some share meets a bound.
    turns = sorted({bound / weight for weight in weights if weight for bound in (least, most)})
    for turn in turns:
        if _sum(weights, turn, least, most) <= ONE:
            low = turn
        else:
            high = turn
            break
    inside = (low + (high if high is not None else low + 1)) / 2
    held = [_clamped(weight * inside, least, most) for weight in weights]
    free = [weight for weight, share in zip(weights, held, strict=True) if share == weight * inside]
    fixed = sum((share for weight, share in zip(weights, held, strict=True) if share != weight * inside), Fraction(0))
    if not sum(free):
        return held, ONE - sum(held)
    factor = (ONE - fixed) / sum(free)
    shares = [
        weight * factor if share == weight * inside else share for weight, share in zip(weights, held, strict=True)
    ]
    return shares, Fraction(0)


def _clamped(share: Fraction, least: Fraction, most: Fraction) -> Fraction:
    return min(max(share, least), most)


def _sum(weights: Sequence[Fraction], factor: Fraction, least: Fraction, most: Fraction) -> Fraction:
    return sum((_clamped(weight * factor, least, most) for weight in weights), Fraction(0))


def smallest_whole(fractions: Sequence[Fraction]) -> list[int]:
    """The smallest integers in the same proportions."""
    scale = lcm(*(fraction.denominator for fraction in fractions))
    whole = [fraction.numerator * (scale // fraction.denominator) for fraction in fractions]
    divisor = gcd(*whole) or 1
    return [number // divisor for number in whole]
