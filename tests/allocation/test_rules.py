"""The rule language: what matches, who pays, and errors that name what is wrong."""

# ruff: noqa: E501 - a table row stands on one line

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from allocation.rule_sets import default_rules_text
from allocation.rules import Facts, Owner, RuleError, Rules, parse_rules

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
        ("{team: {tag: team}, environment: {tag: [environment, env]}}", Owner(team="Search", environment="prod")),
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
        ("rules: [{name: a, method: follow}, {name: a, method: follow}]", "rule 'a' stands twice"),
        ("rules: [{name: a, method: follow, colour: red}]", "there is no colour"),
        ("rules: [{name: a, method: follow, kind: unallocated}]", "kind is one of"),
        ("rules: [{name: a, method: follow, valid_from: soon}]", "valid_from is a month"),
        ("rules: [{name: a, method: follow, valid_from: 2026-11, valid_to: 2026-11}]", "later than valid_from"),
        ("rules: [{name: a, method: follow, when: {Colour: red}}]", "'Colour' is neither a FOCUS text column"),
        ("rules: [{name: a, method: follow, when: {Catalogue.Mood: good}}]", "there is no Catalogue.Mood"),
        ("rules: [{name: a, method: follow, when: {ServiceName: {like: x}}}]", "no operator 'like'"),
        ("rules: [{name: a, method: follow, when: {ServiceName: {regex: '('}}}]", "no RE2 pattern"),
        ("rules: [{name: a, method: follow, when: {ServiceName: {regex: '(?=x)'}}}]", "no RE2 pattern"),
        ("rules: [{name: a, method: follow, when: {ServiceName: {missing: maybe}}}]", "`missing` is true or false"),
        ("rules: [{name: a, method: follow, when: {ServiceName: {in: []}}}]", "needs text or a list"),
        ("rules: [{name: a, method: follow, when: {all: []}}]", "`all` needs a list"),
        ("rules: [{name: a, method: direct, target: {team: {tags: x}}}]", "target team is text, a tag, a map"),
        ("rules: [{name: a, method: direct, target: {team: x, boss: y}}]", "a target has no boss"),
        ("rules: [{name: a, method: direct, target: {team: {column: SkuId, pattern: x}}}]", "needs one group"),
        ("rules: []\nscope: [{name: s, scope: maybe}]", "scope is one of"),
    ],
)
def test_errors_name_the_rule_and_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse_rules(text)

    assert any(problem in found for found in caught.value.problems), caught.value.problems


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(RuleError) as caught:
        parse_rules("rules: [{name: a, method: x}, {name: b, method: y}]")

    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("row", "rule", "scope"),
    [
        ({"provider_name": "OpenAI", "sku_meter": "gpt-4o-2024-08-06, input"}, "OpenAI model calls", "ai"),
        ({"provider_name": "Anthropic", "sku_meter": "Claude Haiku 4.5 Usage - Output Tokens"}, "Anthropic model calls", "ai"),
        ({"service_name": "Amazon Bedrock", "sku_meter": "USE1-NovaPro-input-tokens"}, "Amazon Bedrock model calls", "ai"),
        ({"provider_name": "Microsoft", "service_name": "Azure OpenAI", "sku_meter": "gpt-4o-0806-Inp-glbl Tokens"},
         "Azure OpenAI model calls", "ai"),
        ({"provider_name": "Google Cloud", "service_name": "Vertex AI", "sku_meter": "Gemini 2.5 Pro Input Text Tokens"},
         "Vertex AI and Gemini model calls", "ai"),
        ({"resource_type": "p5.48xlarge"}, "GPU capacity by its tags", "ai"),
        ({"resource_type": "p5.48xlarge", "tags": {}}, None, "ai"),
        ({"service_name": "Pinecone Vector Database"}, "Resources by their team tag", "ai_supporting"),
        ({"service_name": "Amazon S3"}, "Resources by their team tag", "other"),
        ({"charge_category": "Tax"}, "Tax follows what is taxed", "other"),
        ({"charge_category": "Credit"}, "Credits follow what they reduce", "other"),
        ({"service_name": "AWS Support (Business)"}, "Support follows what it covers", "other"),
        ({"charge_description": "Enterprise discount 7%"}, "Discounts follow what they reduce", "other"),
        ({"commitment_discount_status": "Unused"}, "Unused commitments go to their owner", "other"),
        ({"service_name": "Amazon S3", "tags": None}, None, "other"),
    ],
)  # fmt: skip
def test_the_built_in_rules_answer_for_well_known_bills(row: dict[str, Any], rule: str | None, scope: str) -> None:
    rules = parse_rules(default_rules_text())
    facts = Facts({"provider_name": "AWS", "charge_category": "Usage", "tags": {"team": "search"}} | row)

    found = rules.rule_for(facts, month=OCTOBER)

    assert (found.name if found else None, rules.scope_of(facts)) == (rule, scope)
