"""What the bills of a month say of model usage: the charges of each current run's pinned snapshots,
by source and model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.db import connection

from allocation.models import ProjectMatch, Source
from allocation.storage.rows import whole_month_plans
from allocation.values.money import exact_sum, minor_units
from allocation.values.periods import Period, midnight
from reports.analysis.gap import BilledLine
from reports.asking import cached_by_run, fetch
from reports.cost_question.runs import MonthRun
from reports.queries.explain.variants import run_scopes, run_variant, run_with_rules

CREDITS = ("Credit", "Adjustment")
Name = tuple[str | None, str | None, str | None]  # provider, project, model

# Published snapshots of what the run pinned, in order of delivery: the pinned ones and those they
# replaced.
DELIVERIES = """
SELECT s.id, s.source_id, s.billing_account_id, s.billing_period_start, s.billing_period_end,
    s.published_at, s.id = ANY(%(scopes)s) AS is_pinned,
    EXISTS (SELECT FROM charge c WHERE c.billing_month = s.billing_month AND c.scope_id = s.id)
        AS has_rows
FROM allocation_chargescope s
WHERE s.billing_month = %(month)s AND s.state <> 'staged' AND s.source_id IN (
    SELECT source_id FROM allocation_chargescope WHERE id = ANY(%(scopes)s))
ORDER BY s.published_at NULLS FIRST, s.id
"""

# Some bills write 0 where they do not know what was contracted, or at which list price.
CONTRACTED = "nullif(c.contracted_cost, CASE WHEN c.billed_cost <> 0 THEN 0 END)"
LISTED = "nullif(c.list_cost, CASE WHEN c.billed_cost <> 0 THEN 0 END)"

# One row per join key of a run: the calls that it joined with the lines, in tokens; NULL where any
# of them has a coverage that is not known in tokens.
JOINED = """
SELECT b.source_id, b.split_key ->> 'provider', b.split_key ->> 'project', b.split_key ->> 'model',
    CASE WHEN count(g.coverage * g.quantity) = count(*) THEN sum(g.coverage * g.quantity) END
FROM charge_split_key b
JOIN charge_group g ON g.run_id = b.run_id AND g.split_key_id = b.split_key_id
WHERE b.run_id = %(run)s AND b.method = 'traced_usage'
GROUP BY 1, 2, 3, 4
"""

# One row per split key of model usage or credits, by whether its charges are of the month, pinned,
# and delivered in time. A sum is NULL where any charge lacks it.
CHARGES = """
SELECT b.id, b.source_id, source.name, b.method, b.charge_category, b.service_name,
    b.split_key::text,
    c.charge_period_start >= %(first)s AND c.charge_period_start < %(last)s AS is_of_month,
    c.scope_id = ANY(%(scopes)s) AS is_pinned, c.scope_id = ANY(%(in_time)s) AS is_in_time,
    max((c.charge_period_start AT TIME ZONE 'UTC')::date), count(*), sum(c.billed_cost),
    CASE WHEN count({listed}) = count(*) THEN sum({listed}) END,
    CASE WHEN count({contracted}) = count(*) THEN sum(c.contracted_cost) END,
    CASE WHEN count(c.consumed_quantity) = count(*) THEN sum(c.consumed_quantity) END,
    CASE WHEN count(c.pricing_quantity) = count(*) THEN sum(c.pricing_quantity) END,
    coalesce(sum(c.billed_cost - c.contracted_cost)
        FILTER (WHERE abs(c.billed_cost - c.contracted_cost) < %(minor_unit)s), 0)
FROM charge c
JOIN allocation_chargescope s ON s.id = c.scope_id
JOIN charge_to_split_key m ON m.run_id = %(run)s AND m.source_id = s.source_id
    AND m.dimension_id = c.dimension_id AND m.variant = {variant}
JOIN split_key b ON b.id = m.split_key_id
JOIN allocation_source source ON source.id = b.source_id
WHERE c.billing_month = %(month)s AND c.scope_id = ANY(%(read)s)
    AND (b.method = 'traced_usage' OR b.charge_category = ANY(%(credits)s))
GROUP BY b.id, source.name, 8, 9, 10
ORDER BY b.id
"""


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
    places_calls: bool  # calls that name no project are placed in those of the bill
    joined: Mapping[Name, Decimal | None]  # tokens of the calls that the run joined


@dataclass(frozen=True)
class ChargeRow:
    split_key_id: int
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
        """A traced-usage line that is about tokens; a seat or a support plan of a model seller is
        not.
        """
        return self.method == "traced_usage" and bool(
            self.split_key.get("model") or self.split_key.get("token_class")
        )


@cached_by_run
def billed_sources(*, question: MonthRun) -> tuple[BilledSource, ...]:
    """Sources with model usage in the charges of one run."""
    run = run_with_rules(question.id)
    scopes = run_scopes(run)
    in_time, late = _delivered_in_time(question.month, scopes)
    read = sorted({*scopes, *in_time})
    month = Period.month(question.month)
    values: dict[str, Any] = {
        "run": question.id,
        "month": question.month,
        "first": midnight(month.start),
        "last": midnight(month.end),
        "scopes": scopes,
        "in_time": in_time,
        "read": read,
        "credits": list(CREDITS),
        "minor_unit": Decimal(1).scaleb(-minor_units(question.currency)),
    }
    with whole_month_plans():
        variant = run_variant(run, read)
        charges = CHARGES.format(variant=variant, contracted=CONTRACTED, listed=LISTED)
        rows = fetch(ChargeRow, charges, values)
    by_source: dict[int, list[ChargeRow]] = {}
    for row in rows:
        by_source.setdefault(row.source_id, []).append(row)
    joined = _joined_tokens(question.id)
    placing = {
        pk
        for pk, match in Source.objects.values_list("pk", "project_match")
        if match == ProjectMatch.AUTO
    }
    made = [
        _billed_source(
            own,
            question.currency,
            late.get(source, 0),
            places_calls=source in placing,
            joined=joined.get(source, {}),
        )
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

    Complete is what was published after the billing period's end. Where it is no longer kept, or
    none came yet, what is pinned counts as delivered in time.
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
        if after and not before:
            # An overwriting source: the later snapshot took the first one's place.
            before = [whole] if whole.has_rows else after
            after = after if whole.has_rows else []
        in_time += [row.id for row in before]
        if after:
            later = [row for row in rows if row.published_at and row.published_at > moment]
            late[source] = late.get(source, 0) + len(later)
    return sorted(in_time), late


def _joined_tokens(run: int) -> dict[int, dict[Name, Decimal | None]]:
    found: dict[int, dict[Name, Decimal | None]] = {}
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute(JOINED, {"run": run})
        for source, provider, project, model, tokens in cursor.fetchall():
            found.setdefault(source, {})[provider, project, model] = tokens
    return found


def _billed_source(
    rows: list[ChargeRow],
    currency: str,
    late_deliveries: int,
    *,
    places_calls: bool,
    joined: Mapping[Name, Decimal | None],
) -> BilledSource:
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
        places_calls=places_calls,
        joined=joined,
    )


def _lines(rows: Iterable[ChargeRow]) -> dict[Name, tuple[BilledLine, ...]]:
    """Split keys of one model, class and tier in one line."""
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
            is_known=not any(row.split_key.get("is_unknown") for row in own),
        )
        found[name] = (*found.get(name, ()), line)
    return found


def _known_sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """NULL where any is unknown."""
    known = list(amounts)
    return None if None in known else exact_sum(amount for amount in known if amount is not None)
