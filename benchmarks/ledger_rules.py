"""Two hundred rules such as a company of 300 teams has after some years, and the resources on its
bill they are about.

Every method and every kind of condition is there: columns, tags, what the catalogue reads, and 37
different tests of single rows (x_ columns, amounts, quantities). Some thirty split the cost of each
day among everyone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import yaml

RULES = 200
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
class Resource:
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
    resources: tuple[Resource, ...] = ()


@dataclass(frozen=True)
class LedgerRules:
    text: str
    resources: tuple[Resource, ...]


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
) -> Resource:
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
    return Resource(
        {**about, **columns},
        {"environment": "production", **(tags or {})},
        told,
        cost=f"{n % 17 + 1}.2345",
    )


# ---------------------------------------------------------------- what follows, commitments


def following() -> Iterator[Taking]:
    for provider in ("OpenAI", "Anthropic", "Google Cloud", "AWS"):
        yield Taking(
            named(
                f"Tax of {provider}",
                {"ChargeCategory": "Tax", "ProviderName": provider},
                "follow",
                kind="tax",
            )
        )
    when: Spec = {"ChargeCategory": "Credit", "ProviderName": "OpenAI"}
    eligible = ["All other calls of OpenAI", "GPT-4o by the month"]
    credit = named(
        "OpenAI credits by list cost",
        when,
        "follow",
        by="list_cost",
        of_rules=eligible,
        kind="credit",
    )
    yield Taking(credit)
    yield Taking(named("Other credits", {"ChargeCategory": "Credit"}, "follow", kind="credit"))
    for n, cloud in enumerate(CLOUDS):
        when = {"all": [{"ProviderName": cloud}, {"any": [{"ServiceName": {"contains": "support"}},
                {"ChargeDescription": {"contains": ["support plan",
                    "premium support"]}}]}]}  # fmt: skip
        fee = resource(
            n, f"{cloud} Premium Support", provider_name=cloud, sub_account_id=f"account-{n}"
        )
        yield Taking(named(f"Support of {cloud}", when, "follow", kind="shared"), (fee,))
    for n in range(2):
        about: Spec = {
            "provider_name": "AWS",
            "commitment_discount_id": f"sp-{n}",
            "commitment_discount_type": "Savings Plan",
        }
        bought = resource(n, "Savings Plans", **about, charge_category="Purchase")
        used = [
            resource(
                m, "Amazon EC2", **about, commitment_discount_status="Used", tags={"owner": team(m)}
            )
            for m in range(n, 12, 2)
        ]
        when = {"ChargeCategory": "Purchase", "CommitmentDiscountId": {"prefix": f"sp-{n}"}}
        yield Taking(
            named(
                f"Savings plan {n} by its use", when, "follow", follows="commitment", kind="shared"
            ),
            (bought, *used),
        )
        unused = resource(
            n, "Amazon EC2", **about, commitment_discount_status="Unused", tags={"owner": team(n)}
        )
        when = {"CommitmentDiscountStatus": "Unused", "CommitmentDiscountId": f"sp-{n}"}
        yield Taking(
            named(
                f"What nobody used of savings plan {n}",
                when,
                "direct",
                target=BY_TAGS,
                kind="commitment_unused",
            ),
            (unused,),
        )


# ---------------------------------------------------------------- model calls


def token_rows() -> Iterator[Taking]:
    """Calls that a row's own x_ columns and amounts single out."""
    calls = {"Catalogue.Kind": "model_usage"}
    singled: dict[str, Any] = {
        "Nightly evaluations": {"x_key_name": "eval-nightly"},
        "Releases' evaluations": {"x_key_name": {"prefix": "eval-"}},
        "Continuous integration": {"x_key_name": {"regex": "^ci-(small|large)$"}},
        "Notebooks": {"x_key_name": {"contains": "notebook"}, "SubAccountId": {"missing": False}},
        "Large hours of input": {
            "BilledCost": {"at_least": "4.5"},
            "Catalogue.TokenClass": "input",
        },
        "Idle hours": {"ConsumedQuantity": {"below": 10}},
    }
    for n, (name, when) in enumerate(singled.items()):
        yield Taking(named(name, {**calls, **when}, "direct", target=target(n * 11)))
    for n, name in enumerate(("batch-embed", "batch-rank")):
        yield Taking(
            named(
                f"Batch jobs by key {name}",
                {**calls, "x_key_name": name},
                "provider_usage",
                owner=target(n),
                weights="month",
            )
        )
    for n in range(2):
        when = {
            "Catalogue.Provider": ["openai", "anthropic"][n],
            "x_key_name": {"in": ["key-03", "key-07"]},
        }
        yield Taking(
            named(
                f"Shared gateway keys {n}", when, "provider_usage", owner={"team": {"tag": "team"}}
            )
        )


def traced() -> Iterator[Taking]:
    """Special rules for single models and projects, then one per provider."""
    owner = {"team": {"tag": "team"}}
    first = {"SubAccountId": [f"proj-{n}" for n in range(1, 4)]}
    special: dict[str, tuple[Spec, Spec]] = {
        "GPT-4o by the month": ({"Catalogue.Model": "gpt-4o"}, {"weights": "month"}),
        "GPT-4o mini": ({"Catalogue.Model": "gpt-4o-mini", "Catalogue.TokenClass": ["input",
            "cache_read"]}, {}),
        "GPT-4o mini output": ({"SkuMeter": {"regex": "^gpt-4o-mini, out"}}, {}),
        "GPT-4.1, pooled caches": ({"SkuMeter": {"prefix": ["gpt-4.1, ", "gpt-4-1, "]}},
            {"pool_cache_writes": True}),
        "o3 mini": ({"all": [{"Catalogue.Provider": "openai"},
            {"Catalogue.Model": {"prefix": "o3"}}]}, {}),
        "Sonnet with pooled caches": ({"Catalogue.Model": {"contains": "sonnet"}},
            {"pool_cache_writes": True}),
        "Haiku": ({"Catalogue.Model": {"regex": "^claude-haiku-[0-9]"},
            "ResourceId": {"missing": False}}, {}),
        "Opus by the month": ({"Catalogue.Model": {"contains": ["opus"]}}, {"weights": "month"}),
        "Flash by region": ({"Catalogue.Model": {"contains": "2.5-flash"}, "not": {"SkuId": "x"}},
            {"by_region": True}),
        "Flash 2.0": ({"ServiceName": "Vertex AI", "SkuMeter": {"contains": "2.0-flash"}}, {}),
        "Gemini Pro": ({"Catalogue.Model": {"regex": "gemini-[0-9.]+-pro"}}, {"weights": "month"}),
    }  # fmt: skip
    for name, (when, options) in special.items():
        yield Taking(
            named(
                name,
                {**first, "Catalogue.Kind": "model_usage", **when},
                "traced_usage",
                owner=owner,
                **options,
            )
        )
    for n in range(4, 10):
        when = {
            "SubAccountId": f"proj-{n}",
            "Catalogue.Kind": "model_usage",
            "not": {"Catalogue.Provider": "gcp.vertex_ai"},
        }
        yield Taking(named(f"Calls of project {n}", when, "traced_usage", owner=target(n)))
    for name, provider in (
        ("OpenAI", "openai"),
        ("Anthropic", "anthropic"),
        ("Google", ["gcp.vertex_ai", "gcp.gemini"]),
    ):
        when = {"Catalogue.Provider": provider, "Catalogue.Kind": "model_usage"}
        yield Taking(named(f"All other calls of {name}", when, "traced_usage", owner=owner))


def reserved() -> Iterator[Taking]:
    for n, (provider, model) in enumerate(
        (("OpenAI", "gpt-4o"), ("OpenAI", "gpt-4o-mini"), ("Anthropic", "claude-haiku-4-5"))
    ):
        capacity = resource(
            n,
            f"{provider} API",
            provider_name=provider,
            sub_account_id="proj-1",
            sku_meter=f"{model}, provisioned units",
            service_category="AI and Machine Learning",
        )
        when = {
            "Catalogue.Tier": "provisioned",
            "Catalogue.Provider": provider.lower(),
            "SkuMeter": {"prefix": f"{model}, "},
        }
        more = {"tokens_per_unit": 20_000_000} if n else {}
        yield Taking(
            named(
                f"Reserved {model}",
                when,
                "capacity",
                weights={"input": 1, "output": 4},
                owner=target(n),
                **more,
            ),
            (capacity,),
        )


def clusters() -> Iterator[Taking]:
    for n in range(6):
        nodes = tuple(
            Resource(
                {**node.columns, "resource_id": f"i-{n}-{m}", "sku_meter": "BoxUsage:p5.48xlarge"},
                node.tags,
                node.extra,
                cost="98.32",
                is_node=True,
            )
            for m in range(3)
            for node in [
                resource(
                    n,
                    "Amazon EC2",
                    provider_name="AWS",
                    tags={"cluster": f"train-{n}", "team": team(n)},
                )
            ]
        )
        when = {"Catalogue.Kind": "gpu", "Tags.cluster": f"train-{n}"}
        yield Taking(named(f"GPU cluster {n}", when, "gpu_usage", owner=BY_TAGS), nodes)


# ---------------------------------------------------------------- one owner each


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


# ---------------------------------------------------------------- shared among some


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


# ---------------------------------------------------------------- the rest


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
    following, token_rows, traced, reserved, clusters, direct, fixed, even, proportional, pooled,
        the_rest,
)  # fmt: skip
