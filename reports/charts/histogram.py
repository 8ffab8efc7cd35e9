"""A latency histogram as positions for an inline SVG: x on a log scale, percentiles marked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor, log10

from reports.analysis.latency import Histogram, bin_lower_ms

WIDTH, HEIGHT = 600.0, 120.0
PERCENTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    from_ms: float
    to_ms: float
    calls: int


@dataclass(frozen=True)
class Mark:
    """A vertical line: a percentile, or a power of ten of the axis."""

    x: float
    ms: float
    share: float | None = None  # 0.95; None on the axis


@dataclass(frozen=True)
class LogScale:
    """Maps milliseconds to x; the same for every histogram of a page, so that eyes can compare
    them.
    """

    low_ms: float
    high_ms: float

    @classmethod
    def around(cls, histograms: Iterable[Histogram]) -> LogScale | None:
        """From the smallest to the largest bin, at least a factor of ten; None without calls."""
        bins = [number for histogram in histograms for number, _ in histogram.counts]
        if not bins:
            return None
        low, high = bin_lower_ms(min(bins)), bin_lower_ms(max(bins) + 1)
        return cls(low_ms=low, high_ms=max(high, low * 10))

    def x(self, ms: float) -> float:
        share = log10(ms / self.low_ms) / log10(self.high_ms / self.low_ms)
        return round(min(max(share, 0.0), 1.0) * WIDTH, 2)

    def axis(self) -> list[Mark]:
        first, last = floor(log10(self.low_ms)), floor(log10(self.high_ms))
        decades = [10.0**power for power in range(first, last + 1)]
        return [Mark(x=self.x(ms), ms=ms) for ms in decades if self.low_ms <= ms <= self.high_ms]


def bars(histogram: Histogram, scale: LogScale) -> list[Bar]:
    """One bar per bin with calls, the highest as high as the drawing; zero baseline."""
    highest = max((float(calls) for _, calls in histogram.counts), default=1.0)
    drawn = []
    for number, calls in histogram.counts:
        low, high = bin_lower_ms(number), bin_lower_ms(number + 1)
        x, height = scale.x(low), max(float(calls) / highest * HEIGHT, 0.5)
        width = max(scale.x(high) - x - 1, 1.0)
        drawn.append(
            Bar(
                x,
                round(HEIGHT - height, 2),
                round(width, 2),
                round(height, 2),
                low,
                high,
                round(calls),
            )
        )
    return drawn


def percentile_marks(histogram: Histogram, scale: LogScale) -> list[Mark]:
    marks = []
    for share in PERCENTILES:
        ms = histogram.percentile_ms(share)
        if ms is not None:
            marks.append(Mark(x=scale.x(ms), ms=ms, share=share))
    return marks
