"""Calls, errors, tokens and list-price estimate of each model in a window."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from reports.queries.rows import fetch
from reports.queries.usage_filter import PICKED_DIMENSIONS, UsageFilter
from reports.scope import TeamScope
from reports.window import Window


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
SQL = f"""
WITH measured AS (
    SELECT dimension_id, calls, errors, calls_without_usage, input_uncached, cache_read, cache_write_5m,
        cache_write_1h, output_text, reasoning, input_audio, input_image, output_audio, output_image,
        list_cost, price_version_id IS NULL AS is_pending
    FROM usage_hourly WHERE hour >= %(first)s AND hour < %(last)s
    UNION ALL
    SELECT dimension_id, calls, errors, calls_without_usage, input_uncached, cache_read, cache_write_5m,
        cache_write_1h, output_text, reasoning, input_audio, input_image, output_audio, output_image,
        NULL, true
    FROM usage_delta WHERE hour >= %(first)s AND hour < %(last)s
)
SELECT d.provider, d.model, sum(u.calls), sum(u.errors), sum(u.calls_without_usage),
    sum(u.input_uncached + u.input_audio + u.input_image),
    sum(u.cache_read + u.cache_write_5m + u.cache_write_1h),
    sum(u.output_text + u.reasoning + u.output_audio + u.output_image),
    coalesce(sum(u.list_cost), 0),
    coalesce(sum(u.calls) FILTER (WHERE u.list_cost IS NOT NULL), 0),
    coalesce(sum(u.calls) FILTER (WHERE u.list_cost IS NULL AND NOT u.is_pending), 0),
    coalesce(sum(u.calls) FILTER (WHERE u.list_cost IS NULL AND u.is_pending), 0)
FROM measured u
JOIN allocation_usagedimension d ON d.id = u.dimension_id
WHERE {PICKED_DIMENSIONS}
GROUP BY d.provider, d.model
ORDER BY sum(u.calls) DESC, d.model COLLATE "C", d.provider COLLATE "C"
"""  # noqa: S608  no value is written into it


def usage_by_model(*, window: Window, picked: UsageFilter, teams: TeamScope) -> list[ModelUsage]:
    """One row per (provider, model), most calls first, over the whole hours that touch the window."""
    first, last = window.hours
    return fetch(ModelUsage, SQL, {"first": first, "last": last, **picked.parameters(teams)})
