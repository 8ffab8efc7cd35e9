"""The situations of docs/attribution.md: what each caller pays, to the last digit."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from allocation.models import (
    AllocationRun,
    Feature,
    IdentityOwner,
    LedgerGroup,
    Product,
    Team,
    UsageDaily,
)
from allocation.rules.rule_sets import default_rules_text
from allocation.values.periods import Period
from reports.analysis.spend import caller_costs, unit_costs
from reports.cost_question.answers import spend_cells, usage_cells
from reports.cost_question.question import CostQuestion
from reports.queries.costs.cross_charges import cross_charges
from reports.queries.costs.uncalled_hosting import uncalled_hosting
from tests.allocation.bills import AWS, OPENAI, Bill, allocate, shares, usage, utc
from tests.allocation.runs.test_methods import by_team, money, rules, teams
from tests.ledger_rows import asked_about

pytestmark = pytest.mark.django_db

TRACED = "rules: [{{name: calls, method: traced_usage, owner: {{team: {{tag: team}}}}{options}}}]"


def traced(options: str = "") -> None:
    rules(TRACED.format(options=f", {options}" if options else ""))


def meter(text: str, **more: Any) -> dict[str, Any]:
    return {**OPENAI, "sku_meter": text, **more}


def current() -> CostQuestion:
    return asked_about(AllocationRun.objects.get(is_current=True))


def owns_key(
    value: str, team: str, provider: str = "gateway", valid_from: date = date(2026, 1, 1)
) -> None:
    IdentityOwner.objects.create(
        provider=provider, kind="api_key", value=value, team=team, valid_from=valid_from
    )


# ---------------------------------------------------------------- a gateway's key


def through_gateway(key: str | None, tokens: int, team: str | None = None) -> None:
    usage(team, input_uncached=tokens, at=utc(5), about={"observer": "gateway", "caller": key})


def test_calls_through_a_shared_gateway_key_are_whose_the_virtual_key_is() -> None:
    teams("a", "b", "platform")
    traced()
    owns_key("vk-a", "a")
    owns_key("vk-b", "b")
    through_gateway("vk-a", 300)
    through_gateway("vk-b", 100)
    Bill().charge(
        "40", at=utc(5), quantity="400", **meter("gpt-4o input tokens", tags={"team": "platform"})
    )

    allocate()

    assert by_team() == money(a="30", b="10")
    assert {share.rung for share in shares()} == {2}


def test_what_no_virtual_key_explains_is_the_gateway_owners() -> None:
    teams("a", "platform")
    traced()
    owns_key("vk-a", "a")
    through_gateway("vk-a", 100)
    through_gateway("vk-unknown", 100)
    through_gateway(None, 100)
    Bill().charge(
        "40", at=utc(5), quantity="1000", **meter("gpt-4o input tokens", tags={"team": "platform"})
    )

    allocate()

    assert by_team() == money(a="4", platform="36")


def test_a_team_that_the_call_names_beats_the_key_and_a_key_is_its_owners_of_the_day() -> None:
    teams("a", "b", "c")
    traced()
    owns_key("vk", "a")
    owns_key("vk", "b", valid_from=date(2026, 10, 5))
    through_gateway("vk", 100)
    through_gateway("vk", 300, team="c")
    Bill().charge("40", at=utc(5), quantity="400", **meter("gpt-4o input tokens"))

    allocate()

    assert by_team() == money(b="10", c="30")


# ------------------------------------------------------- calls without usage, cancelled, retried


def test_calls_without_usage_dilute_nobodys_share_and_lower_the_coverage() -> None:
    teams("a", "b")
    traced()
    usage("a", input_uncached=100, output_text=10, at=utc(5))
    usage("b", calls=50, at=utc(5))  # streams that never told their usage
    Bill(settings={"untraced": "owner"}).charge(
        "40", at=utc(5), quantity="400", **meter("gpt-4o input tokens", tags={"team": "b"})
    )

    allocate()

    assert by_team() == money(a="10", b="30")
    assert LedgerGroup.objects.get().coverage == Decimal("0.25")


def test_calls_without_usage_do_not_dilute_a_line_weighted_by_list_cost() -> None:
    teams("a", "b")
    traced()
    usage("a", input_uncached=100, list_cost="40", at=utc(5))
    usage("b", calls=50, list_cost=None, at=utc(5))
    Bill().charge("40", at=utc(5), **meter("gpt-4o usage"))

    allocate()

    assert by_team() == money(a="40")


def test_a_retry_that_is_billed_again_is_its_callers_again() -> None:
    teams("a", "b")
    traced()
    usage("a", calls=2, input_uncached=200, at=utc(5))  # one call, sent twice
    usage("b", calls=1, input_uncached=100, at=utc(5))
    Bill().charge("30", at=utc(5), quantity="300", **meter("gpt-4o input tokens"))

    allocate()

    assert by_team() == money(a="20", b="10")


# ---------------------------------------------------------------- a cache that features share


def shared_cache() -> None:
    usage("writer", cache_write_5m=1000, cache_read=100, at=utc(5))
    usage("reader", cache_read=300, at=utc(5))
    bill = Bill()
    bill.charge("40", at=utc(5), quantity="1000", **meter("gpt-4o input tokens, cache write"))
    bill.charge("4", at=utc(5), quantity="400", **meter("gpt-4o cached input tokens"))


def test_each_cache_class_is_its_callers() -> None:
    teams("writer", "reader")
    traced()
    shared_cache()

    allocate()

    assert by_team() == money(writer="41", reader="3")


def test_writing_to_a_pooled_cache_is_paid_by_who_reads_from_it() -> None:
    teams("writer", "reader")
    traced("pool_cache_writes: true")
    shared_cache()

    allocate()

    assert by_team() == money(writer="11", reader="33")
    assert {group.driver for group in LedgerGroup.objects.all()} == {"cache_read tokens"}


def test_a_pooled_cache_that_nobody_reads_stays_with_its_writers() -> None:
    teams("writer")
    traced("pool_cache_writes: true")
    usage("writer", cache_write_5m=1000, at=utc(5))
    Bill().charge("40", at=utc(5), quantity="1000", **meter("gpt-4o input tokens, cache write"))

    allocate()

    assert by_team() == money(writer="40")


# ---------------------------------------------------------------- agents of other teams


def served(entry: tuple[str | None, str | None], serving: tuple[str, str], tokens: int) -> None:
    team, feature = serving
    usage(
        team,
        feature,
        input_uncached=tokens,
        at=utc(5),
        about={"entry_team": entry[0], "entry_feature": entry[1]},
    )


def sides() -> list[tuple[str | None, str | None, str | None, str | None, Decimal]]:
    found = cross_charges(question=current())
    return [
        (row.from_team, row.from_feature, row.to_team, row.to_feature, row.effective_cost)
        for row in found
    ]


def agents(policy: str | None = None) -> None:
    teams("shop", "search", "ads")
    rules(
        "rules: [{name: calls, method: traced_usage}]" + (f"\nagents: {policy}" if policy else "")
    )
    served(("shop", "checkout"), ("search", "lookup"), 300)
    served((None, None), ("search", "lookup"), 100)
    served(("search", "lookup"), ("search", "lookup"), 100)
    served(("shop", "checkout"), ("ads", "ranking"), 100)
    Bill().charge("60", at=utc(5), quantity="600", **meter("gpt-4o input tokens"))

    allocate()


def test_the_caller_pays_for_calls_that_another_teams_agent_serves() -> None:
    agents()

    assert by_team() == money(shop="40", search="20")
    assert sides() == [
        ("ads", "ranking", "shop", "checkout", Decimal(10)),
        ("search", "lookup", "shop", "checkout", Decimal(30)),
    ]


def test_the_callee_pays_where_the_rules_say_so_and_what_it_serves_is_still_known() -> None:
    agents("callee")

    assert by_team() == money(search="50", ads="10")
    assert sides() == [
        ("ads", "ranking", "shop", "checkout", Decimal(10)),
        ("search", "lookup", "shop", "checkout", Decimal(30)),
    ]


def test_provided_and_consumed_net_to_zero() -> None:
    agents()

    net: dict[str | None, Decimal] = defaultdict(Decimal)
    for row in cross_charges(question=current()):
        net[row.from_team] += row.effective_cost
        net[row.to_team] -= row.effective_cost

    assert net == {"ads": Decimal(10), "search": Decimal(30), "shop": Decimal(-40)}
    assert sum(net.values()) == 0


def test_an_entry_feature_alone_is_its_owners() -> None:
    teams("shop", "search")
    product = Product.objects.create(slug="store", name="Store")
    feature = Feature.objects.create(slug="checkout", name="Checkout")
    feature.placements.create(
        owner_team=Team.objects.get(slug="shop"), product=product, valid_from=date(2026, 1, 1)
    )
    rules("rules: [{name: calls, method: traced_usage}]")
    served((None, "Checkout"), ("search", "lookup"), 100)
    Bill().charge("60", at=utc(5), quantity="100", **meter("gpt-4o input tokens"))

    allocate()

    assert by_team() == money(shop="60")


# ---------------------------------------------------------------- backfills


def test_a_backfill_is_its_phase_and_no_part_of_what_a_thousand_calls_cost() -> None:
    teams("a")
    traced()
    usage("a", "chat", calls=1000, input_uncached=100, at=utc(5))
    usage("a", "chat", calls=5, input_uncached=900, at=utc(5), about={"phase": "build"})
    Bill().charge("100", at=utc(5), quantity="1000", **meter("gpt-4o input tokens"))

    allocate()

    october = Period(date(2026, 10, 1), date(2026, 11, 1))
    question = replace(current(), period=october, ai_only=False)
    cells = spend_cells(question)
    callers = caller_costs(cells, usage_cells(question))
    unit = unit_costs(callers, lambda _: None)[None]
    assert (unit.now, unit.calls) == (Decimal(10), Decimal(1000))
    assert sum(cell.now for cell in cells) == 100
    assert {row.phase: row.calls for row in UsageDaily.objects.all()} == {
        None: Decimal(1000),
        "build": Decimal(5),
    }


# ---------------------------------------------------------------- reserved capacity


CAPACITY = """
rules:
  - name: reserved
    when: {Catalogue.Tier: provisioned}
    method: capacity
    weights: {input: 1, output: 4, cached: 0.5}
    owner: {team: {tag: team}}
    %s
  - {name: calls, method: traced_usage}
"""
PTU = meter("gpt-4o provisioned managed", consumed_unit="PTU-hours", tags={"team": "platform"})


def on_capacity(team: str, **tokens: Any) -> None:
    usage(team, tier="provisioned", at=utc(5), **tokens)


def test_reserved_capacity_goes_by_weighted_tokens_and_what_is_unused_to_who_reserved_it() -> None:
    teams("a", "b", "platform")
    rules(CAPACITY % "tokens_per_unit: 100")
    on_capacity("a", input_uncached=200, output_text=50)  # 400
    on_capacity("b", cache_read=400)  # 200
    Bill().charge("100", at=utc(5), quantity="10", **PTU)

    allocate()

    assert {(share.team, share.kind): share.effective for share in shares()} == {
        ("a", "shared"): Decimal(40),
        ("b", "shared"): Decimal(20),
        ("platform", "idle"): Decimal(40),
    }


def test_without_a_known_capacity_its_users_carry_it_all_and_without_users_who_reserved_it() -> (
    None
):
    teams("a", "b", "platform")
    rules(CAPACITY % "")
    on_capacity("a", input_uncached=100)
    on_capacity("b", output_text=25)
    bill = Bill()
    bill.charge("100", at=utc(5), quantity="10", **PTU)
    bill.charge("7", at=utc(5), quantity="10", **(PTU | {"sku_meter": "o1 provisioned managed"}))

    allocate()

    assert by_team() == money(a="50", b="50", platform="7")


def test_calls_that_spilled_over_pay_their_own_line_and_no_capacity() -> None:
    teams("a", "b", "platform")
    rules(CAPACITY % "tokens_per_unit: 100")
    on_capacity("a", input_uncached=1000)
    usage("b", input_uncached=100, at=utc(5))
    bill = Bill()
    bill.charge("100", at=utc(5), quantity="10", **PTU)
    bill.charge("3", at=utc(5), quantity="100", **meter("gpt-4o input tokens"))

    allocate()

    assert by_team() == money(a="100", b="3")


def test_where_no_call_says_what_served_it_all_of_the_model_count_and_it_is_said() -> None:
    teams("a", "platform")
    rules(CAPACITY % "")
    usage("a", input_uncached=1000, at=utc(5))
    Bill().charge("100", at=utc(5), quantity="10", **PTU)

    allocate()

    assert by_team() == money(a="100")
    assert LedgerGroup.objects.get().widened == "any tier"


def test_more_taken_than_can_be_served_leaves_nothing_idle_and_is_said() -> None:
    teams("a", "platform")
    rules(CAPACITY % "tokens_per_unit: 1")
    on_capacity("a", input_uncached=1000)
    Bill().charge("100", at=utc(5), quantity="10", **PTU)

    allocate()

    assert by_team() == money(a="100")
    assert LedgerGroup.objects.get().note == "over capacity"


def test_capacity_whose_meter_names_no_model_is_used_by_every_reserved_call() -> None:
    teams("a", "b", "platform")
    rules(CAPACITY % "")
    on_capacity("a", input_uncached=100)
    usage("b", model="o1", tier="provisioned", input_uncached=300, at=utc(5))
    Bill().charge(
        "100", at=utc(5), quantity="10", **(PTU | {"sku_meter": "Provisioned Managed Global Unit"})
    )

    allocate()

    assert by_team() == money(a="25", b="75")


# ---------------------------------------------------------------- tiers, minimums, discounts, taxes


def test_the_steps_of_a_tiered_price_are_one_price_for_all_of_the_month() -> None:
    """The free tokens fell on early's days, yet late's calls are no dearer."""
    teams("early", "late")
    traced()
    usage("early", input_uncached=300, at=utc(5))
    usage("late", input_uncached=100, at=utc(20))
    bill = Bill()
    bill.charge(
        "0", at=utc(5), quantity="300", listed="3", **meter("gpt-4o input tokens, free tier")
    )
    bill.charge(
        "40", at=utc(20), quantity="100", **meter("gpt-4o input tokens, over the free tier")
    )

    allocate()

    assert by_team() == money(early="30", late="10")


def test_several_price_rows_of_one_model_and_class_share_one_driver() -> None:
    teams("a", "b")
    traced()
    usage("a", input_uncached=300, at=utc(5))
    usage("b", input_uncached=100, at=utc(5))
    bill = Bill()
    for cost, quantity in (("10", "100"), ("20", "250"), ("2", "50")):
        bill.charge(
            cost, at=utc(5), quantity=quantity, **meter("gpt-4o input tokens", sku_price_id=cost)
        )

    allocate()

    assert by_team() == money(a="24", b="8")
    assert {group.coverage for group in LedgerGroup.objects.all()} == {Decimal(1)}


def test_a_rule_can_ask_for_the_months_blended_price() -> None:
    teams("early", "late")
    traced("weights: month")
    usage("early", input_uncached=300, at=utc(5))
    usage("late", input_uncached=100, at=utc(20))
    Bill().charge("40", at=utc(20), quantity="400", **meter("gpt-4o input tokens"))

    allocate()

    assert by_team() == money(early="30", late="10")
    assert LedgerGroup.objects.get().widened is None


def defaults() -> None:
    rules(default_rules_text())


def test_the_shortfall_of_a_minimum_is_a_line_of_who_signed_it() -> None:
    teams("a", "finance")
    defaults()
    usage("a", input_uncached=100, at=utc(5))
    bill = Bill()
    bill.charge("40", at=utc(5), quantity="100", **meter("gpt-4o input tokens"))
    shortfall = {
        **OPENAI,
        "charge_description": "Minimum commitment shortfall October",
        "tags": {"team": "finance"},
    }
    bill.charge("60", category="Adjustment", **shortfall)

    allocate()

    assert {(share.team, share.kind): share.billed for share in shares()} == {
        ("a", "shared"): Decimal(40),
        ("finance", "commitment_unused"): Decimal(60),
    }


def test_an_enterprise_discount_goes_by_list_cost_of_what_has_one() -> None:
    teams("a", "b", "c")
    defaults()
    bill = Bill()
    for team, effective, listed in (("a", "10", "30"), ("b", "20", "10"), ("c", "5", None)):
        bill.charge(effective, listed=listed, **{**AWS, "tags": {"team": team}})
    bill.charge("-4", category="Credit", **{**AWS, "charge_description": "Enterprise discount 10%"})

    allocate()

    assert by_team() == money(a="7", b="19", c="5")


def test_only_what_the_named_rules_took_is_eligible() -> None:
    teams("a", "b")
    rules("""
    rules:
      - {name: discount, when: {ChargeCategory: Credit}, method: follow, by: list_cost,
         of_rules: [eligible]}
      - {name: eligible, when: {ServiceName: Amazon EC2}, method: direct, target: {team: a}}
      - {name: rest, method: direct, target: {team: b}}
    """)
    bill = Bill()
    bill.charge("10", listed="10", **AWS)
    bill.charge("90", listed="90", **{**AWS, "service_name": "Amazon S3"})
    bill.charge("-4", category="Credit", **{**AWS, "service_name": "EDP"})

    allocate()

    assert by_team() == money(a="6", b="90")


def test_without_any_list_cost_a_discount_goes_by_effective_cost() -> None:
    teams("a", "b")
    defaults()
    bill = Bill()
    bill.charge("10", **{**AWS, "tags": {"team": "a"}})
    bill.charge("30", **{**AWS, "tags": {"team": "b"}})
    bill.charge("-4", category="Credit", **{**AWS, "charge_description": "Enterprise discount 10%"})

    allocate()

    assert by_team() == money(a="9", b="27")


def test_recoverable_tax_can_stay_with_finance_while_other_tax_follows() -> None:
    teams("a", "b", "finance")
    rules("""
    rules:
      - name: recoverable
        when: {ChargeCategory: Tax, ChargeDescription: {contains: [VAT]}}
        method: direct
        kind: tax
        target: {team: finance}
      - {name: tax, when: {ChargeCategory: Tax}, method: follow, kind: tax}
      - {name: tagged, method: direct, target: {team: {tag: team}}}
    """)
    bill = Bill()
    bill.charge("30", tags={"team": "a"}, **AWS)
    bill.charge("10", tags={"team": "b"}, **AWS)
    bill.charge("8", category="Tax", charge_description="VAT 20%", **AWS)
    bill.charge("4", category="Tax", charge_description="State sales tax", **AWS)

    allocate()

    assert by_team() == money(a="33", b="11", finance="8")


# ---------------------------------------------------------------- hosting, marketplaces


HOSTED = meter(
    "ft:gpt-4o-mini-2024-07-18:acme::x1",
    charge_description="Fine-tuned model hosting hours",
    tags={"team": "lab"},
)


def test_hosting_of_a_model_of_ones_own_is_its_owners_whoever_called_it() -> None:
    teams("lab", "chat")
    defaults()
    usage("chat", model="ft:gpt-4o-mini", input_uncached=100, at=utc(5))
    Bill().charge("72", at=utc(5), quantity="24", **(HOSTED | {"consumed_unit": "Hours"}))

    allocate()

    assert by_team() == money(lab="72")
    assert [(share.model, share.kind) for share in shares()] == [("ft:gpt-4o-mini", "direct")]


def test_a_hosted_model_without_calls_is_a_finding() -> None:
    teams("lab", "chat")
    defaults()
    usage("chat", model="ft:gpt-4o-mini", input_uncached=100, at=utc(5))
    bill = Bill()
    bill.charge("72", at=utc(5), **HOSTED)
    bill.charge("24", at=utc(5), **(HOSTED | {"sku_meter": "ft:gpt-4.1-nano-2025-04-14:acme::x2"}))

    allocate()

    found = uncalled_hosting(question=current())
    assert [(row.team, row.model, row.effective_cost) for row in found] == [
        ("lab", "ft:gpt-4.1-nano", Decimal(24))
    ]


def test_a_vendors_model_bought_through_a_marketplace_is_joined_at_the_clouds_door() -> None:
    teams("a", "b")
    defaults()
    usage(
        "a",
        provider="aws.bedrock",
        project="111",
        model="claude-sonnet-4-5",
        input_uncached=300,
        at=utc(5),
    )
    usage(
        "b",
        provider="anthropic",
        project="111",
        model="claude-sonnet-4-5",
        input_uncached=300,
        at=utc(5),
    )
    row: dict[str, Any] = {
        "provider_name": "Anthropic",
        "invoice_issuer_name": "AWS Marketplace",
        "service_name": "Claude Sonnet 4.5 (Amazon Bedrock Edition)",
        "sku_meter": "USE1-Claude4.5Sonnet-input-tokens",
        "sub_account_id": "111",
        "consumed_unit": "Tokens",
    }
    Bill("aws").charge("30", at=utc(5), quantity="300", **row)

    allocate()

    assert by_team() == money(a="30")


# ---------------------------------------------------------------- regions


def in_region(team: str, region: str | None, tokens: int, model: str | None = None) -> None:
    about = {"region": region, "model_requested": model}
    usage(
        team,
        provider="aws.bedrock",
        project="111",
        model="claude-sonnet-4-5",
        input_uncached=tokens,
        at=utc(5),
        about=about,
    )


def bedrock(
    bill: Bill,
    cost: str,
    quantity: str,
    region: str,
    meter: str = "USE1-Claude4.5Sonnet-input-tokens",
) -> None:
    row: dict[str, Any] = {
        "provider_name": "AWS",
        "service_name": "Amazon Bedrock",
        "sub_account_id": "111",
        "consumed_unit": "Tokens",
    }
    bill.charge(cost, at=utc(5), quantity=quantity, **row, region_id=region, sku_meter=meter)


def two_regions() -> None:
    teams("a", "b")
    in_region("a", "us-east-1", 100)
    in_region("b", "eu-west-1", 300)
    bill = Bill("aws")
    bedrock(bill, "10", "100", "us-east-1")
    bedrock(bill, "60", "300", "eu-west-1")


def test_regions_are_joined_apart_where_a_rule_asks_for_it() -> None:
    traced("by_region: true")
    two_regions()

    allocate()

    assert by_team() == money(a="10", b="60")


def test_otherwise_calls_are_spread_over_the_billed_regions() -> None:
    traced()
    two_regions()

    allocate()

    assert by_team() == money(a="17.5", b="52.5")


def test_a_region_without_calls_of_its_own_is_shared_by_those_of_all_regions_and_it_is_said() -> (
    None
):
    traced("by_region: true")
    teams("a", "b")
    in_region("a", "us-east-1", 100)
    in_region("b", None, 300)
    bill = Bill("aws")
    bedrock(bill, "10", "100", "us-east-1")
    bedrock(bill, "60", "300", "eu-west-1")

    allocate()

    assert by_team() == money(a="25", b="45")
    assert {group.widened for group in LedgerGroup.objects.all()} == {None, "region"}


def test_a_global_inference_profile_is_apart_from_the_regions_own_calls() -> None:
    traced("by_region: true")
    teams("a", "b")
    in_region("a", "us-east-1", 100, "anthropic.claude-sonnet-4-5-20250929-v1:0")
    in_region("b", "us-east-1", 100, "global.anthropic.claude-sonnet-4-5-20250929-v1:0")
    bill = Bill("aws")
    bedrock(bill, "11", "100", "us-east-1")
    bedrock(bill, "10", "100", "us-east-1", "USE1-Claude4.5Sonnet-input-tokens-cross-region-global")

    allocate()

    assert by_team() == money(a="11", b="10")
