"""Calls, errors, tokens, list-price estimate and latency of each model in a window."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from reports.analysis.latency import Histogram
from reports.asking import TeamScope, fetch
from reports.queries.usage.picked import PICKED_DIMENSIONS, UsageFilter
from reports.window import HourWindow


@dataclass(frozen=True)
class ModelUsage:
    provider: str | None
    model: str | None
    calls: Decimal
    errors: Decimal
    calls_without_usage: Decimal
    input_tokens: Decimal  # uncached, text and other media
    cached_tokens: Decimal  # cache reads and writes
    output_tokens: Decimal  # reasoning included
    cost: Decimal  # USD at list prices: the priced part only
    priced_calls: Decimal
    unpriced_calls: Decimal  # calls of models without a price
    pending_calls: Decimal  # calls too fresh to be priced

    @property
    def tokens(self) -> Decimal:
        return self.input_tokens + self.cached_tokens + self.output_tokens

    @property
    def tokens_per_call(self) -> Decimal | None:
        return self._per_call(self.tokens)

    @property
    def input_per_call(self) -> Decimal | None:
        return self._per_call(self.input_tokens)

    @property
    def cached_per_call(self) -> Decimal | None:
        return self._per_call(self.cached_tokens)

    @property
    def output_per_call(self) -> Decimal | None:
        return self._per_call(self.output_tokens)

    def _per_call(self, quantity: Decimal) -> Decimal | None:
        return quantity / self.calls if self.calls else None

    @property
    def cost_per_call(self) -> Decimal | None:
        """USD over the priced calls; None where none is priced."""
        return self.cost / self.priced_calls if self.priced_calls else None

    @property
    def error_rate(self) -> Decimal | None:
        return self.errors / self.calls if self.calls else None


# One row per provider and model; hours [first, last).
MODELS = f"""
SELECT d.provider, d.model, sum(d.calls), sum(d.errors), sum(d.calls_without_usage),
    sum(d.input_tokens), sum(d.cached_tokens), sum(d.output_tokens), sum(d.list_cost),
    sum(d.priced_calls), sum(d.unpriced_calls), sum(d.pending_calls)
FROM usage_by_subject d
WHERE d.hour >= %(first)s AND d.hour < %(last)s AND {PICKED_DIMENSIONS}
GROUP BY d.provider, d.model
ORDER BY sum(d.calls) DESC, d.model COLLATE "C", d.provider COLLATE "C"
"""  # noqa: S608  no value is written into it


def usage_by_model(
    *, window: HourWindow, picked: UsageFilter, teams: TeamScope
) -> list[ModelUsage]:
    """One row per (provider, model), most calls first, over whole hours that touch the window."""
    first, last = window.hours
    return fetch(ModelUsage, MODELS, {"first": first, "last": last, **picked.parameters(teams)})


@dataclass(frozen=True)
class LatencyBin:
    provider: str | None
    model: str | None
    bin: int
    calls: Decimal


# One row per provider, model and latency bin; hours [first, last).
LATENCY = f"""
SELECT d.provider, d.model, d.bin, sum(d.calls)
FROM latency_by_subject d
WHERE d.hour >= %(first)s AND d.hour < %(last)s AND {PICKED_DIMENSIONS}
GROUP BY d.provider, d.model, d.bin
"""  # noqa: S608  no value is written into it


def latency_by_model(
    *, window: HourWindow, picked: UsageFilter, teams: TeamScope
) -> dict[tuple[str | None, str | None], Histogram]:
    """The histogram of each (provider, model) over the whole hours that touch the window."""
    first, last = window.hours
    counts: dict[tuple[str | None, str | None], list[tuple[int, Decimal]]] = {}
    for row in fetch(
        LatencyBin, LATENCY, {"first": first, "last": last, **picked.parameters(teams)}
    ):
        counts.setdefault((row.provider, row.model), []).append((row.bin, row.calls))
    return {key: Histogram.of(pairs) for key, pairs in counts.items()}
