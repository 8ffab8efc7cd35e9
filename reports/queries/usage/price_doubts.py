"""Usage of a window by what it is priced by, and the doubts about those prices."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db import connection

from allocation.catalogue.canonical import TOKEN_COLUMNS
from allocation.catalogue.price_sources import ComposedPrices
from allocation.catalogue.price_store import composed_prices
from allocation.catalogue.prices import PriceNames, current_version, price_names
from allocation.catalogue.vocabulary import sold_by
from reports.analysis.price_doubts import FoundDoubts, Quotes, UsedPrice, price_doubts
from reports.asking import TeamScope
from reports.queries.usage.picked import PICKED_DIMENSIONS, UsageFilter
from reports.window import HourWindow

SUMMED = ", ".join(f"sum(u.{name})" for name in TOKEN_COLUMNS)
# One row per model as told, tier and band; tiers beside the standard one by UTC day, since their
# prices begin on days. Hours [first, last).
SQL = f"""
SELECT d.provider, d.model, d.model_requested, d.model_answered, d.tier, d.context_band,
    max(u.hour), sum(u.calls), {SUMMED}
FROM usage_hourly u
JOIN allocation_usagedimension d ON d.id = u.dimension_id
WHERE u.hour >= %(first)s AND u.hour < %(last)s AND d.is_inference AND {PICKED_DIMENSIONS}
GROUP BY d.provider, d.model, d.model_requested, d.model_answered, d.tier, d.context_band,
    CASE WHEN coalesce(d.tier, 'standard') <> 'standard'
        THEN (u.hour AT TIME ZONE 'UTC')::date END
"""  # noqa: S608  names of columns


class StoredBook:
    """The prices of the version in force and what each source states, by the model of a call."""

    def __init__(self, prices: ComposedPrices, names: PriceNames) -> None:
        self.prices = prices
        self.names = names
        self.known: dict[tuple[str | None, str | None, str | None], Quotes | None] = {}

    def quotes(self, used: UsedPrice) -> Quotes | None:
        told = (used.provider, used.answered, used.requested)
        if told not in self.known:
            self.known[told] = self._quotes(used.provider, told[1:])
        return self.known[told]

    def _quotes(self, provider: str | None, models: tuple[str | None, str | None]) -> Quotes | None:
        keys = (self.names.find(provider, model) for model in models)
        key = next((key for key in keys if key is not None), None)
        if key is None:
            return None
        prices = self.prices
        used = prices.composed(*key) if key in self.names.composed else prices.listed(key)
        sellers = [*(sold_by(provider) if provider else ()), *sold_by(key[0])]
        told = [(seller, model.lower()) for seller in sellers for model in models if model]
        others = [
            next(filter(None, (index.find(*name) for name in told)), [])
            for index in (prices.own, prices.map)
        ]
        return Quotes(used, [prices.packaged(*key), *others])


def _used(row: Sequence[Any]) -> UsedPrice:
    provider, model, requested, answered, tier, band, at, calls, *counts = row
    tokens = {name: count for name, count in zip(TOKEN_COLUMNS, counts, strict=True) if count}
    return UsedPrice(provider, model, requested, answered, tier, band, at, calls, tokens)


def usage_price_doubts(*, window: HourWindow, picked: UsageFilter, teams: TeamScope) -> FoundDoubts:
    """What is in doubt about the prices of the window's usage."""
    version = current_version()
    first, last = window.hours
    with connection.cursor() as cursor:
        cursor.execute(SQL, {"first": first, "last": last, **picked.parameters(teams)})
        rows = cursor.fetchall()
    if version is None:
        return FoundDoubts([], Decimal(0))
    book = StoredBook(composed_prices(version), price_names(version))
    return price_doubts((_used(row) for row in rows), book)
