"""Bounds on shares: at least so much for each, at most so much for any. Exact and pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from math import gcd, lcm

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
