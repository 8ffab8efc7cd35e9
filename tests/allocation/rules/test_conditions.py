"""What conditions see of a charge, test by test, and what a rule set says of itself."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from allocation.organisation.targets import Owner
from allocation.rules.conditions import (
    Facts,
    RowTest,
    condition,
    is_row_column,
    pattern_of,
    reader,
    row_test,
    row_tests,
)
from allocation.rules.methods import Split
from allocation.rules.operands import in_range, number_of, words_of
from allocation.rules.rules import Rule, Rules, parse_rules
from allocation.values.names import normal_name

OCTOBER = date(2026, 10, 1)
ROW: dict[str, Any] = {
    "service_name": "Amazon EC2",
    "sub_account_id": "111",
    "sku_id": "12.50",
    "resource_id": "i-STRASSE",
    "region_id": "",
    "tags": {
        "TEAM": "",
        " team ": " Search ",
        "Team": "Other",
        "flag": True,
        "none": None,
        "size": 7,
        "off": False,
    },
}


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({"ServiceName": {"contains": ["s3", "EC2"]}}, True),
        ({"ServiceName": {"contains": ["s3", "ec3"]}}, False),
        ({"ResourceId": {"contains": "straße"}}, True),
        ({"ServiceName": {"prefix": ["S3", "Amazon E"]}}, True),
        ({"ServiceName": {"prefix": "amazon"}}, False),
        ({"ServiceName": {"prefix": "Amazon", "contains": "s3"}}, False),
        ({"ServiceName": {"regex": "EC[0-9]$"}}, True),
        ({"ServiceName": {"regex": "^EC"}}, False),
        ({"SkuName": None}, None),
        ({"InvoiceId": {"prefix": "x"}}, False),
        ({"InvoiceId": {"contains": "x"}}, False),
        ({"InvoiceId": {"regex": "."}}, False),
        ({"InvoiceId": {"above": 0}}, False),
        ({"InvoiceId": {"missing": True}}, True),
        ({"InvoiceId": {"missing": False}}, False),
        ({"SkuId": {"above": 12.5}}, False),
        ({"SkuId": {"above": "12.49"}}, True),
        ({"SkuId": {"at_least": "12.5"}}, True),
        ({"SkuId": {"at_least": "12.51"}}, False),
        ({"SkuId": {"below": "12.5"}}, False),
        ({"SkuId": {"below": "12.51"}}, True),
        ({"SkuId": {"at_most": "12.5"}}, True),
        ({"SkuId": {"at_most": "12.4"}}, False),
        ({"ServiceName": {"above": 0}}, False),
        ({"SkuId": {"at_least": 10, "below": 12}}, False),
        ({"SubAccountId": 111}, True),
        ({"SubAccountId": [222, 111]}, True),
        ({"Tags.team": "Search"}, True),
        ({"Tags.team": "Other"}, False),
        ({"Tags.FLAG": "true"}, True),
        ({"Tags.off": "False"}, True),
        ({"Tags.none": {"missing": True}}, True),
        ({"Tags.size": 7}, True),
        ({"Tags.team": "Search", "SubAccountId": "222"}, False),
        ({"Tags.team": "Search", "SubAccountId": "111"}, True),
        ({"all": [{"Tags.team": "Search"}, {"SubAccountId": "222"}]}, False),
        ({"any": [{"Tags.team": "Search"}, {"SubAccountId": "222"}]}, True),
        ({"any": [{"Tags.team": "x"}, {"SubAccountId": "222"}]}, False),
        ({"not": {"SubAccountId": "222"}}, True),
        (None, True),
    ],
)
def test_what_holds_of_a_charge(when: Any, holds: bool | None) -> None:
    if holds is None:
        with pytest.raises(ValueError, match="neither a FOCUS column"):
            condition(when)
    else:
        assert condition(when)(Facts(ROW)) is holds


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ({"provider_name": "OpenAI", "sku_meter": "gpt-4o input tokens"}, "model_usage"),
        (
            {
                "provider_name": "OpenAI",
                "sku_meter": "gpt-4o input tokens",
                "charge_category": "Tax",
            },
            "other",
        ),
        ({"provider_name": "AWS", "resource_type": "p5.48xlarge"}, "gpu"),
        ({"provider_name": "AWS"}, "other"),
    ],
)
def test_the_catalogue_s_columns(columns: dict[str, str], kind: str) -> None:
    facts = Facts({"sub_account_id": "p", **columns})

    assert facts.catalogue["Kind"] == kind
    for name, value in facts.catalogue.items():
        assert reader(f"Catalogue.{name}")(facts) == value
    assert (facts.catalogue["Provider"], facts.catalogue["Project"]) == (facts.line.provider, "p")
    expected = (facts.line.model, facts.line.token_class, facts.line.tier)
    assert (
        facts.catalogue["Model"],
        facts.catalogue["TokenClass"],
        facts.catalogue["Tier"],
    ) == expected
    assert Facts({"tags": None}).tags == {}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("  The\tBig  Team ", "the big team"),
        ("ＡＤＳ", "ads"),
        ("É", "é"),
        ("Straße", "strasse"),
        ("", ""),
        ("é\u200b  \u00a0ü ", "é ü"),
    ],
)
def test_names_are_compared_in_one_form(text: str, name: str) -> None:
    assert normal_name(text) == name


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", "1"),
        ("-1.50", "-1.50"),
        (".5", "0.5"),
        ("1.", "1"),
        ("1e3", None),
        ("", None),
        ("+1", None),
        ("١", None),
        (" 1", None),
        ("1,000", None),
        ("NaN", None),
        ("--1", None),
        (".", None),
        (None, None),
    ],
)
def test_plain_decimals_and_nothing_else_are_numbers(text: str | None, number: str | None) -> None:
    assert number_of(text) == (None if number is None else Decimal(number))


def test_ranges_at_their_edge() -> None:
    one = Decimal(1)
    assert [in_range(one, name, one) for name in ("above", "at_least", "below", "at_most")] == [
        False,
        True,
        False,
        True,
    ]
    assert [
        in_range(one, name, Decimal(2)) for name in ("above", "at_least", "below", "at_most")
    ] == [
        False,
        False,
        True,
        True,
    ]
    assert [
        in_range(one, name, Decimal(0)) for name in ("above", "at_least", "below", "at_most")
    ] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("column", "operator", "operand", "test"),
    [
        ("x_a", "equals", "v", RowTest("x_a", "in", ("v",))),
        ("x_a", "in", ["w", "v", "w", 1], RowTest("x_a", "in", ("1", "v", "w"))),
        ("x_a", "prefix", "p", RowTest("x_a", "prefix", ("p",))),
        ("x_a", "regex", "^p", RowTest("x_a", "regex", ("^p",))),
        ("x_a", "missing", True, RowTest("x_a", "missing", ("true",))),
        ("x_a", "above", "1.50", RowTest("x_a", "above", ("1.50",))),
        ("BilledCost", "missing", False, RowTest("BilledCost", "missing", ("false",))),
        ("BilledCost", "equals", 2, RowTest("BilledCost", "equals", ("2",))),
        ("ListCost", "at_most", -0.5, RowTest("ListCost", "at_most", ("-0.5",))),
    ],
)
def test_tests_of_single_rows(column: str, operator: str, operand: Any, test: RowTest) -> None:
    assert row_test(column, operator, operand) == test
    when = {"any": [{"all": [{"not": {column: {operator: operand}}}]}, {"ServiceName": "x"}]}
    assert row_tests(when) == {test}
    assert condition({column: {operator: operand}})(Facts(ROW, frozenset({test})))
    assert not condition({column: {operator: operand}})(Facts(ROW))


def test_columns_of_single_rows() -> None:
    assert is_row_column("ConsumedQuantity")
    assert is_row_column("x_a1")
    assert not any(map(is_row_column, ("x_", "x_a-b", "ServiceName", "y_a", "x_" + "a" * 101)))
    assert is_row_column("x_" + "a" * 100)
    assert row_tests(None) == frozenset()
    two = {"x_a": "v", "BilledCost": {"above": 1, "below": 2}}
    assert {test.operator for test in row_tests(two)} == {"in", "above", "below"}
    assert condition(two)(Facts(ROW, row_tests(two)))


def test_a_broken_pattern_is_told_to_its_author_and_to_nobody_else(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ValueError, match="is no RE2 pattern"):
        pattern_of("(")
    assert capfd.readouterr() == ("", "")


def test_words_and_patterns() -> None:
    assert words_of("in", "a") == ("a",)
    assert words_of("in", ["a", 1]) == ("a", "1")
    assert pattern_of("a+").search("baa") is not None
    assert pattern_of("a+").search("b") is None


# ---------------------------------------------------------------- rule sets


def only(**keys: Any) -> Rule:
    return parse_rules(json.dumps({"rules": [{"name": " r ", "method": "follow", **keys}]})).rules[
        0
    ]


def test_a_rule_reads_as_written_and_has_its_defaults() -> None:
    rule = only()

    assert (rule.name, rule.method, rule.follows, rule.note, rule.reason, rule.kind) == (
        "r",
        "follow",
        "related",
        "",
        None,
        None,
    )
    assert (rule.valid_from, rule.valid_to, rule.split, rule.pool, rule.pools) == (
        None,
        None,
        None,
        None,
        (),
    )
    assert rule.row_tests == frozenset()
    assert rule.matches(Facts({}))
    assert rule.owner(Facts({})) == Owner()
    assert rule.target(Facts({})) == Owner()
    assert only(note=7, kind="tax", follows="commitment").note == "7"
    assert only(kind="tax").kind == "tax"
    assert only(method="unallocated", reason="known loss").reason == "known loss"
    assert only(method="gpu_usage", owner={"team": "ops"}).owner(Facts({})) == Owner(team="ops")
    assert only(method="direct", target={"team": "x"}).target(Facts({})) == Owner(team="x")
    assert only(when={"x_a": "v"}).row_tests == {RowTest("x_a", "in", ("v",))}


def test_rules_say_which_pools_they_fill() -> None:
    rules = parse_rules("""
    rules:
      - {name: a, method: direct, target: {pool: p}}
      - {name: b, method: even, among: [{pool: p}, {team: x}]}
    pools: [{name: " p ", method: even, among: teams, note: shared}]
    """)

    assert [rule.pools for rule in rules.rules] == [("p",), ("p",)]
    assert [rule.pool for rule in rules.rules] == ["p", None]
    assert [rule.split is None for rule in rules.rules] == [True, False]
    assert rules.pools == {
        "p": Split("even", '{"among": "teams", "method": "even"}', every_team=True)
    }
    assert rules.stages == {"a": 0, "b": 0}


@pytest.mark.parametrize(
    ("first", "second", "twice"),
    [
        ({}, {}, True),
        ({"valid_to": "2026-10"}, {"valid_from": "2026-10"}, False),
        ({"valid_from": "2026-10"}, {"valid_to": "2026-10"}, False),
        ({"valid_to": "2026-11"}, {"valid_from": "2026-10"}, True),
        ({"valid_from": "2026-10"}, {"valid_to": "2026-11"}, True),
        ({"valid_from": "2026-10"}, {}, True),
        ({"valid_to": "2026-10"}, {}, True),
        ({}, {"valid_from": "2026-10"}, True),
        ({}, {"valid_to": "2026-10"}, True),
        (
            {"valid_from": "2026-01", "valid_to": "2026-03"},
            {"valid_from": "2026-03", "valid_to": "2026-05"},
            False,
        ),
        (
            {"valid_from": "2026-03", "valid_to": "2026-05"},
            {"valid_from": "2026-01", "valid_to": "2026-03"},
            False,
        ),
        (
            {"valid_from": "2026-03", "valid_to": "2026-05"},
            {"valid_from": "2026-01", "valid_to": "2026-04"},
            True,
        ),
    ],
)
def test_a_name_stands_once_in_any_month(
    first: dict[str, str], second: dict[str, str], twice: bool
) -> None:
    items = [
        {"name": "a", "method": "follow", **first},
        {"name": "a", "method": "follow", **second},
    ]
    text = json.dumps({"rules": [*items, {"name": "b", "method": "follow"}]})

    if twice:
        with pytest.raises(ValueError, match=r"^rule 'a' stands twice for the same months$"):
            parse_rules(text)
    else:
        assert len(parse_rules(text).rules) == 3


def test_rules_hold_from_their_first_month_up_to_their_last() -> None:
    rule = only(valid_from="2026-10", valid_to="2026-12")

    assert [rule.is_valid_in(date(2026, month, 1)) for month in (9, 10, 11, 12)] == [
        False,
        True,
        True,
        False,
    ]
    assert only(valid_from="2026-10").is_valid_in(date(2030, 1, 1))
    assert only(valid_to="2026-10").is_valid_in(date(2020, 1, 1))
    assert (
        parse_rules("rules: [{name: a, method: follow, valid_from: 2026-10-01}]")
        .rules[0]
        .valid_from
        == OCTOBER
    )


def test_a_rule_set_says_what_it_needs_to_know_of_charges() -> None:
    rules = parse_rules("""
    version: 1
    scope:
      - {name: s, scope: ai, when: {x_b: v}}
      - {name: t, scope: ai_supporting}
    rules:
      - {name: a, method: follow, when: {x_a: v, BilledCost: {above: 1}}}
      - {name: b, method: follow, when: {x_a: v}}
    """)

    assert rules.row_tests == (
        RowTest("BilledCost", "above", ("1",)),
        RowTest("x_a", "in", ("v",)),
        RowTest("x_b", "in", ("v",)),
    )
    assert [entry.name for entry in rules.entries] == ["s", "t", "a", "b"]
    assert not rules.has_commitment_followers
    assert rules.scope_of(Facts({}, frozenset({RowTest("x_b", "in", ("v",))}))) == "ai"
    assert rules.scope_of(Facts({})) == "ai_supporting"
    assert Rules((), ()).scope_of(Facts({})) == "other"
    assert rules.rule_for(Facts({}), month=OCTOBER) is None
    assert parse_rules(
        "rules: [{name: a, method: follow, follows: commitment}]"
    ).has_commitment_followers


def test_stages_run_through_pools_and_rules_of_one_name() -> None:
    rules = parse_rules("""
    rules:
      - {name: base, method: direct, target: {team: x}}
      - {name: twice, method: direct, target: {team: x}, valid_to: 2026-10}
      - {name: twice, method: direct, target: {pool: p}, valid_from: 2026-10}
      - {name: top, method: fixed, shares: [{pool: q, share: 50}, {team: x, share: 50}]}
      - {name: last, method: proportional, by: cost, of_rules: [top, base]}
      - {name: seats, method: proportional, by: seats}
    pools:
      - {name: p, method: proportional, by: cost, of_rules: [base]}
      - {name: q, method: proportional, by: cost, of_rules: [twice]}
    """)

    assert rules.stages == {"base": 0, "twice": 1, "top": 2, "last": 3, "seats": 0}


def test_options_of_rules_by_usage_and_of_rules_that_follow() -> None:
    usual, other = (
        only(method="traced_usage").usage,
        only(method="traced_usage", weights="month").usage,
    )

    assert (usual.pool_cache_writes, usual.by_month, usual.by_region) == (False, False, False)
    assert (other.pool_cache_writes, other.by_month, other.by_region) == (False, True, False)
    assert only(method="traced_usage", weights="day").usage == usual
    assert only(method="traced_usage", pool_cache_writes=True).usage.pool_cache_writes
    assert only(method="traced_usage", by_region=True).usage.by_region
    assert not only(method="traced_usage", by_region=True).usage.pool_cache_writes
    assert (
        only().by_list_cost,
        only(by="effective_cost").by_list_cost,
        only(by="list_cost").by_list_cost,
    ) == (
        False,
        False,
        True,
    )
    assert parse_rules("{rules: [], agents: callee}").agents == "callee"
    assert parse_rules("rules: []").agents == "caller"
