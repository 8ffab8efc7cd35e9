"""AWS besides Bedrock: GPU instances by tag under a savings plan, and the services beside them.

GPU jobs follow the shape of cluster logs (Philly 2017: most jobs are small and short, a few run for
days): one node trains round the clock under a commitment, retraining comes in weekly bursts,
evaluations in short nightly ones, and serving nodes run always.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from allocation.values.money import plain
from portal.demo import cases, events
from portal.demo.aws_lines import BillDay, Thing, cause_of, charged, tags_of, used
from portal.demo.aws_services import index_lines, service_lines
from portal.demo.company import PROJECTS
from portal.demo.focus_rows import BillAccount, DemoBillLine
from portal.demo.settings import DemoSettings

_HOURLY = {  # on-demand list price, Linux, us-east-1
    "p5.48xlarge": Decimal("55.04"),
    "g6.48xlarge": Decimal("13.3504"),
    "g6.12xlarge": Decimal("4.6016"),
    "g6.4xlarge": Decimal("1.3232"),
}
_PLAN_ID = "arn:aws:savingsplans::410022100001:savingsplan/5b1f7c02-9d3e-4a57-8c61-2f0e94d7ab13"
_PLAN_RATE = Decimal("33.024")  # of a p5.48xlarge hour under the plan
_WEEKDAYS = (0, 1, 2, 3, 4)


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
    Node("retrain-p5-01", "p5.48xlarge", "ml-training", "ranker-retrain", 9.0, weekdays=(6,)),
    Node("embed-g6-01", "g6.12xlarge", "ml-serving", "embedding-service"),
    Node("embed-g6-02", "g6.12xlarge", "ml-serving", "embedding-service"),
    Node("ranker-g6-01", "g6.12xlarge", "ml-serving", "ranker"),
    Node("vision-g6-01", "g6.4xlarge", "ml-serving", "visual-search"),
    Node("vision-g6-02", "g6.4xlarge", "ml-serving", "visual-search"),
    Node("eval-g6-01", "g6.12xlarge", "ml-training", "eval-harness", 6.0, weekdays=_WEEKDAYS),
    Node("staging-g6-07", "g6.48xlarge", "ml-serving", "staging-inference", environment="staging"),
)
_RUNAWAY = tuple(
    Node(f"retrain-p5-0{n}", "p5.48xlarge", "ml-training", "ranker-retrain") for n in (2, 3, 4)
)
_PLAN = Thing(
    project="ml-training",
    service="Savings Plans for AWS Compute usage",
    category="Compute",
    tags=tags_of("visual-search-training"),
    cause=cause_of("visual-search-training"),
)


def aws_lines(
    settings: DemoSettings, account: BillAccount, month: date, days: list[date]
) -> Iterator[DemoBillLine]:
    for day in days:
        on = BillDay(settings, account, month, day)
        for node in _nodes_on(settings, day):
            yield _node_line(on, node)
        yield from _plan_lines(on)
        yield from index_lines(on)
        yield from service_lines(on)


def _nodes_on(settings: DemoSettings, day: date) -> Iterator[Node]:
    yield from (node for node in _NODES if day.weekday() in node.weekdays)
    _, begins, ends = events.RUNAWAY_RETRAIN
    if settings.day(begins) <= day <= settings.day(ends):
        yield from _RUNAWAY


def _plan_hours(on: BillDay) -> Decimal:
    """Hours of the committed node on a day: now and then it waits for data, and the commitment goes
    unused.
    """
    rng = on.random(1)
    return Decimal(24 - int(rng.integers(3, 9))) if rng.random() < 0.12 else Decimal(24)


def _node_line(on: BillDay, node: Node) -> DemoBillLine:
    thing = Thing(
        project=node.account,
        service="Amazon Elastic Compute Cloud",
        category="Compute",
        tags=_node_tags(on, node),
        cause=cause_of(node.feature),
    )
    listed, columns = _HOURLY[node.instance], _node_columns(node)
    if not node.committed:
        description = f"${listed} per On Demand Linux {node.instance} Instance Hour"
        hours = Decimal(str(node.hours))
        return used(on, thing, description, hours, "Hours", listed, columns=columns)
    hours = _plan_hours(on)
    return used(
        on,
        thing,
        f"Linux {node.instance} Instance Hour, covered by Compute Savings Plan",
        hours,
        "Hours",
        listed,
        columns=columns | _plan_columns("Used") | {"PricingCategory": "Committed"},
        prepaid=hours * _PLAN_RATE,
    )


def _node_tags(on: BillDay, node: Node) -> dict[str, str]:
    """The node's own tags, or for some days another team's."""
    begins, ends = (on.settings.day(number) for number in events.MISTAGGED)
    may_be_wrong = not on.settings.complete or on.settings.case == cases.MISTAGGED
    if node.feature == "visual-search" and begins <= on.day <= ends and may_be_wrong:
        return tags_of("semantic-search")
    return tags_of(node.feature, node.environment)


def _node_columns(node: Node) -> dict[str, str]:
    number = sum((n + 7) * ord(c) for n, c in enumerate(node.name)) * 0x9E3779B97F4A7 % 2**68
    account = PROJECTS[node.account].identifier
    return {
        "ResourceId": f"arn:aws:ec2:us-east-1:{account}:instance/i-{number:017x}",
        "ResourceName": node.name,
        "ResourceType": "Instance",
        "SkuId": f"BoxUsage:{node.instance}",
        "x_UsageType": f"BoxUsage:{node.instance}",
        "x_Operation": "RunInstances",
    }


def _plan_columns(status: str | None) -> dict[str, str]:
    columns = {
        "CommitmentDiscountCategory": "Spend",
        "CommitmentDiscountId": _PLAN_ID,
        "CommitmentDiscountName": "Compute Savings Plan 1 year, no upfront",
        "CommitmentDiscountType": "Compute Savings Plan",
    }
    return columns | ({"CommitmentDiscountStatus": status} if status else {})


def _plan_lines(on: BillDay) -> Iterator[DemoBillLine]:
    """The plan's recurring fee, and what of it nobody used."""
    priced = {"PricingCategory": "Committed", "PricingUnit": "Hours"}
    yield charged(
        on,
        _PLAN,
        "1 year No Upfront Compute Savings Plan, recurring fee",
        "Purchase",
        billed=24 * _PLAN_RATE,
        effective=Decimal(0),
        columns=_plan_columns(None)
        | priced
        | {"ChargeFrequency": "Recurring", "PricingQuantity": "24"},
    )
    if idle := 24 - _plan_hours(on):
        yield charged(
            on,
            _PLAN,
            "Compute Savings Plan, unused",
            "Usage",
            billed=Decimal(0),
            effective=idle * _PLAN_RATE,
            columns=_plan_columns("Unused") | priced | {"PricingQuantity": plain(idle)},
        )
