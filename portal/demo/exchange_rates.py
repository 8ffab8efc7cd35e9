"""Exchange rates of the demo's two currencies, one a month, as a treasury would upload them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from allocation.models import ImportKind
from portal.demo.prices import EUR_PER_USD
from portal.demo.provider_reports import Row, load_rows
from portal.demo.settings import DemoSettings

SOURCE = "Larkspur treasury"
_SPREAD = 150  # of the month's rate around the contract's, in ten thousandths
_PLACES = Decimal("0.0001")


def load_exchange_rates(settings: DemoSettings) -> None:
    """Both directions of every month, as an inverse would have to be rounded on the way."""
    rows = [row for month in settings.months for row in _rates_of(settings, month)]
    load_rows(ImportKind.RATES, rows, {})


def _rates_of(settings: DemoSettings, month: date) -> Iterator[Row]:
    chance = random.Random(f"rates {settings.seed} {month}")
    moved = 1 + Decimal(chance.randint(-_SPREAD, _SPREAD)) / 10_000
    eur_per_usd = (EUR_PER_USD * moved).quantize(_PLACES)
    for base, quote, rate in (
        ("USD", "EUR", eur_per_usd),
        ("EUR", "USD", (1 / eur_per_usd).quantize(_PLACES)),
    ):
        yield {
            "month": f"{month:%Y-%m}",
            "base": base,
            "quote": quote,
            "rate": rate,
            "source": SOURCE,
        }
