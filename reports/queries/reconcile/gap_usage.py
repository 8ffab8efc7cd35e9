"""What the traces of a month say of the same models, as known now, priced by the versions that
their rows name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache

from django.db import connection

from allocation.catalogue.canonical import TOKEN_COLUMNS
from allocation.catalogue.price_list import PriceLine, applicable
from allocation.storage.rows import whole_month_plans
from allocation.usage.month_usage import usage_versions
from allocation.values.money import EXACT, exact_sum
from allocation.values.periods import Period, midnight
from reports.analysis.gap import TokenPrice, TracedTokens
from reports.queries.reconcile.gap_charges import Name

ZERO = Decimal(0)
NOON = timedelta(hours=12)

SUMMED = ", ".join(f"sum({name}) AS {name}" for name in TOKEN_COLUMNS)
COLUMNS = ", ".join(TOKEN_COLUMNS)
# One row per UTC day, join key, price model, band, price version and whether it has a price.
USAGE = f"""
SELECT u.day, d.provider, d.project, d.model, d.tier, d.context_band,
    coalesce(answered.price_provider, requested.price_provider),
    coalesce(answered.price_model, requested.price_model), u.price_version_id, u.is_priced,
    sum(u.calls), sum(u.silent), sum(u.list_cost), {SUMMED}
FROM (
    SELECT (hour AT TIME ZONE 'UTC')::date AS day, dimension_id, price_version_id,
        list_cost IS NOT NULL AS is_priced, sum(calls) AS calls,
        sum(calls_without_usage) AS silent, sum(list_cost) AS list_cost,
        {SUMMED}
    FROM (
        SELECT hour, dimension_id, price_version_id, list_cost, calls, calls_without_usage,
            {COLUMNS}
        FROM usage_hourly WHERE hour >= %(first)s AND hour < %(last)s
        UNION ALL
        SELECT hour, dimension_id, NULL, NULL, calls, calls_without_usage, {COLUMNS}
        FROM usage_delta WHERE hour >= %(first)s AND hour < %(last)s
    ) live
    GROUP BY 1, 2, 3, 4
) u
JOIN allocation_usagedimension d ON d.id = u.dimension_id
LEFT JOIN allocation_pricematch answered
    ON answered.version_id = u.price_version_id AND answered.provider = coalesce(d.provider, '')
    AND answered.model_text = d.model_answered AND answered.price_model IS NOT NULL
LEFT JOIN allocation_pricematch requested
    ON requested.version_id = u.price_version_id AND requested.provider = coalesce(d.provider, '')
    AND requested.model_text = d.model_requested AND requested.price_model IS NOT NULL
WHERE d.is_inference
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
"""  # noqa: S608  names of columns

# The lines of the price models that some usage resolved to.
PRICES = """
SELECT version_id, provider, model, tier, token_class, context_from,
    time_of_day_from, time_of_day_to, valid_from, per_million
FROM allocation_price
WHERE (version_id, provider, model) IN (
    SELECT * FROM unnest(%(versions)s::bigint[], %(providers)s::text[], %(models)s::text[]))
"""


@dataclass(frozen=True)
class UsageRow:
    """`name` is as the calls tell it, or as a bill has it. `prices` are the lines of its price
    model, none where it has no price.
    """

    day: date
    name: Name
    tier: str | None
    band: int
    is_priced: bool
    calls: Decimal
    silent: Decimal
    list_cost: Decimal
    tokens: Mapping[str, Decimal]
    prices: Sequence[PriceLine]

    def named(self, name: Name) -> UsageRow:
        return self if name == self.name else replace(self, name=name)

    def part(self, share: Decimal) -> UsageRow:
        """That part of the calls, exactly."""
        if share == 1:
            return self
        return replace(
            self,
            calls=EXACT.multiply(self.calls, share),
            silent=EXACT.multiply(self.silent, share),
            list_cost=EXACT.multiply(self.list_cost, share),
            tokens={name: EXACT.multiply(tokens, share) for name, tokens in self.tokens.items()},
        )

    def price(self, column: str, tier: str | None) -> Decimal | None:
        """USD per token at noon of the day."""
        line = applicable(self.prices, column, self.band, midnight(self.day) + NOON, tier)
        return line.per_million.scaleb(-6) if line else None


Versions = tuple[tuple[date, int | None], ...]


def month_usage(month: date) -> tuple[UsageRow, ...]:
    """The month's usage as it is now; cached by the process as long as no day changes and nothing
    waits to be merged.
    """
    period = Period.month(month)
    versions = tuple(sorted(usage_versions(period.start, period.end).items()))
    read = _read_usage if any(version is None for _, version in versions) else _cached_usage
    return read(month, versions)


def _read_usage(month: date, _versions: Versions) -> tuple[UsageRow, ...]:
    period = Period.month(month)
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute(USAGE, {"first": midnight(period.start), "last": midnight(period.end)})
        rows = cursor.fetchall()
    lines = _price_lines({(row[8], row[6], row[7]) for row in rows if row[9] and row[7]})
    return tuple(
        UsageRow(
            day=row[0],
            name=(row[1], row[2], row[3]),
            tier=row[4],
            band=row[5],
            is_priced=row[9],
            calls=row[10],
            silent=row[11],
            list_cost=row[12] or ZERO,
            tokens={
                name: tokens for name, tokens in zip(TOKEN_COLUMNS, row[13:], strict=True) if tokens
            },
            prices=lines.get((row[8], row[6], row[7]), ()),
        )
        for row in rows
    )


_cached_usage = lru_cache(maxsize=12)(_read_usage)


def _price_lines(wanted: set[tuple[int, str, str]]) -> dict[tuple[int, str, str], list[PriceLine]]:
    versions, providers, models = zip(*sorted(wanted), strict=True) if wanted else ((), (), ())
    found: dict[tuple[int, str, str], list[PriceLine]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            PRICES,
            {"versions": list(versions), "providers": list(providers), "models": list(models)},
        )
        for version, *values in cursor.fetchall():
            line = PriceLine(*values)
            found.setdefault((version, line.provider, line.model), []).append(line)
    return found


@dataclass
class ColumnSums:
    tokens: Decimal = ZERO
    priced: Decimal = ZERO
    list_cost: Decimal = ZERO
    at_standard: Decimal = ZERO
    at_batch: Decimal = ZERO


@dataclass
class TracedModel:
    """The traces of one model in one project, summed up."""

    columns: dict[str, ColumnSums] = field(default_factory=dict)
    calls: Decimal = ZERO
    silent: Decimal = ZERO
    unpriced: Decimal = ZERO
    batch: Decimal = ZERO
    largest: UsageRow | None = None

    def add(self, row: UsageRow) -> None:
        self.calls += row.calls
        self.silent += row.silent
        self.unpriced += ZERO if row.is_priced else row.calls
        self.batch += row.calls if row.tier == "batch" else ZERO
        if row.is_priced and (self.largest is None or row.list_cost > self.largest.list_cost):
            self.largest = row
        costs = _costs_by_column(row)
        for name, tokens in row.tokens.items():
            sums = self.columns.setdefault(name, ColumnSums())
            sums.tokens += tokens
            if row.is_priced:
                sums.priced += tokens
                sums.list_cost = exact_sum((sums.list_cost, costs[name]))
                sums.at_standard += tokens * (row.price(name, None) or ZERO)
                sums.at_batch += tokens * (row.price(name, "batch") or ZERO)

    def tokens(self) -> dict[str, TracedTokens]:
        return {
            name: TracedTokens(sums.tokens, sums.priced, sums.list_cost)
            for name, sums in self.columns.items()
        }

    def prices(self) -> dict[str, TokenPrice]:
        """Per column: what the traced tokens cost on average; of a column without any, as the
        largest row's model.
        """
        found: dict[str, TokenPrice] = {}
        for name in TOKEN_COLUMNS:
            sums = self.columns.get(name)
            if sums and sums.priced:
                parts = (sums.list_cost, sums.at_standard, sums.at_batch)
                found[name] = TokenPrice(*(part / sums.priced for part in parts))
            elif self.largest and (standard := self.largest.price(name, None)) is not None:
                found[name] = TokenPrice(
                    standard, standard, self.largest.price(name, "batch") or standard
                )
        return found


def _costs_by_column(row: UsageRow) -> dict[str, Decimal]:
    """The row's list cost by column, adding up to it; whatever prices by the call or by the hour
    add goes along.
    """
    costs = {
        name: tokens * (row.price(name, row.tier) or ZERO) for name, tokens in row.tokens.items()
    }
    total = sum(costs.values(), ZERO)
    if not costs or not row.is_priced:
        return costs
    widest = max(costs, key=lambda name: (costs[name], name))
    if total:
        costs = {
            name: (row.list_cost * cost / total).quantize(Decimal("1e-18"))
            for name, cost in costs.items()
        }
    rest = exact_sum((row.list_cost, *(cost.copy_negate() for cost in costs.values())))
    return costs | {widest: exact_sum((costs[widest], rest))}
