"""Which exchange rates lead into a currency, and into which currencies do any?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db import connection

from reports.rows import fetch

# One row per month and pair of currencies, newest month first.
RATES = """
SELECT month, base, quote, rate, source, uploaded_at, frozen_at
FROM allocation_exchangerate
WHERE %(quote)s::text IS NULL OR quote = %(quote)s
ORDER BY month DESC, base, quote
LIMIT %(limit)s
"""


@dataclass(frozen=True)
class MonthRate:
    """One unit of `base` is `rate` units of `quote`, for amounts billed in the month."""

    month: date
    base: str
    quote: str
    rate: Decimal
    source: str
    uploaded_at: datetime
    frozen_at: datetime | None


def exchange_rates(*, into: str | None = None, limit: int = 10_000) -> list[MonthRate]:
    """Rates tell nobody's amounts, so they need no scope."""
    return fetch(MonthRate, RATES, {"quote": into, "limit": limit})


def reporting_currencies() -> list[str]:
    """Currencies that some rate leads into, by code."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT quote FROM allocation_exchangerate ORDER BY quote")
        return [row[0] for row in cursor.fetchall()]
