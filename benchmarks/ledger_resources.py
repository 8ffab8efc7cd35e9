"""What the benchmark's two hundred rules are about: resources on the bill, and how rules read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

KEYS = (
    *(f"key-{n:02}" for n in range(16)),
    *(
        "eval-nightly",
        "eval-release",
        "batch-embed",
        "batch-rank",
        "ci-small",
        "ci-large",
        "notebook-a",
        "notebook-b",
    ),
)
CLOUDS = ("AWS", "Google Cloud", "Microsoft")
REGIONS = ("us-east-1", "us-west-2", "eu-central-1", "eu-west-1", "ap-southeast-2")
CATEGORIES = ("Storage", "Databases", "Networking", "Analytics", "Security", "Integration")
BY_TAGS = {
    "team": {"tag": ["team", "owner"]},
    "feature": {"tag": "feature"},
    "environment": {"tag": ["environment", "env"]},
}
Spec = dict[str, Any]


@dataclass(frozen=True)
class BilledResource:
    """What the bill charges for all month: its dimension's columns, tags and x_ columns. A row
    costs 1 to 10 `cost`.
    """

    columns: dict[str, Any]
    tags: dict[str, str] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)
    cost: str = "1.2345"
    is_node: bool = False


class Taking(NamedTuple):
    """A rule and what it is meant to take."""

    rule: Spec
    resources: tuple[BilledResource, ...] = ()


def named(name: str, when: Spec | None, method: str, **more: Any) -> Spec:
    return {"name": name, **({"when": when} if when else {}), "method": method, **more}


def team(n: int) -> str:
    return f"team-{n * 37 % 300}"


def target(n: int) -> Spec:
    return {"team": team(n), "feature": f"feature-{n * 37 % 300}"}


def teams(n: int, count: int) -> list[Spec]:
    return [{"team": team(n + m)} for m in range(count)]


def resource(
    n: int, service: str, *, tags: Spec | None = None, extra: Spec | None = None, **columns: Any
) -> BilledResource:
    about = {
        "provider_name": CLOUDS[n % 3],
        "service_name": service,
        "service_category": CATEGORIES[n % 6],
        "sub_account_id": f"account-{n % 12}",
        "region_id": REGIONS[n % 5],
        "resource_id": f"{service}/{n}",
        "sku_id": f"sku-{n % 9}",
        "charge_category": "Usage",
        "charge_description": f"{service} in {REGIONS[n % 5]}",
        "consumed_unit": "Hours",
        "pricing_unit": "Hours",
    }
    told = {
        "x_invoice_section": f"section-{n % 40}",
        "x_resource_group": f"group-{n}",
        **(extra or {}),
    }
    return BilledResource(
        {**about, **columns},
        {"environment": "production", **(tags or {})},
        told,
        cost=f"{n % 17 + 1}.2345",
    )
