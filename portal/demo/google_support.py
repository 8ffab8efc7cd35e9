"""Google Cloud besides the models: vector search, storage, and services that have nothing to do
with AI. In euro.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from allocation.values.money import plain
from portal.demo.company import PROJECTS
from portal.demo.focus_rows import BillAccount, DemoBillLine
from portal.demo.truth import OTHER, Cause


@dataclass(frozen=True)
class _Service:
    service: str
    category: str
    meter: str
    unit: str
    per_day: Decimal
    price: Decimal  # EUR per unit
    project: str
    cause: Cause


_SERVICES = (
    _Service(
        "Vertex AI Vector Search",
        "AI and Machine Learning",
        "Vector Search index serving e2-standard-16 Frankfurt",
        "Hours",
        Decimal(24),
        Decimal("0.86"),
        "docs-prod",
        Cause("documents", None, "contract-review", "ai_supporting"),
    ),
    _Service(
        "Cloud Storage",
        "Storage",
        "Standard Storage Frankfurt",
        "GB-Months",
        Decimal(310),
        Decimal("0.021"),
        "docs-prod",
        Cause("documents", None, "invoice-extraction", "ai_supporting"),
    ),
    _Service(
        "BigQuery",
        "Analytics",
        "Analysis (europe-west3)",
        "TB",
        Decimal(11),
        Decimal("5.92"),
        "compliance-prod",
        OTHER,
    ),
    _Service(
        "Kubernetes Engine",
        "Compute",
        "E2 Instance Core running in Frankfurt",
        "Hours",
        Decimal(960),
        Decimal("0.0256"),
        "docs-prod",
        OTHER,
    ),
)


def google_lines(account: BillAccount, month: date, days: list[date]) -> Iterator[DemoBillLine]:
    for day in days:
        for item in _SERVICES:
            cost = item.per_day * item.price
            project = PROJECTS[item.project]
            tags = {}
            if item.cause.team and item.cause.feature:
                tags = {
                    "team": item.cause.team,
                    "feature": item.cause.feature,
                    "environment": "production",
                }
            yield DemoBillLine(
                account=account,
                month=month,
                start=day,
                end=day + timedelta(days=1),
                category="Usage",
                service=item.service,
                service_category=item.category,
                description=item.meter,
                billed=cost,
                effective=cost,
                listed=cost,
                contracted=cost,
                project=(project.identifier, project.name),
                tags=tags,
                columns={
                    "SkuMeter": item.meter,
                    "ConsumedQuantity": plain(item.per_day),
                    "ConsumedUnit": item.unit,
                    "PricingQuantity": plain(item.per_day),
                    "PricingUnit": item.unit,
                    "PricingCategory": "Standard",
                    "ListUnitPrice": plain(item.price),
                    "ContractedUnitPrice": plain(item.price),
                    "RegionId": "europe-west3",
                    "RegionName": "Frankfurt",
                },
                causes={item.cause: 1},
            )
