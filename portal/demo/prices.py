"""List prices of the demo's models, from genai-prices, and what Larkspur's contracts take off
them.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache

from genai_prices import data

from portal.demo.models import Model

TOKEN_CLASSES = ("input", "cache_read", "cache_write", "output")
_LISTED_AS = {
    "input": "input_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "output": "output_mtok",
}

# Share of the list price that each contract leaves to pay.
CONTRACT = {"openai": Decimal("0.94"), "aws": Decimal("0.92"), "google-cloud": Decimal("0.90")}
# The German company pays Google in euro, at the rate its contract fixes.
EUR_PER_USD = Decimal("0.91")


@cache
def list_price(model: Model, token_class: str) -> Decimal | None:
    """USD per million tokens; None where the model has no such class. The lowest tier: no demo call
    reaches the next one.
    """
    if model.listed is None:
        return None
    provider_id, model_id = model.listed
    provider = next(p for p in data.providers if p.id == provider_id)
    listed = next(m for m in provider.models if m.id == model_id)
    prices = listed.prices if not isinstance(listed.prices, list) else listed.prices[-1].prices
    price = getattr(prices, _LISTED_AS[token_class])
    if price is None:
        return None
    return Decimal(str(getattr(price, "base", price)))
