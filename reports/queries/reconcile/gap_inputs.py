"""What bill and traces of a month know of the same models: the input of reports.analysis.gap.

All SQL over a run's buckets for this purpose stands here. Charges are those of the current runs' pinned snapshots;
traces are as known now, priced by the versions that their rows name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal, localcontext
from functools import cached_property, lru_cache
from typing import Any

from django.db import connection

from allocation.catalogue.price_list import PriceLine, applicable
from allocation.catalogue.token_classes import TOKEN_COLUMNS
from allocation.models import AllocationRun
from allocation.storage.copy_text import whole_month_plans
from allocation.usage.facts import usage_versions
from allocation.usage.index import ANY_PROJECT, SAME_PROVIDER
from allocation.values.currencies import minor_units
from allocation.values.money import exact_sum
from allocation.values.periods import Period
from reports.analysis.gap import (
    WORKING_DIGITS,
    BilledLine,
    ModelUsage,
    SourceBill,
    TokenPrice,
    TracedTokens,
)
from reports.queries.explain.run_variant import run_variant
from reports.queries.kept import kept
from reports.queries.spend_coverage import MonthRun
from reports.rows import fetch
from reports.scope import TeamScope

ZERO = Decimal(0)
CREDITS = ("Credit", "Adjustment")

# Published snapshots of what the run pinned, in order of delivery: the pinned ones and those they replaced.
DELIVERIES = """
SELECT s.id, s.source_id, s.billing_account_id, s.billing_period_start, s.billing_period_end, s.published_at,
    s.id = ANY(%(scopes)s) AS is_pinned,
    EXISTS (SELECT FROM charge c WHERE c.billing_month = s.billing_month AND c.scope_id = s.id) AS has_rows
FROM allocation_chargescope s
WHERE s.billing_month = %(month)s AND s.state <> 'staged' AND s.source_id IN (
    SELECT source_id FROM allocation_chargescope WHERE id = ANY(%(scopes)s))
ORDER BY s.published_at NULLS FIRST, s.id
"""

# One row per bucket of model usage or credits, by whether its charges are of the month, pinned, and delivered in time.
# A sum is NULL where any charge lacks it.
CHARGES = """
SELECT b.id, b.source_id, source.name, b.method, b.charge_category, b.service_name, b.split_key::text,
    c.charge_period_start >= %(first)s AND c.charge_period_start < %(last)s AS is_of_month,
    c.scope_id = ANY(%(scopes)s) AS is_pinned, c.scope_id = ANY(%(in_time)s) AS is_in_time,
    max((c.charge_period_start AT TIME ZONE 'UTC')::date), count(*), sum(c.billed_cost),
    CASE WHEN count(c.list_cost) = count(*) THEN sum(c.list_cost) END,
    CASE WHEN count(c.contracted_cost) = count(*) THEN sum(c.contracted_cost) END,
    CASE WHEN count(c.consumed_quantity) = count(*) THEN sum(c.consumed_quantity) END,
    CASE WHEN count(c.pricing_quantity) = count(*) THEN sum(c.pricing_quantity) END,
    coalesce(sum(c.billed_cost - c.contracted_cost)
        FILTER (WHERE abs(c.billed_cost - c.contracted_cost) < %(minor_unit)s), 0)
FROM charge c
JOIN allocation_chargescope s ON s.id = c.scope_id
JOIN bucket_member m ON m.run_id = %(run)s AND m.source_id = s.source_id AND m.dimension_id = c.dimension_id
    AND m.variant = {variant}
JOIN bucket b ON b.id = m.bucket
JOIN allocation_source source ON source.id = b.source_id
WHERE c.billing_month = %(month)s AND c.scope_id = ANY(%(read)s)
    AND (b.method = 'traced_usage' OR b.charge_category = ANY(%(credits)s))
GROUP BY b.id, source.name, 8, 9, 10
ORDER BY b.id
"""

# One row per UTC day, join key, price model, band, price version and whether it has a price.
USAGE = f"""
SELECT u.day, d.provider, d.project, d.model, d.tier, d.context_band,
    coalesce(answered.price_provider, requested.price_provider),
    coalesce(answered.price_model, requested.price_model), u.price_version_id, u.is_priced,
    sum(u.calls), sum(u.silent), sum(u.list_cost), {", ".join(f"sum(u.{name})" for name in TOKEN_COLUMNS)}
FROM (
    SELECT (hour AT TIME ZONE 'UTC')::date AS day, dimension_id, price_version_id, list_cost IS NOT NULL AS is_priced,
        sum(calls) AS calls, sum(greatest(calls_without_usage - errors, 0)) AS silent, sum(list_cost) AS list_cost,
        {", ".join(f"sum({name}) AS {name}" for name in TOKEN_COLUMNS)}
    FROM (
        SELECT hour, dimension_id, price_version_id, list_cost, calls, calls_without_usage, errors,
            {", ".join(TOKEN_COLUMNS)}
        FROM usage_hourly WHERE hour >= %(first)s AND hour < %(last)s
        UNION ALL
        SELECT hour, dimension_id, NULL, NULL, calls, calls_without_usage, errors, {", ".join(TOKEN_COLUMNS)}
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
SELECT version_id, provider, model, tier, token_class, context_from, time_of_day_from, time_of_day_to, valid_from,
    per_million
FROM allocation_price
WHERE (version_id, provider, model) IN (
    SELECT * FROM unnest(%(versions)s::bigint[], %(providers)s::text[], %(models)s::text[]))
"""


@dataclass(frozen=True)
class OffTheBill:
    """Traced usage that no bill of the month has, or two have: by provider, project and model. USD, NULL parts 0."""

    provider: str | None
    project: str | None
    model: str | None
    calls: Decimal
    unpriced_calls: Decimal
    estimate: Decimal
    reason: str


@dataclass(frozen=True)
class GapInputs:
    """`through` is the last day of each source's model usage; later traces wait for their bill and are left out."""

    bills: tuple[SourceBill, ...]
    off_the_bill: tuple[OffTheBill, ...]
    through: Mapping[tuple[str, str], date]  # by source and currency


def gap_inputs(*, month: date, runs: Sequence[MonthRun], scope: TeamScope) -> GapInputs:
    """Every source and currency with model usage in the current runs of a month. Whole bills, so nothing for a reader
    who sees only some teams."""
    if not scope.is_everything:
        return GapInputs((), (), {})
    read = [
        _charges(question=ChargeQuestion(run.id, run.month, run.currency, run.sha256))
        for run in runs
    ]
    found = Sources([source for charges in read for source in charges])
    found.take(_usage(month))
    return GapInputs(
        tuple(source.bill() for source in found.sources),
        tuple(found.off_the_bill()),
        {
            (source.name, source.currency): source.through
            for source in found.sources
            if source.through
        },
    )


# ---------------------------------------------------------------- charges

Name = tuple[str | None, str | None, str | None]  # provider, project, model


@dataclass(frozen=True)
class ChargeQuestion:
    """A published run: what its charges say never changes, so the answer is kept."""

    run: int
    month: date
    currency: str
    sha256: str | None

    @property
    def is_final(self) -> bool:
        return self.sha256 is not None and len(self.sha256) == 64


@dataclass(frozen=True)
class BilledSource:
    """One source's charges of one run, before traces are laid beside them."""

    id: int
    name: str
    currency: str
    lines: Mapping[Name, tuple[BilledLine, ...]]
    through: date | None
    credit: Decimal
    credit_rows: int
    late_cost: Decimal
    late_deliveries: int
    other_months_cost: Decimal
    other_months_rows: int


@dataclass(frozen=True)
class ChargeRow:
    bucket: int
    source_id: int
    source: str
    method: str
    category: str
    service: str | None
    split_key_text: str  # JSON
    is_of_month: bool
    is_pinned: bool
    is_in_time: bool
    last_day: date
    rows: int
    billed_cost: Decimal
    list_cost: Decimal | None
    contracted_cost: Decimal | None
    consumed: Decimal | None
    pricing: Decimal | None
    rounding: Decimal

    @cached_property
    def split_key(self) -> Mapping[str, Any]:
        found: dict[str, Any] = json.loads(self.split_key_text)
        return found

    @property
    def quantity(self) -> Decimal | None:
        """Tokens: of ConsumedQuantity where its unit converts, else of PricingQuantity."""
        for amount, unit in (
            (self.consumed, "tokens_per_consumed_unit"),
            (self.pricing, "tokens_per_pricing_unit"),
        ):
            if amount is not None and unit in self.split_key:
                return amount * Decimal(self.split_key[unit])
        return None

    @property
    def name(self) -> Name:
        key = self.split_key
        return key.get("provider"), key.get("project"), key.get("model")

    @property
    def is_model_usage(self) -> bool:
        """A traced-usage line that is about tokens; a seat or a support plan of a model seller is not."""
        return self.method == "traced_usage" and bool(
            self.split_key.get("model") or self.split_key.get("token_class")
        )


@kept
def _charges(*, question: ChargeQuestion) -> tuple[BilledSource, ...]:
    month = Period.month(question.month)
    run = AllocationRun.objects.select_related("rule_set").get(pk=question.run)
    scopes: list[int] = run.inputs.get("scopes", [])
    in_time, late = _delivered_in_time(question.month, scopes)
    read = sorted({*scopes, *in_time})
    values: dict[str, Any] = {
        "run": question.run,
        "month": question.month,
        "first": _midnight(month.start),
        "last": _midnight(month.end),
        "scopes": scopes,
        "in_time": in_time,
        "read": read,
        "credits": list(CREDITS),
        "minor_unit": Decimal(1).scaleb(-minor_units(question.currency)),
    }
    with whole_month_plans():
        rows = fetch(ChargeRow, CHARGES.replace("{variant}", run_variant(run, read) or "0"), values)
    by_source: dict[int, list[ChargeRow]] = {}
    for row in rows:
        by_source.setdefault(row.source_id, []).append(row)
    made = [
        _billed_source(own, question.currency, late.get(source, 0))
        for source, own in by_source.items()
    ]
    return tuple(
        sorted((source for source in made if source.lines), key=lambda source: source.name)
    )


@dataclass(frozen=True)
class DeliveryRow:
    id: int
    source_id: int
    account: str
    start: datetime
    end: datetime
    published_at: datetime | None
    is_pinned: bool
    has_rows: bool


def _delivered_in_time(month: date, scopes: list[int]) -> tuple[list[int], dict[int, int]]:
    """The snapshots of each account's first complete delivery, and how many came later, by source.

    Complete is what was published after the billing period's end. Where it is no longer kept, or none came yet, what
    is pinned counts as delivered in time.
    """
    deliveries: dict[tuple[int, str, datetime], list[DeliveryRow]] = {}
    for row in fetch(DeliveryRow, DELIVERIES, {"month": month, "scopes": scopes}):
        deliveries.setdefault((row.source_id, row.account, row.start), []).append(row)
    in_time: list[int] = []
    late: dict[int, int] = {}
    for (source, _, _), rows in deliveries.items():
        pinned = [row for row in rows if row.is_pinned]
        whole = next(
            (row for row in rows if row.published_at and row.published_at >= row.end), None
        )
        if whole is None or whole.published_at is None or not pinned:
            in_time += [row.id for row in pinned]
            continue
        moment = whole.published_at
        after = [row for row in pinned if row.published_at and row.published_at > moment]
        before = [row for row in pinned if row not in after]
        if (
            after and not before
        ):  # an overwriting source: the later snapshot took the first one's place
            before = [whole] if whole.has_rows else after
            after = after if whole.has_rows else []
        in_time += [row.id for row in before]
        if after:
            later = [row for row in rows if row.published_at and row.published_at > moment]
            late[source] = late.get(source, 0) + len(later)
    return sorted(in_time), late


def _billed_source(rows: list[ChargeRow], currency: str, late_deliveries: int) -> BilledSource:
    traced = [row for row in rows if row.is_model_usage]
    own = [row for row in traced if row.is_of_month]
    services = {row.service for row in traced}
    others = [row for row in rows if row.is_pinned and not row.is_model_usage]
    credits = [row for row in others if row.category in CREDITS and row.service in services]
    elsewhere = [row for row in traced if row.is_pinned and not row.is_of_month]
    late = exact_sum(row.billed_cost for row in own if row.is_pinned and not row.is_in_time)
    replaced = exact_sum(row.billed_cost for row in own if row.is_in_time and not row.is_pinned)
    return BilledSource(
        id=rows[0].source_id,
        name=rows[0].source,
        currency=currency,
        lines=_lines([row for row in own if row.is_in_time]),
        through=max((row.last_day for row in own if row.is_pinned), default=None),
        credit=exact_sum(row.billed_cost for row in credits),
        credit_rows=sum(row.rows for row in credits),
        late_cost=exact_sum((late, replaced.copy_negate())),
        late_deliveries=late_deliveries,
        other_months_cost=exact_sum(row.billed_cost for row in elsewhere),
        other_months_rows=sum(row.rows for row in elsewhere),
    )


def _lines(rows: Iterable[ChargeRow]) -> dict[Name, tuple[BilledLine, ...]]:
    """Buckets of one model, class and tier in one line."""
    merged: dict[tuple[Name, str | None, bool], list[ChargeRow]] = {}
    for row in rows:
        key = (row.name, row.split_key.get("token_class"), row.split_key.get("tier") == "batch")
        merged.setdefault(key, []).append(row)
    found: dict[Name, tuple[BilledLine, ...]] = {}
    for (name, token_class, is_batch), own in merged.items():
        line = BilledLine(
            token_class=token_class,
            is_batch=is_batch,
            rows=sum(row.rows for row in own),
            quantity=_known_sum(row.quantity for row in own),
            billed_cost=exact_sum(row.billed_cost for row in own),
            list_cost=_known_sum(row.list_cost for row in own),
            contracted_cost=_known_sum(row.contracted_cost for row in own),
            rounding=exact_sum(row.rounding for row in own),
        )
        found[name] = (*found.get(name, ()), line)
    return found


def _known_sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """NULL where any is unknown."""
    known = list(amounts)
    return None if None in known else exact_sum(amount for amount in known if amount is not None)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(0), tzinfo=UTC)


# ---------------------------------------------------------------- traces


@dataclass(frozen=True)
class UsageRow:
    """`prices` are the lines of its price model, none where it has no price."""

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

    def price(self, column: str, tier: str | None) -> Decimal | None:
        """USD per token at noon of the day."""
        line = applicable(
            self.prices, column, self.band, datetime.combine(self.day, time(12), tzinfo=UTC), tier
        )
        return line.per_million.scaleb(-6) if line else None


Versions = tuple[tuple[date, int | None], ...]


def _usage(month: date) -> tuple[UsageRow, ...]:
    """The month's usage as it is now; kept by process as long as no day changes and nothing waits to be merged."""
    period = Period.month(month)
    versions = tuple(sorted(usage_versions(period.start, period.end).items()))
    read = _read_usage if any(version is None for _, version in versions) else _kept_usage
    return read(month, versions)


def _read_usage(month: date, _versions: Versions) -> tuple[UsageRow, ...]:
    period = Period.month(month)
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute(USAGE, {"first": _midnight(period.start), "last": _midnight(period.end)})
        rows = cursor.fetchall()
    lines = _price_lines({(row[8], row[6], row[7]) for row in rows if row[9] and row[7]})
    return tuple(
        UsageRow(
            day=row[0],
            name=(SAME_PROVIDER.get(row[1], row[1]), row[2], row[3]),
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


_kept_usage = lru_cache(maxsize=12)(_read_usage)


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
        """Per column: what the traced tokens cost on average; of a column without any, as the largest row's model."""
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
    """The row's list cost by column, adding up to it; whatever prices by the call or by the hour add goes along."""
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


# ---------------------------------------------------------------- both sides


@dataclass
class SourceUsage:
    """A source's charges with the traces that belong to them."""

    charges: BilledSource
    traced: dict[Name, TracedModel] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.charges.name

    @property
    def currency(self) -> str:
        return self.charges.currency

    @property
    def through(self) -> date | None:
        return self.charges.through

    def named(self, name: Name) -> Name | None:
        """The source's own name for a model of the traces, where its bill has a line of it."""
        for known in (name, (name[0], ANY_PROJECT, name[2])):
            if known in self.charges.lines:
                return known
        return None

    def bill(self) -> SourceBill:
        lines = self.charges.lines
        names = sorted({*lines, *self.traced}, key=lambda name: tuple(part or "" for part in name))
        return SourceBill(
            source_id=self.charges.id,
            source=self.name,
            currency=self.currency,
            models=tuple(
                _model_usage(name, lines.get(name, ()), self.traced.get(name)) for name in names
            ),
            credit=self.charges.credit,
            credit_rows=self.charges.credit_rows,
            late_cost=self.charges.late_cost,
            late_deliveries=self.charges.late_deliveries,
            other_months_cost=self.charges.other_months_cost,
            other_months_rows=self.charges.other_months_rows,
        )


def _model_usage(
    name: Name, lines: tuple[BilledLine, ...], traced: TracedModel | None
) -> ModelUsage:
    if traced is None:
        return ModelUsage(*name, lines=lines)
    with localcontext(prec=WORKING_DIGITS):
        prices = traced.prices()
    return ModelUsage(
        *name,
        lines=lines,
        traced=traced.tokens(),
        prices=prices,
        calls=traced.calls,
        silent_calls=traced.silent,
        unpriced_calls=traced.unpriced,
        batch_calls=traced.batch,
    )


class Sources:
    """Gives each traced model to the one source whose bill has it; what none or several could have stays apart."""

    def __init__(self, charges: Sequence[BilledSource]) -> None:
        self.sources = [SourceUsage(source) for source in charges]
        self.apart: dict[tuple[Name, str], TracedModel] = {}

    def take(self, rows: Iterable[UsageRow]) -> None:
        homes: dict[Name, tuple[SourceUsage | None, Name, str]] = {}
        with localcontext(prec=WORKING_DIGITS):
            for row in rows:
                if row.name not in homes:
                    homes[row.name] = self._home(row.name)
                source, name, reason = homes[row.name]
                if source is None:
                    self.apart.setdefault((name, reason), TracedModel()).add(row)
                elif source.through is None or row.day <= source.through:
                    source.traced.setdefault(name, TracedModel()).add(row)

    def _home(self, name: Name) -> tuple[SourceUsage | None, Name, str]:
        """By model, then by project, then by provider: the narrowest at which a single source answers."""
        exact = [(source, named) for source in self.sources if (named := source.named(name))]
        if exact:
            source, named = exact[0]
            return (
                (source, named, "")
                if len(exact) == 1
                else (None, name, "on the bills of several sources")
            )
        provider, project, _ = name
        for wanted in (
            [
                s
                for s in self.sources
                if any(n[0] == provider and n[1] in (project, ANY_PROJECT) for n in s.charges.lines)
            ],
            [s for s in self.sources if any(n[0] == provider for n in s.charges.lines)],
        ):
            if len(wanted) == 1:
                return wanted[0], name, ""
            if wanted:
                return None, name, "several sources bill this provider"
        return None, name, "no bill of this provider"

    def off_the_bill(self) -> list[OffTheBill]:
        """Largest estimate first."""
        found = [
            OffTheBill(
                *name,
                calls=model.calls,
                unpriced_calls=model.unpriced,
                estimate=exact_sum(sums.list_cost for sums in model.columns.values()),
                reason=reason,
            )
            for (name, reason), model in self.apart.items()
        ]
        return sorted(found, key=lambda one: (-one.estimate, -one.calls, one.model or ""))
