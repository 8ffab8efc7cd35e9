"""Rules of the benchmark for model calls, reserved capacity, clusters, and what follows others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.ledger_resources import (
    BY_TAGS,
    CLOUDS,
    BilledResource,
    Spec,
    Taking,
    named,
    resource,
    target,
    team,
)


def following() -> Iterator[Taking]:
    """Taxes, credits, support and commitments, which follow what they relate to."""
    for provider in ("OpenAI", "Anthropic", "Google Cloud", "AWS"):
        when: Spec = {"ChargeCategory": "Tax", "ProviderName": provider}
        yield Taking(named(f"Tax of {provider}", when, "follow", kind="tax"))
    yield from credits()
    yield from support()
    for n in range(2):
        yield from savings_plan(n)


def credits() -> Iterator[Taking]:
    credit = named(
        "OpenAI credits by list cost",
        {"ChargeCategory": "Credit", "ProviderName": "OpenAI"},
        "follow",
        by="list_cost",
        of_rules=["All other calls of OpenAI", "GPT-4o by the month"],
        kind="credit",
    )
    yield Taking(credit)
    yield Taking(named("Other credits", {"ChargeCategory": "Credit"}, "follow", kind="credit"))


def support() -> Iterator[Taking]:
    words = {"ChargeDescription": {"contains": ["support plan", "premium support"]}}
    is_support = {"any": [{"ServiceName": {"contains": "support"}}, words]}
    for n, cloud in enumerate(CLOUDS):
        when = {"all": [{"ProviderName": cloud}, is_support]}
        fee = resource(
            n, f"{cloud} Premium Support", provider_name=cloud, sub_account_id=f"account-{n}"
        )
        yield Taking(named(f"Support of {cloud}", when, "follow", kind="shared"), (fee,))


def savings_plan(n: int) -> Iterator[Taking]:
    about: Spec = {
        "provider_name": "AWS",
        "commitment_discount_id": f"sp-{n}",
        "commitment_discount_type": "Savings Plan",
    }

    def server(number: int, status: str) -> BilledResource:
        tags = {"owner": team(number)}
        return resource(number, "Amazon EC2", **about, commitment_discount_status=status, tags=tags)

    bought = resource(n, "Savings Plans", **about, charge_category="Purchase")
    used = [server(m, "Used") for m in range(n, 12, 2)]
    when: Spec = {"ChargeCategory": "Purchase", "CommitmentDiscountId": {"prefix": f"sp-{n}"}}
    by_use = named(
        f"Savings plan {n} by its use", when, "follow", follows="commitment", kind="shared"
    )
    yield Taking(by_use, (bought, *used))
    when = {"CommitmentDiscountStatus": "Unused", "CommitmentDiscountId": f"sp-{n}"}
    left = named(
        f"What nobody used of savings plan {n}",
        when,
        "direct",
        target=BY_TAGS,
        kind="commitment_unused",
    )
    yield Taking(left, (server(n, "Unused"),))


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
            BilledResource(
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
