"""Sums of usage as commands and the API tell them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from allocation.values.money import plain
from reports.queries.usage.by import UsageSum


def usage_row(names: Sequence[str], row: UsageSum) -> dict[str, Any]:
    """The row as JSON, `names` being what it is of; costs are exact texts."""
    told = [value.isoformat() if isinstance(value, date) else value for value in row.key]
    return {
        **dict(zip(names, told, strict=True)),
        "calls": count(row.calls),
        "calls_without_usage": count(row.calls_without_usage),
        "calls_failed": count(row.calls_failed),
        "cached_answers": count(row.cached_answers),
        "tokens": {name: count(tokens) for name, tokens in row.tokens.items()},
        "list_cost": None if row.list_cost is None else plain(row.list_cost),
        "client_cost": None if row.client_cost is None else plain(row.client_cost),
        "client_cost_calls": count(row.client_cost_calls),
        "calls_at_general_price": count(row.general_price_calls),
        "time_to_first_chunk_ms_p50": row.first_chunk_ms,
    }


def count(quantity: Decimal) -> int | float:
    """A whole number where it is one; sampled spans stand for parts of calls, too."""
    return int(quantity) if quantity == quantity.to_integral_value() else float(quantity)
