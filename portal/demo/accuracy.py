"""How far allocated cost is from the demo's truth.

The weighted absolute error is sum |allocated - true| / sum |true| over (team, model, feature) of a month's runs together, per
currency, for charges whose scope is ai or ai_supporting. Cost of no team is one key: what is unallocated where the truth knows a
team counts twice, as it is missing in one place and too much in another.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from django.db import connection

from portal.demo.prices import EUR_PER_USD
from portal.demo.truth import PLACES, Truth

Key = tuple[str | None, str | None, str | None]
NOBODY: Key = (None, None, None)
ALLOCATED_SQL = """
-- One row per currency, team, model and feature over the current runs; cost of no team has no model and feature.
SELECT d.currency, d.team, CASE WHEN d.team IS NOT NULL THEN d.model END, CASE WHEN d.team IS NOT NULL THEN d.feature END,
    sum(d.billed_cost), sum(d.effective_cost)
FROM cost_daily d JOIN allocation_allocationrun r ON r.id = d.run_id
WHERE r.is_current AND d.ai_scope IN ('ai', 'ai_supporting')
GROUP BY 1, 2, 3, 4
"""


def allocated() -> dict[str, dict[Key, tuple[Decimal, Decimal]]]:
    """(billed, effective) by currency and (team, model, feature)."""
    found: dict[str, dict[Key, tuple[Decimal, Decimal]]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(ALLOCATED_SQL)
        for currency, team, model, feature, billed, effective in cursor.fetchall():
            found[currency][team, model, feature] = (billed, effective)
    return found


def true_costs(truth: Truth) -> dict[str, dict[Key, tuple[Decimal, Decimal]]]:
    sums: dict[str, dict[Key, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for entry, (billed, effective) in truth.amounts.items():
        cause = entry.cause
        if cause.scope != "other":
            pair = sums[entry.currency][(cause.team, cause.model, cause.feature) if cause.team else NOBODY]
            pair[0] += billed
            pair[1] += effective
    quantum = Decimal(1).scaleb(-PLACES)
    return {
        currency: {key: (billed * quantum, effective * quantum) for key, (billed, effective) in keys.items()}
        for currency, keys in sums.items()
    }


def weighted_errors(truth: Truth, *, metric: int = 1, model_calls_only: bool = False) -> dict[str, float]:
    """By currency; metric 0 is billed cost, 1 effective cost. With `model_calls_only` what names no model is left out."""
    true, found = true_costs(truth), allocated()
    if model_calls_only:
        true, found = (
            {currency: {key: costs for key, costs in keys.items() if key[1]} for currency, keys in side.items()}
            for side in (true, found)
        )
    return {currency: weighted_error(true[currency], found.get(currency, {}), metric) for currency in sorted(true)}


def weighted_error(
    true: dict[Key, tuple[Decimal, Decimal]], found: dict[Key, tuple[Decimal, Decimal]], metric: int
) -> float:
    zero = (Decimal(0), Decimal(0))
    wrong = sum(abs(found.get(key, zero)[metric] - true.get(key, zero)[metric]) for key in true.keys() | found.keys())
    return float(wrong / sum(abs(pair[metric]) for pair in true.values()))


def largest_differences(truth: Truth, *, metric: int = 1, most: int = 20) -> list[tuple[str, Key, Decimal, Decimal]]:
    """(currency, key, true, allocated) where they differ most."""
    true, found = true_costs(truth), allocated()
    zero = (Decimal(0), Decimal(0))
    rows = [
        (currency, key, true[currency].get(key, zero)[metric], found.get(currency, {}).get(key, zero)[metric])
        for currency in true
        for key in true[currency].keys() | found.get(currency, {}).keys()
    ]
    return sorted(rows, key=lambda row: -abs(row[2] - row[3]))[:most]


SAMPLING_SQL = """
-- One row per currency, team, feature and model: the variance by sampling of its effective cost over the current runs.
SELECT r.currency, u.team, u.feature, u.model, sum(u.cost_variance)
FROM usage_daily u JOIN allocation_allocationrun r ON r.id = u.run_id
WHERE r.is_current
GROUP BY 1, 2, 3, 4
"""


def sampling_errors() -> dict[str, float]:
    """By currency: the sum of the standard errors that the portal shows for each (team, model, feature), over effective cost."""
    errors: dict[str, float] = defaultdict(float)
    with connection.cursor() as cursor:
        cursor.execute(SAMPLING_SQL)
        for currency, _, _, _, variance in cursor.fetchall():
            errors[currency] += variance**0.5
    totals = {currency: sum(abs(pair[1]) for pair in keys.values()) for currency, keys in allocated().items()}
    return {currency: errors[currency] / float(total) for currency, total in sorted(totals.items())}


def shares_in_usd(truth: Truth) -> dict[str, float]:
    """Each currency's part of the true effective cost, at the rate of the demo's contract."""
    rates = {"USD": Decimal(1), "EUR": EUR_PER_USD}
    totals = {
        currency: sum((abs(pair[1]) for pair in keys.values()), Decimal(0)) / rates[currency]
        for currency, keys in true_costs(truth).items()
    }
    return {currency: float(total / sum(totals.values())) for currency, total in totals.items()}
