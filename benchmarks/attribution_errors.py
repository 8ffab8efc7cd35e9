"""How far allocated cost is from the demo's truth.

The weighted absolute error is sum |allocated - true| / sum |true| over the teams, the models, the
features, or all three together, of a month's runs, for charges whose scope is ai or ai_supporting.
Cost of no team keeps its model, which the bill names, and has no feature: what is unallocated where
the truth knows a team counts twice, as it is missing in one place and too much in another. Two
currencies are brought together at the rate of the demo's contract, for this figure only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from portal.demo.prices import EUR_PER_USD
from portal.demo.truth import PLACES, Truth

Key = tuple[str | None, str | None, str | None]  # team, model, feature
Costs = dict[str, dict[Key, Decimal]]  # by currency
# The parts of a key that are compared.
BY: dict[str, tuple[int, ...]] = {"team": (0,), "model": (1,), "feature": (2,), "all": (0, 1, 2)}
RATES = {"USD": Decimal(1), "EUR": EUR_PER_USD}
METRICS = ("billed_cost", "effective_cost")
ALLOCATED_SQL = """
-- One row per currency, team, model and feature over the current runs; cost of no team has no
-- feature.
SELECT d.currency, d.team, d.model, CASE WHEN d.team IS NOT NULL THEN d.feature END,
    sum(d.billed_cost), sum(d.effective_cost)
FROM cost_daily d JOIN allocation_allocationrun r ON r.id = d.run_id
WHERE r.is_current AND d.ai_scope IN ('ai', 'ai_supporting')
GROUP BY 1, 2, 3, 4
"""


@dataclass(frozen=True)
class Error:
    """In USD: the sum of absolute differences, and what they are weighed by."""

    wrong: float
    whole: float

    @property
    def share(self) -> float:
        return self.wrong / self.whole


def allocated(metric: str = "effective_cost") -> Costs:
    """What the current runs say."""
    found: Costs = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(ALLOCATED_SQL)
        for currency, team, model, feature, *costs in cursor.fetchall():
            found[currency][team, model, feature] = costs[METRICS.index(metric)]
    return found


def true_costs(truth: Truth, metric: str = "effective_cost") -> Costs:
    sums: dict[str, dict[Key, int]] = defaultdict(lambda: defaultdict(int))
    for entry, amounts in truth.amounts.items():
        cause = entry.cause
        if cause.scope != "other":
            key = (cause.team, cause.model, cause.feature if cause.team else None)
            sums[entry.currency][key] += amounts[METRICS.index(metric)]
    return {
        currency: {key: Decimal(quanta).scaleb(-PLACES) for key, quanta in keys.items()}
        for currency, keys in sums.items()
    }


def errors(
    true: Costs, found: Costs, *, by: str = "all", model_calls_only: bool = False
) -> dict[str, Error]:
    """By currency. With `model_calls_only` what names no model is left out."""
    return {
        currency: _error(
            _by(true[currency], by, model_calls_only),
            _by(found.get(currency, {}), by, model_calls_only),
            currency,
        )
        for currency in sorted(true)
    }


def pooled(found: Mapping[str, Error]) -> float:
    """The error of the currencies together."""
    return sum(error.wrong for error in found.values()) / sum(
        error.whole for error in found.values()
    )


def weighted_errors(
    truth: Truth, *, metric: str = "effective_cost", by: str = "all"
) -> dict[str, float]:
    """Of the current runs, by currency."""
    found = errors(true_costs(truth, metric), allocated(metric), by=by)
    return {currency: error.share for currency, error in found.items()}


def _by(
    costs: Mapping[Key, Decimal], by: str, model_calls_only: bool
) -> dict[tuple[str | None, ...], Decimal]:
    sums: dict[tuple[str | None, ...], Decimal] = defaultdict(Decimal)
    for key, cost in costs.items():
        if key[1] or not model_calls_only:
            sums[tuple(key[part] for part in BY[by])] += cost
    return sums


def _error(
    true: Mapping[tuple[str | None, ...], Decimal],
    found: Mapping[tuple[str | None, ...], Decimal],
    currency: str,
) -> Error:
    zero = Decimal(0)
    wrong = sum(
        abs(found.get(key, zero) - true.get(key, zero)) for key in true.keys() | found.keys()
    )
    whole = sum(abs(cost) for cost in true.values())
    return Error(float(wrong / RATES[currency]), float(whole / RATES[currency]))


def largest_differences(
    true: Costs, found: Costs, *, most: int = 20
) -> list[tuple[str, Key, Decimal, Decimal]]:
    """(currency, key, true, found) where they differ most."""
    zero = Decimal(0)
    rows = [
        (currency, key, true[currency].get(key, zero), found.get(currency, {}).get(key, zero))
        for currency in true
        for key in true[currency].keys() | found.get(currency, {}).keys()
    ]
    return sorted(rows, key=lambda row: -abs(row[2] - row[3]))[:most]


SAMPLING_SQL = """
-- One row per currency, team, model and feature: the variance by sampling of its effective cost
-- over the current runs.
SELECT r.currency, u.team, u.model, u.feature, sum(u.cost_variance)
FROM usage_daily u JOIN allocation_allocationrun r ON r.id = u.run_id
WHERE r.is_current
GROUP BY 1, 2, 3, 4
"""


def sampling_errors(by: str = "all") -> dict[str, float]:
    """By currency, in USD: the sum of the standard errors that the portal shows for each team,
    model or feature.

    Pages take the shares of one group as independent (reports.analysis.sampling_error), and so does
    this.
    """
    variances: dict[tuple[str | None, ...], float] = defaultdict(float)
    with connection.cursor() as cursor:
        cursor.execute(SAMPLING_SQL)
        for currency, *key, variance in cursor.fetchall():
            variances[(currency, *(key[part] for part in BY[by]))] += variance
    shown: dict[str, float] = defaultdict(float)
    for (currency, *_), variance in variances.items():
        shown[currency or ""] += variance**0.5 / float(RATES[currency or ""])
    return dict(shown)
