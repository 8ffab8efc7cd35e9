"""Rules of the benchmark that name who pays: by columns, tags and single rows; and what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.ledger_resources import (
    BY_TAGS,
    Taking,
    named,
    resource,
    target,
    team,
)


def direct() -> Iterator[Taking]:
    yield from direct_by_columns()
    yield from direct_by_tags()
    yield from direct_by_rows()


def direct_by_columns() -> Iterator[Taking]:
    for n in range(10):
        accounts = [f"acct-{n}-{m}" for m in range(3)]
        own = tuple(
            resource(n + m, f"Amazon S{n}", provider_name="AWS", sub_account_id=accounts[m])
            for m in range(3)
        )
        yield Taking(
            named(f"Accounts of group {n}", {"SubAccountId": accounts}, "direct", target=target(n)),
            own,
        )
    for n in range(6):
        map_ = {f"sub-{n}-{m}": team(n + m) for m in range(6)}
        own = tuple(
            resource(m, f"Azure service {n}", sub_account_id=name) for m, name in enumerate(map_)
        )
        spec = {"team": {"column": "SubAccountId", "map": map_}}
        yield Taking(
            named(
                f"Subscriptions of unit {n}",
                {"SubAccountId": {"prefix": f"sub-{n}-"}},
                "direct",
                target=spec,
            ),
            own,
        )
    for n in range(8):
        names = [f"svc{n}-{m}-{team(n * m)}" for m in range(3)]
        own = tuple(resource(n, "Kubernetes", resource_name=name) for name in names)
        spec = {"team": {"column": "ResourceName", "pattern": "-(team-[0-9]+)$"}}
        yield Taking(
            named(
                f"Services named {n}",
                {"ResourceName": {"regex": f"^svc{n}-[0-9]+-"}},
                "direct",
                target=spec,
            ),
            own,
        )
    for n in range(6):
        when = {
            "all": [
                {"ServiceName": {"contains": f"search {n}"}},
                {"not": {"RegionId": ["ap-southeast-2", "ap-east-1"]}},
            ]
        }
        yield Taking(
            named(f"Search {n}", when, "direct", target=target(n)),
            (resource(n % 4, f"Managed Search {n} units"),),
        )


def direct_by_tags() -> Iterator[Taking]:
    for n in range(8):
        own = tuple(
            resource(
                m,
                "Object storage",
                tags={"Cost-Center": f"cc{n}{m}", "owner": team(n + m), "feature": f"feature-{n}"},
            )
            for m in range(4)
        )
        when = {
            "Tags.cost-center": {"prefix": f"cc{n}"},
            "any": [{"Tags.owner": {"missing": False}}, {"Tags.team": "x"}],
        }
        yield Taking(named(f"Cost centre {n}", when, "direct", target=BY_TAGS), own)
    for n in range(6):
        own = (
            resource(n, "Functions", tags={"project": f"Project {n} blue"}),
            resource(n, "Queues", tags={"project": f"project {n}"}),
        )
        when = {"Tags.project": {"contains": f"project {n}"}}
        yield Taking(
            named(
                f"Project {n}, as suggested", when, "direct", target={"team": {"inferred": team(n)}}
            ),
            own,
        )


def direct_by_rows() -> Iterator[Taking]:
    tests: tuple[Callable[[int], Any], ...] = (
        lambda n: f"rg-{n}-a",
        lambda n: {"in": [f"rg-{n}-a", f"rg-{n}-b"]},
        lambda n: {"prefix": f"rg-{n}-"},
        lambda n: {"contains": f"g-{n}-"},
        lambda n: {"regex": f"^rg-{n}-[a-z]$"},
    )
    for n in range(12):
        own = tuple(
            resource(m, "App hosting", extra={"x_resource_group": f"rg-{n}-{letter}"})
            for m, letter in enumerate("ab")
        )
        yield Taking(
            named(
                f"Resource group {n}",
                {"x_resource_group": tests[n % 5](n)},
                "direct",
                target=target(n),
            ),
            own,
        )
    for n in range(8):
        limit = {"above": 5} if n % 2 else {"at_least": "5.5", "below": "1000000"}
        column = ("BilledCost", "ConsumedQuantity", "EffectiveCost", "PricingQuantity")[n % 4]
        when = {"ServiceName": f"Data transfer {n}", column: limit}
        own = (resource(n, f"Data transfer {n}"), resource(n + 1, f"Data transfer {n}"))
        yield Taking(named(f"Large transfers {n}", when, "direct", target=target(n)), own)
    for n in range(3):
        when = {"ServiceName": "Job runner", "x_operation": f"operation-{n}"}
        own = (resource(n, "Job runner"),)
        yield Taking(named(f"Jobs of kind {n}", when, "direct", target=target(n)), own)


def the_rest() -> Iterator[Taking]:
    for n in range(4):
        when = {"ServiceName": f"Trial {n}", "x_trial": {"missing": n % 2 == 0}}
        trial = resource(n, f"Trial {n}", extra={"x_trial": "yes"} if n % 2 else {})
        yield Taking(named(f"Trial {n} is nobody's", when, "unallocated", reason="trial"), (trial,))
    for n in range(5):
        when = {"x_invoice_section": f"section-{n}", "ServiceName": "Marketplace"}
        own = tuple(resource(n + 40 * m, "Marketplace") for m in range(2))
        yield Taking(named(f"Marketplace of section {n}", when, "direct", target=target(n)), own)
    when = {"Catalogue.Kind": "gpu", "Tags.team": {"missing": False}}
    gpu = resource(
        5,
        "Amazon EC2",
        provider_name="AWS",
        sku_meter="BoxUsage:p4d.24xlarge",
        tags={"team": team(5)},
    )
    yield Taking(named("GPU capacity by its tags", when, "direct", target=BY_TAGS), (gpu,))
    whose = {"any": [{"Tags.team": {"missing": False}}, {"Tags.owner": {"missing": False}}]}
    own = tuple(resource(n, "Amazon RDS", tags={"team": team(n)}) for n in range(60))
    yield Taking(named("Resources by their tags", whose, "direct", target=BY_TAGS), own)
