"""Small bills and traces for ledger tests, written straight into the tables that imports and the
receiver fill.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from allocation.catalogue.canonical import TOKEN_COLUMNS
from allocation.models import (
    Charge,
    ChargeDimension,
    ChargeScope,
    Import,
    RuleSet,
    Source,
    UsageDimension,
    UsageHourly,
)
from allocation.rules.rule_sets import latest_rule_set
from allocation.rules.rules import parse_rules
from allocation.runs.month import AllocationOutcome, allocate_period
from allocation.values.periods import Period

OCTOBER = Period.parse("2026-10")
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
START, END = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
OPENAI: dict[str, Any] = {
    "provider_name": "OpenAI",
    "service_name": "OpenAI API",
    "service_category": "AI and Machine Learning",
    "sub_account_id": "proj-1",
    "consumed_unit": "Tokens",
}
AWS: dict[str, Any] = {
    "provider_name": "AWS",
    "service_name": "Amazon EC2",
    "sub_account_id": "111",
}


def utc(day: int, hour: int = 0, *, month: int = 10) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


@dataclass
class Bill:
    """One published snapshot; `charge` adds a row to it."""

    name: str = "openai"
    month: date = OCTOBER.start
    settings: dict[str, Any] = field(default_factory=dict)
    delivery: str = "overwrite"
    line: int = 1

    def __post_init__(self) -> None:
        self.source, _ = Source.objects.get_or_create(name=self.name, defaults=self.settings)
        start = datetime(self.month.year, self.month.month, 1, tzinfo=UTC)
        self.scope = ChargeScope.objects.create(
            source=self.source,
            bill_import=Import.objects.create(
                source=self.source, status="loaded", file_name=f"{self.name}.csv"
            ),
            billing_account_id=self.name,
            billing_period_start=start,
            billing_period_end=datetime.combine(
                Period.month(self.month).end, datetime.min.time(), tzinfo=UTC
            ),
            billing_month=self.month,
            delivery=self.delivery,
            state="current",
        )
        with connection.cursor() as cursor:
            cursor.execute("SELECT ensure_charge_partition(%s)", [self.month])

    def charge(
        self,
        billed: str,
        effective: str | None = None,
        *,
        at: datetime | None = None,
        until: datetime | None = None,
        quantity: str | None = None,
        currency: str = "USD",
        category: str = "Usage",
        listed: str | None = None,
        extra: dict[str, str] | None = None,
        **columns: Any,
    ) -> None:
        """A row of one hour unless `until` says otherwise; `columns` are ChargeDimension's."""
        at = at or utc(5, 10)
        self.line += 1
        Charge.objects.create(
            billing_month=self.month,
            scope_id=self.scope.pk,
            line=self.line,
            dimension_id=dimension(self.scope, currency, category, columns).pk,
            charge_period_start=at,
            charge_period_end=until or at + timedelta(hours=1),
            billed_cost=Decimal(billed),
            effective_cost=Decimal(effective if effective is not None else billed),
            list_cost=Decimal(listed) if listed is not None else None,
            consumed_quantity=Decimal(quantity) if quantity is not None else None,
            extra=extra,
        )


def dimension(
    scope: ChargeScope, currency: str, category: str, columns: dict[str, Any]
) -> ChargeDimension:
    about = {
        "billing_period_start": scope.billing_period_start,
        "billing_period_end": scope.billing_period_end,
        "billing_account_id": scope.billing_account_id,
        "billing_currency": currency,
        "charge_category": category,
        **columns,
    }
    key = hashlib.md5(repr(sorted(about.items(), key=lambda item: item[0])).encode()).digest()
    return ChargeDimension.objects.get_or_create(content_hash=key, defaults=about)[0]


def usage(
    team: str | None,
    feature: str | None = None,
    *,
    at: datetime | None = None,
    provider: str = "openai",
    project: str | None = "proj-1",
    model: str = "gpt-4o",
    tier: str | None = None,
    calls: int = 1,
    list_cost: str | None = None,
    about: dict[str, Any] | None = None,
    **tokens: int | str,
) -> None:
    """An hour of one caller's model calls; `tokens` are columns of usage_hourly."""
    told = {
        "is_inference": True,
        "provider": provider,
        "project": project,
        "model": model,
        "tier": tier,
        "team": team,
        "feature": feature,
        **(about or {}),
    }
    key = hashlib.md5(repr(sorted(told.items(), key=lambda item: item[0])).encode()).digest()
    known = UsageDimension.objects.get_or_create(content_hash=key, defaults=told)[0]
    columns = {name: Decimal(0) for name in TOKEN_COLUMNS} | {
        name: Decimal(n) for name, n in tokens.items()
    }
    UsageHourly.objects.create(
        hour=at or utc(5, 10),
        dimension_id=known.pk,
        spans=calls,
        calls=calls,
        calls_without_usage=0,
        errors=0,
        duration_us=0,
        list_cost=Decimal(list_cost) if list_cost is not None else None,
        **columns,
    )


def put_in_force(text: str, *, month: date = OCTOBER.start) -> RuleSet:
    """The rules as the next version from the month on, without the preview that applying them asks
    for.
    """
    parse_rules(text)
    return RuleSet.objects.create(
        number=latest_rule_set().number + 1,
        text=text,
        content_sha256=sha256(text),
        effective_from=month,
    )


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def allocate(period: Period = OCTOBER, **options: Any) -> AllocationOutcome:
    return allocate_period(period=period, now=NOW, **options)


# One row per target and kind of the current run of a currency.
SHARES = """
SELECT t.team, t.feature, t.model, t.reason, a.charge_kind, a.evidence, sum(a.billed_cost),
    sum(a.effective_cost)
FROM allocated_cost a
JOIN allocation_target t ON t.id = a.target_id
JOIN allocation_allocationrun r ON r.id = a.run_id AND r.is_current AND r.currency = %s
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY 1 NULLS LAST, 2 NULLS LAST, 3 NULLS LAST, 4 NULLS LAST, 5, 6
"""


@dataclass(frozen=True)
class Share:
    team: str | None
    feature: str | None
    model: str | None
    reason: str | None
    kind: str
    rung: int
    billed: Decimal
    effective: Decimal


def shares(currency: str = "USD") -> list[Share]:
    with connection.cursor() as cursor:
        cursor.execute(SHARES, [currency])
        return [Share(*row) for row in cursor.fetchall()]


def billed_by_team(currency: str = "USD") -> dict[str | None, Decimal]:
    """Billed cost per team, or per reason for what no team has."""
    found: dict[str | None, Decimal] = {}
    for share in shares(currency):
        name = share.team or share.reason
        found[name] = found.get(name, Decimal(0)) + share.billed
    return found
