"""Two hundred rules such as a company of 300 teams has after some years, and the resources on its
bill they are about.

Every method and every kind of condition is there: columns, tags, what the catalogue reads, and 37
different tests of single rows (x_ columns, amounts, quantities). Some thirty split the cost of each
day among everyone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

from benchmarks.ledger_resources import (
    CATEGORIES,
    BilledResource,
    Spec,
    Taking,
    named,
    resource,
    team,
    teams,
)
from benchmarks.ledger_rules_calls import clusters, following, reserved, token_rows, traced
from benchmarks.ledger_rules_direct import direct, the_rest

RULES = 200


@dataclass(frozen=True)
class LedgerRules:
    text: str
    resources: tuple[BilledResource, ...]


@lru_cache(maxsize=1)
def ledger_rules() -> LedgerRules:
    takings = [taking for family in FAMILIES for taking in family()]
    if len(takings) != RULES:
        raise SystemExit(f"there are {len(takings)} rules instead of {RULES}")
    document = {
        "version": 1,
        "scope": SCOPE,
        "rules": [taking.rule for taking in takings],
        "pools": POOLS,
    }
    text = yaml.dump(document, Dumper=Plain, sort_keys=False, allow_unicode=True, width=120)
    return LedgerRules(text, tuple(each for taking in takings for each in taking.resources))


class Plain(yaml.SafeDumper):
    """Without anchors, as people write it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def fixed() -> Iterator[Taking]:
    for n in range(16):
        count = 2 + n % 5
        shares = [{**each, "share": 100 // count} for each in teams(n, count - 1)]
        last: Spec = {"pool": POOLS[n % 6]["name"]} if n % 4 == 0 else {"team": team(n + count)}
        rest = 100 - sum(share["share"] for share in shares)
        when = {
            "ServiceName": [f"Registry {n}", f"Artifacts {n}"],
            "SkuId": {"regex": "^sku-[0-9]"},
        }
        own = (resource(n, f"Registry {n}"), resource(n, f"Artifacts {n}"))
        yield Taking(
            named(f"Contract {n}", when, "fixed", shares=[*shares, {**last, "share": rest}]), own
        )


def even() -> Iterator[Taking]:
    for n in range(14):
        among: Any = "teams" if n % 6 == 5 else teams(n, 3 + n * 2)
        when = {"ServiceName": f"Monitoring {n}", "Tags.environment": ["production", "staging"]}
        yield Taking(
            named(f"Monitoring {n} evenly", when, "even", among=among),
            (resource(n, f"Monitoring {n}"),),
        )


DRIVERS: tuple[Spec, ...] = (
    {"by": "requests"},
    {"by": "requests", "usage": {"provider": "openai"}},
    {"by": "requests", "weights": "month", "level": "team"},
    {"by": "requests", "usage": {"model": "gpt-4o"}, "min_share": 1},
    {"by": "tokens"},
    {"by": "input_tokens", "level": "team"},
    {"by": "output_tokens", "usage": {"provider": "anthropic"}},
    {"by": "cached_tokens", "weights": "month"},
    {"by": "gpu_seconds"},
    {"by": "gpu_seconds", "weights": "month", "level": "team"},
    {"by": "seats"},
    {"by": "seats", "max_share": 40},
    {"by": "series", "series": "queries"},
    {"by": "series", "series": "stored", "weights": "month"},
    {"by": "series", "series": "queries", "level": "team", "min_share": "0.1", "max_share": 20},
    {"by": "cost"},
    {
        "by": "cost",
        "level": "team",
        "of_rules": ["Into the pool overhead", *(f"Accounts of group {n}" for n in range(8))],
    },
)


def proportional() -> Iterator[Taking]:
    """Each driver twice: among a dozen teams, and among everyone whom it knows."""
    for n, driver in enumerate(DRIVERS * 2):
        among = (
            {"among": teams(n, 12)}
            if n < len(DRIVERS)
            else {"among": "teams"}
            if driver["by"] == "seats"
            else {}
        )
        when = {"ServiceName": f"Platform {n}", "ServiceCategory": {"in": list(CATEGORIES)}}
        yield Taking(
            named(f"Platform {n}", when, "proportional", **driver, **among),
            (resource(n, f"Platform {n}"),),
        )


POOLS: tuple[Spec, ...] = (
    {"name": "platform", "method": "proportional", "by": "requests", "level": "team"},
    {
        "name": "data",
        "method": "proportional",
        "by": "series",
        "series": "queries",
        "among": teams(3, 60),
    },
    {"name": "overhead", "method": "proportional", "by": "cost", "level": "team"},
    {"name": "security", "method": "even", "among": "teams"},
    {
        "name": "office",
        "method": "fixed",
        "shares": [{"pool": "security", "share": 40}, {"team": team(5), "share": 60}],
    },
    {"name": "research", "method": "even", "among": teams(9, 25)},
)


def pooled() -> Iterator[Taking]:
    for n, pool in enumerate(POOLS):
        when = {"Tags.layer": pool["name"], "ProviderName": {"missing": False}}
        own = tuple(
            resource(n + m, "Shared services", tags={"layer": pool["name"]}) for m in range(3)
        )
        yield Taking(
            named(f"Into the pool {pool['name']}", when, "direct", target={"pool": pool["name"]}),
            own,
        )


SCOPE: tuple[Spec, ...] = (
    {
        "name": "Model providers",
        "scope": "ai",
        "when": {"Catalogue.Provider": ["openai", "anthropic", "gcp.vertex_ai"]},
    },
    {"name": "AI services", "scope": "ai", "when": {"ServiceCategory": "AI and Machine Learning"}},
    {"name": "GPUs", "scope": "ai", "when": {"Catalogue.Kind": "gpu"}},
    {
        "name": "Platforms",
        "scope": "ai_supporting",
        "when": {"ServiceName": {"contains": ["platform", "search", "registry"]}},
    },
    {"name": "By tag", "scope": "ai_supporting", "when": {"Tags.feature": {"missing": False}}},
)
FAMILIES: tuple[Callable[[], Iterator[Taking]], ...] = (
    following,
    token_rows,
    traced,
    reserved,
    clusters,
    direct,
    fixed,
    even,
    proportional,
    pooled,
    the_rest,
)
