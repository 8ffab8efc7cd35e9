"""Models that no price list knows: their cost is unknown, not zero."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from reports.asking import TeamScope, fetch
from reports.queries.usage.picked import PICKED_DIMENSIONS, UsageFilter
from reports.queries.usage.tokens import all_tokens
from reports.window import HourWindow

LIMIT = 100


@dataclass(frozen=True)
class UnpricedModel:
    provider: str | None
    model_requested: str | None
    model_answered: str | None
    calls: Decimal
    tokens: Decimal
    last_hour: datetime


# One row per provider, model asked for and model that answered; hours [first, last).
SQL = f"""
SELECT d.provider, d.model_requested, d.model_answered, sum(u.calls),
    sum({all_tokens("u")}), max(u.hour)
FROM usage_hourly u
JOIN allocation_usagedimension d ON d.id = u.dimension_id
WHERE u.hour >= %(first)s AND u.hour < %(last)s AND u.list_cost IS NULL
    AND u.price_version_id IS NOT NULL
    AND {PICKED_DIMENSIONS}
GROUP BY d.provider, d.model_requested, d.model_answered
ORDER BY sum(u.calls) DESC, d.model_requested COLLATE "C"
LIMIT %(limit)s
"""  # noqa: S608  no value is written into it


def usage_unpriced(
    *, window: HourWindow, picked: UsageFilter, teams: TeamScope
) -> list[UnpricedModel]:
    """At most 100 unpriced models with calls in the window, most calls first."""
    first, last = window.hours
    return fetch(
        UnpricedModel,
        SQL,
        {"first": first, "last": last, "limit": LIMIT, **picked.parameters(teams)},
    )
