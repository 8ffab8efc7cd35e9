"""The rule language: what matches, who pays, and errors that name what is wrong."""

from __future__ import annotations

from datetime import date
from itertools import combinations
from typing import Any

import pytest

from allocation.organisation.owners import Owner
from allocation.rules.conditions import Facts, RowTest
from allocation.rules.rule_sets import default_rules_text
from allocation.rules.rules import RuleError, Rules, parse_rules

OCTOBER = date(2026, 10, 1)
ROW: dict[str, Any] = {
    "provider_name": "AWS",
    "service_name": "Amazon EC2",
    "charge_category": "Usage",
    "resource_name": "search-indexer-7",
    "sub_account_id": "111",
    "tags": {"Team ": " Search ", "empty": "", "valueless": True, "env": "prod"},
}


def rules_when(when: str) -> Rules:
    return parse_rules(f"rules:\n- {{name: it, method: unallocated, when: {when}}}")


@pytest.mark.parametrize(
    ("when", "matches"),
    [
        ("{ServiceName: Amazon EC2}", True),
        ("{ServiceName: amazon ec2}", False),
        ("{ServiceName: [Amazon S3, Amazon EC2]}", True),
        ("{ServiceName: {in: [Amazon S3]}}", False),
        ("{ServiceName: {prefix: Amazon}}", True),
        ("{ServiceName: {prefix: [Azure, Amazon E]}}", True),
        ("{ServiceName: {contains: EC2}}", True),
        ("{ServiceName: {contains: ec}}", True),
        ("{ResourceName: {regex: '^search-.*-[0-9]+$'}}", True),
        ("{ResourceName: {regex: '^indexer'}}", False),
        ("{RegionId: {missing: true}}", True),
        ("{RegionId: {missing: false}}", False),
        ("{RegionId: eu-1}", False),
        ("{Tags.TEAM: Search}", True),
        ("{Tags.empty: {missing: true}}", True),
        ("{Tags.valueless: 'true'}", True),
        ("{ServiceName: Amazon EC2, Tags.env: dev}", False),
        ("{all: [{ServiceName: Amazon EC2}, {Tags.env: prod}]}", True),
        ("{any: [{ServiceName: Amazon S3}, {Tags.env: prod}]}", True),
        ("{not: {Tags.env: prod}}", False),
        ("{SubAccountId: 111}", True),
        ("{Catalogue.Kind: other}", True),
        ("{Catalogue.Provider: aws}", True),
        ("null", True),
    ],
)
def test_conditions(when: str, matches: bool) -> None:
    rule = rules_when(when).rule_for(Facts(ROW), month=OCTOBER)

    assert (rule is not None) == matches


def test_the_first_rule_that_matches_in_its_months_takes_the_charge() -> None:
    rules = parse_rules(
        """
        rules:
        - {name: late, method: unallocated, when: {ServiceName: Amazon EC2}, valid_from: 2026-11}
        - {name: early, method: unallocated, when: {ServiceName: Amazon EC2}, valid_to: 2026-11}
        - {name: rest, method: unallocated}
        """
    )

    def taken(month: date, **columns: str) -> str:
        rule = rules.rule_for(Facts(ROW | columns), month=month)
        assert rule is not None
        return rule.name

    assert taken(OCTOBER) == "early"
    assert taken(date(2026, 11, 1)) == "late"
    assert taken(OCTOBER, service_name="Amazon S3") == "rest"


@pytest.mark.parametrize(
    ("target", "owner"),
    [
        ("{team: platform}", Owner(team="platform")),
        (
            "{team: {tag: team}, environment: {tag: [environment, env]}}",
            Owner(team="Search", environment="prod"),
        ),
        ("{team: {tag: nobody}}", Owner()),
        ("{team: {column: SubAccountId, map: {111: search, 222: ads}}}", Owner(team="search")),
        ("{team: {column: SubAccountId, map: {222: ads}}}", Owner()),
        ("{team: {column: ResourceName, pattern: '^([a-z]+)-'}}", Owner(team="search", rung=5)),
    ],
)
def test_targets(target: str, owner: Owner) -> None:
    rule = parse_rules(f"rules:\n- {{name: it, method: direct, target: {target}}}").rules[0]

    found = rule.target(Facts(ROW))

    assert found == owner if owner.team else found.team is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rules: [", "no YAML"),
        ("- a", "a list named `rules`"),
        ("rules: []\nlimits: []", "no section 'limits'"),
        ("rules: [{method: follow}]", "rule 1: it needs a name"),
        ("rules: [{name: a, method: guess}]", "rule 1 (a): method is one of"),
        ("rules: [{name: a, method: direct}]", "needs a target with a team"),
        (
            "rules: [{name: a, method: follow}, {name: a, method: follow}]",
            "rule 'a' stands twice for the same months",
        ),
        ("rules: [{name: a, method: follow, colour: red}]", "there is no colour"),
        ("rules: [{name: a, method: follow, kind: unallocated}]", "kind is one of"),
        ("rules: [{name: a, method: follow, valid_from: soon}]", "valid_from is a month"),
        (
            "rules: [{name: a, method: follow, valid_from: 2026-11, valid_to: 2026-11}]",
            "later than valid_from",
        ),
        (
            "rules: [{name: a, method: follow, when: {Colour: red}}]",
            "'Colour' is neither a FOCUS column",
        ),
        (
            "rules: [{name: a, method: follow, when: {Catalogue.Mood: good}}]",
            "there is no Catalogue.Mood",
        ),
        (
            "rules: [{name: a, method: follow, when: {ServiceName: {like: x}}}]",
            "no operator 'like'",
        ),
        ("rules: [{name: a, method: follow, when: {ServiceName: {regex: '('}}}]", "no RE2 pattern"),
        (
            "rules: [{name: a, method: follow, when: {ServiceName: {regex: '(?=x)'}}}]",
            "no RE2 pattern",
        ),
        (
            "rules: [{name: a, method: follow, when: {ServiceName: {missing: maybe}}}]",
            "`missing` is true or false",
        ),
        (
            "rules: [{name: a, method: follow, when: {ServiceName: {in: []}}}]",
            "needs text or a list",
        ),
        ("rules: [{name: a, method: follow, when: {all: []}}]", "`all` needs a list"),
        (
            "rules: [{name: a, method: direct, target: {team: {tags: x}}}]",
            "target team is text, a tag, a map",
        ),
        ("rules: [{name: a, method: direct, target: {team: x, boss: y}}]", "a target has no boss"),
        (
            "rules: [{name: a, method: direct, target: {team: {column: SkuId, pattern: x}}}]",
            "needs one group",
        ),
        ("rules: []\nscope: [{name: s, scope: maybe}]", "scope is one of"),
        (
            "rules: [{name: a, method: follow, when: {BilledCost: {contains: 1}}}]",
            "BilledCost is a number",
        ),
        (
            "rules: [{name: a, method: follow, when: {BilledCost: {above: 1e3}}}]",
            "needs a plain decimal number",
        ),
        ("rules: [{name: a, method: follow, when: {x_size: {regex: '('}}}]", "no RE2 pattern"),
        (
            "rules: [{name: a, method: follow, when: {ServiceName: {regex: [a, b]}}}]",
            "`regex` takes one pattern",
        ),
        ("rules: [{name: a, method: fixed}]", "needs `shares`"),
        (
            "rules: [{name: a, method: fixed, shares: [{team: x, share: 99.9}]}]",
            "add up to 99.9%, not 100%",
        ),
        (
            "rules: [{name: a, method: fixed, shares: [{team: x, share: 50}, {team: x, share: "
            "50}]}]",
            "x shares twice",
        ),
        (
            "rules: [{name: a, method: fixed, shares: [{team: x, share: -1}]}]",
            "a percentage from 0 to 100",
        ),
        ("rules: [{name: a, method: even}]", "needs `among`"),
        ("rules: [{name: a, method: even, among: [{model: x}]}]", "a target has no model"),
        ("rules: [{name: a, method: proportional, by: mood}]", "`by` is one of cost"),
        ("rules: [{name: a, method: proportional, by: series}]", "needs `series`"),
        (
            "rules: [{name: a, method: proportional, by: cost, weights: day}]",
            "are those of the month",
        ),
        (
            "rules: [{name: a, method: proportional, by: seats, usage: {model: x}}]",
            "`usage` goes with requests",
        ),
        (
            "rules: [{name: a, method: proportional, by: seats, min_share: 60, among: [{team: "
            "x}, {team: y}]}]",
            "a minimum of 60% for each of 2 is more than 100%",
        ),
        (
            "rules: [{name: a, method: proportional, by: seats, min_share: 60, max_share: 50}]",
            "min_share 60 is above max_share 50",
        ),
        ("rules: [{name: a, method: direct, target: {pool: p}}]", "there is no pool 'p'"),
        (
            "rules: [{name: a, method: proportional, by: cost, of_rules: [b]}]",
            "there is no rule 'b'",
        ),
        (
            "rules: [{name: a, method: proportional, by: cost, of_rules: [b]}, {name: b, "
            "method: follow}]",
            "'b' follows other cost",
        ),
        ("rules: []\nagents: nobody", "`agents` says who pays for a call between teams"),
        (
            "rules: [{name: a, method: traced_usage, weights: week}]",
            "weights are those of the day or of the month",
        ),
        (
            "rules: [{name: a, method: traced_usage, pool_cache_writes: maybe}]",
            "`pool_cache_writes` is true or false",
        ),
        ("rules: [{name: a, method: follow, by: mood}]", "`by` is effective_cost or list_cost"),
        (
            "rules: [{name: a, method: follow, of_rules: [b]}]",
            "there is no rule 'b' that it could follow",
        ),
        ("rules: [{name: a, method: capacity}]", "method capacity needs `weights`"),
        (
            "rules: [{name: a, method: capacity, weights: {input: 1}}]",
            "method capacity needs `weights`",
        ),
        (
            "rules: [{name: a, method: capacity, weights: {input: -1, output: 1}}]",
            "weight input is a number from 0",
        ),
        (
            "rules: [{name: a, method: capacity, weights: {input: 0, output: 0}}]",
            "`weights` are all zero",
        ),
        (
            "rules: [{name: a, method: capacity, weights: {input: 1, output: 4}, "
            "tokens_per_unit: 0}]",
            "`tokens_per_unit` is a number above zero",
        ),
    ],
)
def test_errors_name_the_rule_and_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse_rules(text)

    assert any(problem in found for found in caught.value.problems), caught.value.problems


def test_fault_076_circles_of_pools_and_of_cost_are_named() -> None:
    pools = """
    rules: [{name: a, method: direct, target: {pool: p}}]
    pools:
      - {name: p, method: fixed, shares: [{pool: q, share: 50}, {team: x, share: 50}]}
      - {name: q, method: even, among: [{pool: p}]}
    """
    costs = """
    rules:
      - {name: a, method: proportional, by: cost, of_rules: [b]}
      - {name: b, method: proportional, by: cost, of_rules: [a]}
    """
    for text, circle in ((pools, "pool p > pool q > pool p"), (costs, "rule a > rule b > rule a")):
        with pytest.raises(RuleError, match="the order is a circle: " + circle):
            parse_rules(text)


def test_what_needs_other_cost_comes_after_it() -> None:
    rules = parse_rules("""
    rules:
      - {name: late, method: proportional, by: cost, of_rules: [middle]}
      - {name: middle, method: direct, target: {pool: p}}
      - {name: early, method: direct, target: {team: x}}
      - {name: tax, method: follow}
    pools:
      - {name: p, method: proportional, by: cost}
    """)

    assert rules.stages == {"early": 0, "middle": 1, "late": 2}


def test_a_name_may_stand_again_for_other_months() -> None:
    rules = parse_rules("""
    rules:
      - {name: a, method: direct, target: {team: x}, valid_to: 2026-10}
      - {name: a, method: direct, target: {team: y}, valid_from: 2026-10}
    """)
    facts = Facts(ROW)

    teams = [
        rules.rule_for(facts, month=date(2026, month, 1)).target(facts).team  # type: ignore[union-attr]
        for month in (9, 10)
    ]

    assert teams == ["x", "y"]


def test_tests_of_single_rows_are_listed_and_hold_for_rows_that_pass_them() -> None:
    rules = parse_rules("""
    rules:
      - name: large and not of the lab
        method: follow
        when: {BilledCost: {at_least: 0.5, below: 100}, not: {x_owner: [lab, Lab]}}
    """)
    least, less, lab = (
        RowTest("BilledCost", "at_least", ("0.5",)),
        RowTest("BilledCost", "below", ("100",)),
        RowTest("x_owner", "in", ("Lab", "lab")),
    )

    assert rules.row_tests == (least, less, lab)
    assert rules.rule_for(Facts(ROW, frozenset({least, less})), month=date(2026, 10, 1)) is not None
    assert (
        rules.rule_for(Facts(ROW, frozenset({least, less, lab})), month=date(2026, 10, 1)) is None
    )
    assert rules.rule_for(Facts(ROW, frozenset({least})), month=date(2026, 10, 1)) is None


INDEXED = """
rules:
  - {name: by row, method: follow, when: {all: [{ServiceName: Amazon EC2}, {x_key: [a, b]}]}}
  - {name: by either, method: follow, when: {any: [{ServiceName: Amazon S3}, {Tags.team: search}]}}
  - {name: by none, method: follow, when: {not: {ServiceName: [Amazon EC2, Amazon S3]}}}
  - {name: by service, method: follow,
     when: {ServiceName: [Amazon EC2, Amazon S3], SubAccountId: "1"}}
  - {name: by tag, method: follow, when: {Tags.team: {equals: ads}, SubAccountId: {prefix: "2"}}}
  - {name: by two rows, method: follow, when: {x_key: {missing: false}, BilledCost: {above: 1}}}
  - {name: by start, method: follow, when: {SubAccountId: {prefix: "3"}}}
  - {name: else, method: follow}
"""


@pytest.mark.parametrize("service", ["Amazon EC2", "Amazon S3", "Amazon RDS", None])
@pytest.mark.parametrize("team", ["search", "ads", None])
@pytest.mark.parametrize("account", ["1", "22", "3", None])
def test_the_first_rule_is_found_as_if_each_had_been_asked(
    service: str | None, team: str | None, account: str | None
) -> None:
    rules = parse_rules(INDEXED)
    columns = {"service_name": service, "sub_account_id": account, "tags": {"Team ": team}}

    for count in range(4):
        for passed in combinations(rules.row_tests, count):
            facts = Facts(columns, frozenset(passed))

            found = rules.rule_for(facts, month=OCTOBER)

            assert found == next(rule for rule in rules.rules if rule.matches(facts))


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(RuleError) as caught:
        parse_rules("rules: [{name: a, method: x}, {name: b, method: y}]")

    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("row", "rule", "scope"),
    [
        ({"provider_name": "OpenAI", "sku_meter": "gpt-4o-2024-08-06, input"}, "OpenAI model calls",
            "ai"),
        ({"provider_name": "Anthropic", "sku_meter": "Claude Haiku 4.5 Usage - Output Tokens"},
            "Anthropic model calls", "ai"),
        ({"service_name": "Amazon Bedrock", "sku_meter": "USE1-NovaPro-input-tokens"},
            "Amazon Bedrock model calls", "ai"),
        ({"provider_name": "Microsoft", "service_name": "Azure OpenAI",
            "sku_meter": "gpt-4o-0806-Inp-glbl Tokens"},
         "Azure OpenAI model calls", "ai"),
        ({"provider_name": "Google Cloud", "service_name": "Vertex AI",
            "sku_meter": "Gemini 2.5 Pro Input Text Tokens"},
         "Vertex AI and Gemini model calls", "ai"),
        ({"resource_type": "p5.48xlarge"}, "GPU capacity by its tags", "ai"),
        ({"resource_type": "p5.48xlarge", "tags": {}}, None, "ai"),
        ({"service_name": "Pinecone Vector Database"}, "Resources by their team tag",
            "ai_supporting"),
        ({"service_name": "Amazon S3"}, "Resources by their team tag", "other"),
        ({"charge_category": "Tax"}, "Tax follows what is taxed", "other"),
        ({"charge_category": "Credit"}, "Credits follow what they reduce", "other"),
        ({"service_name": "AWS Support (Business)"}, "Support follows what it covers", "other"),
        ({"charge_description": "Enterprise discount 7%"}, "Discounts follow what they reduce",
            "other"),
        ({"charge_category": "Credit", "charge_description": "Enterprise discount 7%"},
            "Discounts follow what they reduce", "other"),
        ({"provider_name": "OpenAI", "charge_category": "Adjustment",
            "charge_description": "Annual commitment shortfall"},
         "Shortfalls of minimum commitments stay with who signed", "ai"),
        ({"provider_name": "Microsoft", "service_name": "Azure OpenAI",
            "sku_meter": "gpt-4o-mini ft hosting unit",
                "charge_description": "Fine-tuned model hosting"},
         "Hosting of own models stays with their owner", "ai"),
        ({"provider_name": "Microsoft", "service_name": "Azure OpenAI",
            "sku_meter": "Provisioned Managed Global Unit"},
         "Reserved capacity goes to whom it served", "ai"),
        ({"service_name": "Amazon Bedrock",
            "sku_meter": "USE1-Claude4.5Sonnet-ProvisionedThroughput-ModelUnits"},
         "Reserved capacity goes to whom it served", "ai"),
        ({"provider_name": "AWS Marketplace",
            "service_name": "Claude Sonnet 4.5 (Amazon Bedrock Edition)",
                "sku_meter": "USE1_InputTokenCount-Units"},
         "Amazon Bedrock model calls", "ai"),
        ({"commitment_discount_status": "Unused"}, "Unused commitments go to their owner", "other"),
        ({"service_name": "Amazon S3", "tags": None}, None, "other"),
    ],
)  # fmt: skip
def test_the_built_in_rules_answer_for_well_known_bills(
    row: dict[str, Any], rule: str | None, scope: str
) -> None:
    rules = parse_rules(default_rules_text())
    facts = Facts(
        {"provider_name": "AWS", "charge_category": "Usage", "tags": {"team": "search"}} | row
    )

    found = rules.rule_for(facts, month=OCTOBER)

    assert (found.name if found else None, rules.scope_of(facts)) == (rule, scope)
