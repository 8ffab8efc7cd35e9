"""AWS besides Bedrock: GPU instances by tag, a savings plan, vector index and storage, and an
ordinary cloud bill.

GPU jobs follow the shape of cluster logs (Philly 2017: most jobs are small and short, a few run for
days): one node trains round the clock under a commitment, retraining comes in weekly bursts,
evaluations in short nightly ones, and serving nodes run always.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import numpy as np

from allocation.values.money import plain
from portal.demo import cases, events
from portal.demo.company import FEATURES, PROJECTS
from portal.demo.focus_rows import Account, Line
from portal.demo.prices import CONTRACT
from portal.demo.settings import DemoSettings
from portal.demo.truth import OTHER, UNTAGGED, Cause

_HOURLY = {  # on-demand list price, Linux, us-east-1
    "p5.48xlarge": Decimal("55.04"),
    "g6.48xlarge": Decimal("13.3504"),
    "g6.12xlarge": Decimal("4.6016"),
    "g6.4xlarge": Decimal("1.3232"),
}
_PLAN_ID = "arn:aws:savingsplans::410022100001:savingsplan/5b1f7c02-9d3e-4a57-8c61-2f0e94d7ab13"
_PLAN_RATE = Decimal("33.024")  # of a p5.48xlarge hour under the plan
_INDEX_ID = "arn:aws:es:us-east-1:410022100001:reserved-instance/ri-2026-08-vectors"
_INDEX_PER_DAY = Decimal("28.80")


@dataclass(frozen=True)
class Node:
    """A GPU instance that runs `hours` a day on `weekdays`."""

    name: str
    instance: str
    account: str
    feature: str
    hours: float = 24.0
    weekdays: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    environment: str = "production"
    committed: bool = False


_NODES = (
    Node("train-p5-01", "p5.48xlarge", "ml-training", "visual-search-training", committed=True),
    Node("retrain-p5-01", "p5.48xlarge", "ml-training", "ranker-retrain", hours=9.0, weekdays=(6,)),
    Node("embed-g6-01", "g6.12xlarge", "ml-serving", "embedding-service"),
    Node("embed-g6-02", "g6.12xlarge", "ml-serving", "embedding-service"),
    Node("ranker-g6-01", "g6.12xlarge", "ml-serving", "ranker"),
    Node("vision-g6-01", "g6.4xlarge", "ml-serving", "visual-search"),
    Node("vision-g6-02", "g6.4xlarge", "ml-serving", "visual-search"),
    Node(
        "eval-g6-01",
        "g6.12xlarge",
        "ml-training",
        "eval-harness",
        hours=6.0,
        weekdays=(0, 1, 2, 3, 4),
    ),
    Node("staging-g6-07", "g6.48xlarge", "ml-serving", "staging-inference", environment="staging"),
)
_RUNAWAY = tuple(
    Node(f"retrain-p5-0{n}", "p5.48xlarge", "ml-training", "ranker-retrain") for n in (2, 3, 4)
)
_TEAM = {feature.slug: feature.team for feature in FEATURES}


def aws_lines(
    settings: DemoSettings, account: Account, month: date, days: list[date]
) -> Iterator[Line]:
    for day in days:
        for node in _nodes_on(settings, day):
            yield from _node_lines(settings, account, month, day, node)
        yield from _commitment_lines(settings, account, month, day)
        yield from _service_lines(settings, account, month, day)


def _nodes_on(settings: DemoSettings, day: date) -> Iterator[Node]:
    yield from (node for node in _NODES if day.weekday() in node.weekdays)
    _, begins, ends = events.RUNAWAY_RETRAIN
    if settings.day(begins) <= day <= settings.day(ends):
        yield from _RUNAWAY


def _random(settings: DemoSettings, day: date, what: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([settings.seed, day.toordinal(), 9100 + what]))


def _plan_hours(settings: DemoSettings, day: date) -> Decimal:
    """Hours of the committed node on a day: now and then it waits for data, and the commitment goes
    unused.
    """
    rng = _random(settings, day, 1)
    return Decimal(24 - int(rng.integers(3, 9))) if rng.random() < 0.12 else Decimal(24)


def tags_of(feature: str, environment: str = "production") -> dict[str, str]:
    return {"team": _TEAM[feature], "feature": feature, "environment": environment}


def _node_lines(
    settings: DemoSettings, account: Account, month: date, day: date, node: Node
) -> Iterator[Line]:
    hours = _plan_hours(settings, day) if node.committed else Decimal(str(node.hours))
    listed = _HOURLY[node.instance]
    contracted = listed * CONTRACT["aws"]
    tags = tags_of(node.feature, node.environment)
    begins, ends = events.MISTAGGED
    has_wrong_tags = not settings.complete or settings.case == cases.MISTAGGED
    if (
        node.feature == "visual-search"
        and settings.day(begins) <= day <= settings.day(ends)
        and has_wrong_tags
    ):
        tags = tags_of("semantic-search")
    identity = (
        f"i-{sum((n + 7) * ord(c) for n, c in enumerate(node.name)) * 0x9E3779B97F4A7 % 2**68:017x}"
    )
    account_id = PROJECTS[node.account].identifier
    columns = {
        "ResourceId": f"arn:aws:ec2:us-east-1:{account_id}:instance/{identity}",
        "ResourceName": node.name,
        "ResourceType": "Instance",
        "SkuId": f"BoxUsage:{node.instance}",
        "x_UsageType": f"BoxUsage:{node.instance}",
        "x_Operation": "RunInstances",
    }
    if not node.committed:
        yield _usage(
            account,
            month,
            day,
            node.account,
            "Amazon Elastic Compute Cloud",
            "Compute",
            f"${listed} per On Demand Linux {node.instance} Instance Hour",
            hours,
            "Hours",
            listed,
            contracted,
            tags,
            columns,
            _cause(node.feature),
        )
        return
    line = _usage(
        account,
        month,
        day,
        node.account,
        "Amazon Elastic Compute Cloud",
        "Compute",
        f"Linux {node.instance} Instance Hour, covered by Compute Savings Plan",
        hours,
        "Hours",
        listed,
        contracted,
        tags,
        columns | _plan_columns("Used") | {"PricingCategory": "Committed"},
        _cause(node.feature),
        billed=Decimal(0),
        effective=hours * _PLAN_RATE,
    )
    yield line


def _cause(feature: str, scope: str = "ai") -> Cause:
    return Cause(_TEAM[feature], None, feature, scope)


def _plan_columns(status: str | None) -> dict[str, str]:
    columns = {
        "CommitmentDiscountCategory": "Spend",
        "CommitmentDiscountId": _PLAN_ID,
        "CommitmentDiscountName": "Compute Savings Plan 1 year, no upfront",
        "CommitmentDiscountType": "Compute Savings Plan",
    }
    return columns | ({"CommitmentDiscountStatus": status} if status else {})


def _commitment_lines(
    settings: DemoSettings, account: Account, month: date, day: date
) -> Iterator[Line]:
    """The plan's recurring fee, what of it nobody used, and the vector index's prepaid year."""
    feature = "visual-search-training"
    fee = 24 * _PLAN_RATE
    yield _plain(
        account,
        month,
        day,
        day + timedelta(days=1),
        "ml-training",
        "Savings Plans for AWS Compute usage",
        "Compute",
        "1 year No Upfront Compute Savings Plan, recurring fee",
        "Purchase",
        fee,
        Decimal(0),
        tags_of(feature),
        _plan_columns(None)
        | {
            "ChargeFrequency": "Recurring",
            "PricingQuantity": "24",
            "PricingUnit": "Hours",
            "PricingCategory": "Committed",
        },
        _cause(feature, "ai"),
    )
    idle = 24 - _plan_hours(settings, day)
    if idle:
        yield _plain(
            account,
            month,
            day,
            day + timedelta(days=1),
            "ml-training",
            "Savings Plans for AWS Compute usage",
            "Compute",
            "Compute Savings Plan, unused",
            "Usage",
            Decimal(0),
            idle * _PLAN_RATE,
            tags_of(feature),
            _plan_columns("Unused")
            | {
                "PricingCategory": "Committed",
                "PricingQuantity": plain(idle),
                "PricingUnit": "Hours",
            },
            _cause(feature, "ai"),
        )
    index = {
        "CommitmentDiscountCategory": "Usage",
        "CommitmentDiscountId": _INDEX_ID,
        "CommitmentDiscountName": "OpenSearch reserved instances, 1 year, all upfront",
        "CommitmentDiscountType": "Reserved Instance",
    }
    if day == settings.first_day + timedelta(days=4):
        yield _plain(
            account,
            month,
            day,
            day + timedelta(days=365),
            "ml-serving",
            "Amazon OpenSearch Service",
            "Databases",
            "OpenSearch r7g.2xlarge.search reserved for 1 year, all upfront",
            "Purchase",
            365 * _INDEX_PER_DAY,
            Decimal(0),
            tags_of("semantic-search"),
            index | {"PricingQuantity": "1", "PricingUnit": "Commitment"},
            _cause("semantic-search", "ai_supporting"),
        )
    if day >= settings.first_day + timedelta(days=4):
        yield _usage(
            account,
            month,
            day,
            "ml-serving",
            "Amazon OpenSearch Service",
            "Databases",
            "r7g.2xlarge.search vector index hours, reserved",
            Decimal(72),
            "Hours",
            Decimal("0.668"),
            Decimal("0.61456"),
            tags_of("semantic-search"),
            index
            | {
                "CommitmentDiscountStatus": "Used",
                "PricingCategory": "Committed",
                "ResourceName": "search-vectors",
                "ResourceId": "arn:aws:es:us-east-1:410022120777:domain/search-vectors",
            },
            _cause("semantic-search", "ai_supporting"),
            billed=Decimal(0),
            effective=_INDEX_PER_DAY,
        )


# service, category, description, unit, units a day, list price, account, cause, daily noise
_SERVICES = (
    (
        "Amazon OpenSearch Service",
        "Databases",
        "r7g.large.search knowledge index hours",
        "Hours",
        96,
        "0.167",
        "ml-serving",
        _cause("knowledge-index", "ai_supporting"),
        0.0,
    ),
    (
        "Amazon Simple Storage Service",
        "Storage",
        "TimedStorage-ByteHrs training images",
        "GB-Mo",
        620,
        "0.023",
        "ml-training",
        _cause("visual-search-training", "ai_supporting"),
        0.02,
    ),
    (
        "AWS Lambda",
        "Compute",
        "Lambda-GB-Second store set-up tools",
        "GB-Seconds",
        260000,
        "0.0000166667",
        "ai-prod",
        _cause("store-setup", "ai_supporting"),
        0.25,
    ),
    (
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
    (
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
    (
        "Amazon Relational Database Service",
        "Databases",
        "db.r6g.2xlarge PostgreSQL Multi-AZ hours",
        "Hours",
        120,
        "1.80",
        "shared-services",
        OTHER,
        0.0,
    ),
    (
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
    (
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


def _service_lines(
    settings: DemoSettings, account: Account, month: date, day: date
) -> Iterator[Line]:
    rng = _random(settings, day, 2)
    for service, category, description, unit, quantity, price, project, cause, noise in _SERVICES:
        used = Decimal(int(quantity * (1.0 + noise * rng.uniform(-1.0, 1.0))))
        tags = (
            tags_of(cause.feature)
            if cause.feature
            else {"application": "web"}
            if cause is OTHER
            else {}
        )
        listed = Decimal(price)
        yield _usage(
            account,
            month,
            day,
            project,
            service,
            category,
            description,
            used,
            unit,
            listed,
            listed * CONTRACT["aws"],
            tags,
            {
                "SkuId": description.split()[0],
                "RegionId": "us-east-1",
                "RegionName": "US East (N. Virginia)",
            },
            cause,
        )


def _usage(
    account: Account,
    month: date,
    day: date,
    project: str,
    service: str,
    category: str,
    description: str,
    quantity: Decimal,
    unit: str,
    listed: Decimal,
    contracted: Decimal,
    tags: dict[str, str],
    columns: dict[str, str],
    cause: Cause,
    billed: Decimal | None = None,
    effective: Decimal | None = None,
) -> Line:
    cost = contracted * quantity
    return Line(
        account=account,
        month=month,
        start=day,
        end=day + timedelta(days=1),
        category="Usage",
        service=service,
        service_category=category,
        description=description,
        billed=cost if billed is None else billed,
        effective=cost if effective is None else effective,
        listed=listed * quantity,
        contracted=cost,
        project=(PROJECTS[project].identifier, PROJECTS[project].name),
        tags=tags,
        columns={
            "ConsumedQuantity": plain(quantity),
            "ConsumedUnit": unit,
            "PricingQuantity": plain(quantity),
            "PricingUnit": unit,
            "PricingCategory": "Standard",
            "ListUnitPrice": plain(listed),
            "ContractedUnitPrice": plain(contracted),
            "RegionId": "us-east-1",
            "RegionName": "US East (N. Virginia)",
        }
        | columns,
        causes={cause: 1},
    )


def _plain(
    account: Account,
    month: date,
    start: date,
    end: date,
    project: str,
    service: str,
    service_category: str,
    description: str,
    category: str,
    billed: Decimal,
    effective: Decimal,
    tags: dict[str, str],
    columns: dict[str, str],
    cause: Cause,
) -> Line:
    return Line(
        account=account,
        month=month,
        start=start,
        end=end,
        category=category,
        service=service,
        service_category=service_category,
        description=description,
        billed=billed,
        effective=effective,
        listed=billed,
        contracted=billed,
        project=(PROJECTS[project].identifier, PROJECTS[project].name),
        tags=tags,
        columns=columns,
        causes={cause: 1},
    )
