"""What one token of a class costs by the price list in force, for plans."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from fractions import Fraction

from django.db import connection

from allocation.catalogue.canonical import CLASS_COLUMNS
from allocation.catalogue.price_list import PriceLine, applicable
from allocation.catalogue.prices import current_version, price_names

NOON = time(12, tzinfo=UTC)
LINES = """
SELECT provider, model, tier, token_class, context_from, time_of_day_from, time_of_day_to,
    valid_from, per_million
FROM allocation_price WHERE version_id = %s AND provider = %s AND model = %s
"""


@dataclass
class ClassPrices:
    """List prices in USD per token, by provider and model. `read` gives a model's lines; what was
    asked once is kept.
    """

    lines: dict[tuple[str | None, str], list[PriceLine]] = field(default_factory=dict)

    def per_token(
        self, provider: str | None, model: str | None, token_class: str | None, day: date, tier: str
    ) -> Fraction | None:
        """USD for one token of the class at noon of the day, of the shortest prompts; None where
        no list has a price.
        """
        if model is None or token_class is None:
            return None
        if (provider, model) not in self.lines:
            self.lines[provider, model] = list(self.read(provider, model))
        at = datetime.combine(day, NOON)
        column = CLASS_COLUMNS[token_class][0]
        line = applicable(self.lines[provider, model], column, 0, at, tier)
        return None if line is None else Fraction(line.per_million) / 10**6

    def read(self, provider: str | None, model: str) -> Iterable[PriceLine]:
        return ()


class StoredPrices(ClassPrices):
    """Those of the version in force."""

    def read(self, provider: str | None, model: str) -> Iterable[PriceLine]:
        version = current_version()
        found = price_names(version).find(provider, model) if version is not None else None
        if found is None:
            return []
        with connection.cursor() as cursor:
            cursor.execute(LINES, [version, *found])
            return [PriceLine(*row) for row in cursor.fetchall()]
