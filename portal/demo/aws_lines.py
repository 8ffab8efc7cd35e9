"""Lines of the AWS bill besides Bedrock: what is used on a day, and what is charged as such."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import numpy as np

from allocation.values.money import plain
from portal.demo.company import PROJECTS
from portal.demo.features import FEATURES
from portal.demo.focus_rows import BillAccount, DemoBillLine
from portal.demo.prices import CONTRACT
from portal.demo.settings import DemoSettings
from portal.demo.truth import Cause

NO_COLUMNS: Mapping[str, str] = {}
_TEAM = {feature.slug: feature.team for feature in FEATURES}


@dataclass(frozen=True)
class BillDay:
    """A day on the bill of a month."""

    settings: DemoSettings
    account: BillAccount
    month: date
    day: date

    def random(self, what: int) -> np.random.Generator:
        """Numbers that are the same whenever the day is made."""
        seed = [self.settings.seed, self.day.toordinal(), 9100 + what]
        return np.random.Generator(np.random.PCG64(seed))


@dataclass(frozen=True)
class Thing:
    """What a line is about: in which account, of which service, with which tags, and whose."""

    project: str
    service: str
    category: str
    tags: Mapping[str, str]
    cause: Cause


def tags_of(feature: str, environment: str = "production") -> dict[str, str]:
    return {"team": _TEAM[feature], "feature": feature, "environment": environment}


def cause_of(feature: str, scope: str = "ai") -> Cause:
    return Cause(_TEAM[feature], None, feature, scope)


def used(
    on: BillDay,
    thing: Thing,
    description: str,
    quantity: Decimal,
    unit: str,
    listed: Decimal,
    *,
    columns: Mapping[str, str] = NO_COLUMNS,
    prepaid: Decimal | None = None,
) -> DemoBillLine:
    """A quantity at a list price less the contract's discount; `prepaid` is its effective cost
    where it was paid for before.
    """
    contracted = listed * CONTRACT["aws"]
    cost = contracted * quantity
    return DemoBillLine(
        account=on.account,
        month=on.month,
        start=on.day,
        end=on.day + timedelta(days=1),
        category="Usage",
        service=thing.service,
        service_category=thing.category,
        description=description,
        billed=cost if prepaid is None else Decimal(0),
        effective=cost if prepaid is None else prepaid,
        listed=listed * quantity,
        contracted=cost,
        project=(PROJECTS[thing.project].identifier, PROJECTS[thing.project].name),
        tags=dict(thing.tags),
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
            **columns,
        },
        causes={thing.cause: 1},
    )


def charged(
    on: BillDay,
    thing: Thing,
    description: str,
    category: str,
    *,
    billed: Decimal,
    effective: Decimal,
    columns: Mapping[str, str],
    days: int = 1,
) -> DemoBillLine:
    """An amount as such, for so many days from this one on."""
    return DemoBillLine(
        account=on.account,
        month=on.month,
        start=on.day,
        end=on.day + timedelta(days=days),
        category=category,
        service=thing.service,
        service_category=thing.category,
        description=description,
        billed=billed,
        effective=effective,
        listed=billed,
        contracted=billed,
        project=(PROJECTS[thing.project].identifier, PROJECTS[thing.project].name),
        tags=dict(thing.tags),
        columns=dict(columns),
        causes={thing.cause: 1},
    )
