"""AWS services of the demo besides models and GPUs: a vector index with a prepaid year, and an
ordinary cloud bill.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from portal.demo.aws_lines import BillDay, Thing, cause_of, charged, tags_of, used
from portal.demo.focus_rows import DemoBillLine
from portal.demo.truth import OTHER, UNTAGGED, Cause

_INDEX = Thing(
    project="ml-serving",
    service="Amazon OpenSearch Service",
    category="Databases",
    tags=tags_of("semantic-search"),
    cause=cause_of("semantic-search", "ai_supporting"),
)
_INDEX_PER_DAY = Decimal("28.80")
_INDEX_ID = "arn:aws:es:us-east-1:410022100001:reserved-instance/ri-2026-08-vectors"
_INDEX_COLUMNS = {
    "CommitmentDiscountCategory": "Usage",
    "CommitmentDiscountId": _INDEX_ID,
    "CommitmentDiscountName": "OpenSearch reserved instances, 1 year, all upfront",
    "CommitmentDiscountType": "Reserved Instance",
}
_RESERVED_AFTER = timedelta(days=4)


def index_lines(on: BillDay) -> Iterator[DemoBillLine]:
    """The vector index's prepaid year, and the hours that it covers."""
    reserved = on.settings.first_day + _RESERVED_AFTER
    if on.day == reserved:
        yield charged(
            on,
            _INDEX,
            "OpenSearch r7g.2xlarge.search reserved for 1 year, all upfront",
            "Purchase",
            billed=365 * _INDEX_PER_DAY,
            effective=Decimal(0),
            columns=_INDEX_COLUMNS | {"PricingQuantity": "1", "PricingUnit": "Commitment"},
            days=365,
        )
    if on.day >= reserved:
        yield used(
            on,
            _INDEX,
            "r7g.2xlarge.search vector index hours, reserved",
            Decimal(72),
            "Hours",
            Decimal("0.668"),
            columns=_INDEX_COLUMNS
            | {
                "CommitmentDiscountStatus": "Used",
                "PricingCategory": "Committed",
                "ResourceName": "search-vectors",
                "ResourceId": "arn:aws:es:us-east-1:410022120777:domain/search-vectors",
            },
            prepaid=_INDEX_PER_DAY,
        )


@dataclass(frozen=True)
class Service:
    """One line a day of so many units, which vary by `noise`."""

    service: str
    category: str
    description: str
    unit: str
    units: int
    price: str
    project: str
    cause: Cause
    noise: float = 0.0


_SERVICES = (
    Service(
        "Amazon OpenSearch Service",
        "Databases",
        "r7g.large.search knowledge index hours",
        "Hours",
        96,
        "0.167",
        "ml-serving",
        cause_of("knowledge-index", "ai_supporting"),
    ),
    Service(
        "Amazon Simple Storage Service",
        "Storage",
        "TimedStorage-ByteHrs training images",
        "GB-Mo",
        620,
        "0.023",
        "ml-training",
        cause_of("visual-search-training", "ai_supporting"),
        0.02,
    ),
    Service(
        "AWS Lambda",
        "Compute",
        "Lambda-GB-Second store set-up tools",
        "GB-Seconds",
        260000,
        "0.0000166667",
        "ai-prod",
        cause_of("store-setup", "ai_supporting"),
        0.25,
    ),
    Service(
        "Amazon SageMaker",
        "AI and Machine Learning",
        "Studio notebooks ml.m5.4xlarge hours",
        "Hours",
        38,
        "0.922",
        "ml-training",
        UNTAGGED,
        0.2,
    ),
    Service(
        "Amazon Elastic Compute Cloud",
        "Compute",
        "$0.384 per On Demand Linux m6i.2xlarge Instance Hour",
        "Hours",
        480,
        "0.384",
        "shared-services",
        OTHER,
        0.05,
    ),
    Service(
        "Amazon Relational Database Service",
        "Databases",
        "db.r6g.2xlarge PostgreSQL Multi-AZ hours",
        "Hours",
        120,
        "1.80",
        "shared-services",
        OTHER,
    ),
    Service(
        "Amazon CloudFront",
        "Networking",
        "US-DataTransfer-Out-Bytes",
        "GB",
        980,
        "0.085",
        "shared-services",
        OTHER,
        0.15,
    ),
    Service(
        "AmazonCloudWatch",
        "Management and Governance",
        "USE1-DataProcessing-Bytes",
        "GB",
        55,
        "0.50",
        "shared-services",
        OTHER,
        0.1,
    ),
)


def service_lines(on: BillDay) -> Iterator[DemoBillLine]:
    rng = on.random(2)
    for each in _SERVICES:
        units = Decimal(int(each.units * (1.0 + each.noise * rng.uniform(-1.0, 1.0))))
        thing = Thing(each.project, each.service, each.category, _tags(each.cause), each.cause)
        columns = {"SkuId": each.description.split()[0]}
        yield used(
            on, thing, each.description, units, each.unit, Decimal(each.price), columns=columns
        )


def _tags(cause: Cause) -> dict[str, str]:
    if cause.feature:
        return tags_of(cause.feature)
    return {"application": "web"} if cause is OTHER else {}
