"""Latency histograms that merge: half powers of two, in milliseconds, as `latency_hourly` keeps
them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal


def bin_lower_ms(number: int) -> float:
    """Lower end of a bin; bin b holds [2^(b/2), 2^((b+1)/2)) ms."""
    return float(2.0 ** (number / 2))


@dataclass(frozen=True)
class Histogram:
    """Calls per bin, ascending, gaps left out."""

    counts: tuple[tuple[int, Decimal], ...]

    @classmethod
    def of(cls, counts: Iterable[tuple[int, Decimal]]) -> Histogram:
        merged: dict[int, Decimal] = {}
        for number, calls in counts:
            merged[number] = merged.get(number, Decimal(0)) + calls
        return cls(
            counts=tuple(sorted((number, calls) for number, calls in merged.items() if calls > 0))
        )

    @property
    def calls(self) -> Decimal:
        return sum((calls for _, calls in self.counts), Decimal(0))

    def percentile_ms(self, share: float) -> float | None:
        """Where `share` (0 to 1) of the calls are done; None without calls.

        Interpolated on the log scale inside its bin, so true within a factor of 1.42.
        """
        wanted = share * float(self.calls)
        seen = 0.0
        for number, calls in self.counts:
            here = float(calls)
            if seen + here >= wanted:
                return bin_lower_ms(number) * math.exp2((wanted - seen) / here / 2)
            seen += here
        return None
