"""Checks of a draft, over plain values: what is found, which line it names, and how to put it
right.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from allocation.rules.checks import ERROR, WARNING, ChargeShape, Checked, RuleTestData, check_rules
from allocation.rules.conditions import Facts

OCTOBER = date(2026, 10, 1)


def shape(money: str = "10", **columns: Any) -> ChargeShape:
    about = {
        "provider_name": "AWS",
        "charge_category": "Usage",
        "billing_currency": "USD",
        **columns,
    }
    return ChargeShape(Facts(about), "aws", "USD", 1, Decimal(money), Decimal(money))


EC2, S3 = shape(service_name="Amazon EC2"), shape(service_name="Amazon S3")
TREE = {
    "teams": 3,
    "knows_team": {"search", "ads", "web"}.__contains__,
    "knows_feature": {"chat"}.__contains__,
}


def checked(text: str, *shapes: ChargeShape, month: date = OCTOBER, **data: Any) -> Checked:
    return check_rules(text, effective_from=month, data=RuleTestData(month, shapes, **data))


def found(text: str, *shapes: ChargeShape, **data: Any) -> list[tuple[str, int | None, str]]:
    """Level, line and words of each finding."""
    return [
        (f.level, f.line, f"{f.subject}: {f.what}") for f in checked(text, *shapes, **data).findings
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("rules:\n- {name: a\n- b", 3, "the document: not valid YAML: did not find expected ','"),
        (
            "rules:\n- name: a\n  method: follow\n  when: {A: b}",
            2,
            "rule 'a': 'A' is neither a FOCUS column",
        ),
        ("rules:\n- {method: follow}", 2, "rule 1: it needs a name"),
        ("rules: []\nlimits: []", 2, "the document: there is no section 'limits'"),
        (
            "rules:\n- {name: a, method: follow}\n- {name: a, method: follow}",
            3,
            "rule 'a': stands twice for the same",
        ),
        (
            "rules:\n- {name: Bob's, method: follow}\n- {name: Bob's, method: follow}",
            3,
            "rule 'Bob's': stands twice",
        ),
        (
            "rules:\n- {name: a 'b' c, method: follow}\n- {name: a 'b' c, method: follow}",
            3,
            "rule 'a 'b' c': stands",
        ),
        (
            "rules:\n- {name: a, method: direct, target: {pool: p}}",
            2,
            "rule 'a': there is no pool 'p'",
        ),
        (
            "rules: []\npools:\n- {name: p, method: fixed, shares: [{team: x, share: 99}]}",
            3,
            "add up to 99%, not 100%",
        ),
        (
            "rules: []\npools:\n- {name: p, method: even, among: [{pool: p}]}",
            3,
            "pool 'p': circle pool p > pool p",
        ),
        (
            "rules:\n- name: a\n  method: follow\n  method: direct",
            4,
            "the document: `method` stands twice",
        ),
        ("rules: &all\n- *all", 1, "the document: an alias names what holds it"),
        (
            "rules: []\npools:\n- &p {name: p, method: even, among: teams}\n- *p",
            3,
            "pool 'p': stands twice",
        ),
        ("a: [" * 3000, 1, "the document: it is nested too deeply"),
    ],
)
def test_errors_stand_at_their_line(text: str, line: int | None, words: str) -> None:
    findings = found(text)

    assert [level for level, _, _ in findings][:1] == [ERROR]
    assert any(at == line and words in said for _, at, said in findings), findings


def test_aliases_that_grow_without_end_are_refused_at_once() -> None:
    lines = ["a0: &a0 [x]"] + [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 20)}]" for n in range(1, 12)
    ]

    assert "too much" in found("\n".join(lines))[0][2]


def test_a_rule_behind_a_wider_one_is_shadowed_whatever_the_month_holds() -> None:
    text = """
rules:
  - {name: all of AWS, method: follow, when: {ProviderName: AWS}}
  - {name: EC2, method: follow, when: {ProviderName: AWS, ServiceName: Amazon EC2}}
  - {name: OpenAI, method: follow, when: {ProviderName: OpenAI}}
"""

    assert found(text) == [
        (
            WARNING,
            4,
            "rule 'EC2': shadowed by rule 'all of AWS' (line 3), whose condition holds wherever "
            "this one does",
        )
    ]


def test_a_wider_rule_of_other_months_shadows_nothing() -> None:
    text = """
rules:
  - {name: until September, method: follow, valid_to: 2026-10}
  - {name: EC2, method: follow, when: {ServiceName: Amazon EC2}, valid_from: 2026-09}
"""

    assert found(text, EC2, month=date(2026, 9, 1)) == [
        (
            WARNING,
            4,
            "rule 'EC2': shadowed in September 2026: earlier rules take everything that it would: "
            "'until September'",
        )
    ]
    assert [line for _, line, _ in found(text, EC2)] == [3]  # it ended


def test_rules_that_take_nothing_say_why() -> None:
    text = """
rules:
  - {name: compute, method: follow, when: {ServiceName: [Amazon EC2, Amazon ECS]}}
  - {name: servers, method: follow, when: {ServiceName: {prefix: Amazon EC}}}
  - {name: support, method: follow, when: {ServiceName: Support}}
  - {name: later, method: follow, when: {ServiceName: Later}, valid_from: 2026-12}
  - {name: gone, method: follow, when: {ServiceName: Amazon S3}, valid_to: 2026-10}
"""

    assert found(text, EC2, S3) == [
        (
            WARNING,
            4,
            "rule 'servers': shadowed in October 2026: earlier rules take everything that it "
            "would: 'compute'",
        ),
        (WARNING, 5, "rule 'support': matches no charge of October 2026"),
        (
            WARNING,
            7,
            "rule 'gone': it ends before October 2026, from which on these rules shall be in force",
        ),
    ]


def test_teams_and_features_that_the_tree_does_not_know_are_named_with_their_line() -> None:
    text = """
rules:
  - name: a
    method: direct
    target:
      feature: chatt
      team: {column: SubAccountId, map: {"1": search, "2": serch}}
  - {name: b, method: fixed, shares: [{team: ads, share: 50}, {team: adds, share: 50}]}
pools:
  - {name: p, method: even, among: [{team: web}, {pool: q}]}
  - {name: q, method: even, among: [{team: nobody}, {team: web, feature: chat}]}
scope: []
"""

    assert found(text, **TREE) == [
        (
            ERROR,
            7,
            "rule 'a': there is no team 'serch' in the tree, so its cost would stay unallocated",
        ),
        (
            ERROR,
            8,
            "rule 'b': there is no team 'adds' in the tree, so its cost would stay unallocated",
        ),
        (
            ERROR,
            11,
            "pool 'q': there is no team 'nobody' in the tree, so its cost would stay unallocated",
        ),
        (
            WARNING,
            6,
            "rule 'a': there is no feature 'chatt' in the tree, so it has neither product nor "
            "owner",
        ),
        (
            WARNING,
            8,
            "rule 'b': shadowed by rule 'a' (line 3), whose condition holds wherever this one does",
        ),
        (WARNING, 10, "pool 'p': nothing fills it"),
    ]
    # Without a tree names are taken as told.
    assert not [level for level, _, _ in found(text) if level == ERROR]


def test_series_that_nobody_uploaded_are_named_with_their_line_and_those_without_the_month() -> (
    None
):
    text = """
rules:
  - name: series
    method: proportional
    by: series
    series: desk
    when: {ServiceName: A}
  - {name: seats, method: proportional, by: seats, when: {ServiceName: B}}
  - {name: there, method: proportional, by: series, series: queries, when: {ServiceName: C}}
  - {name: later, method: proportional, by: seats, when: {ServiceName: D}, valid_from: 2026-11}
  - {name: filler, method: direct, target: {pool: q}, when: {ServiceName: E}}
  - {name: next, method: direct, target: {pool: r}, when: {ServiceName: F}, valid_from: 2026-11}
pools:
  - {name: q, method: fixed, shares: [{pool: p, share: 100}]}
  - {name: p, method: proportional, by: series, series: gigabytes}
  - {name: r, method: proportional, by: seats}
"""
    series = {
        "desks": frozenset({OCTOBER}),
        "queries": frozenset({OCTOBER}),
        "seats": frozenset({date(2026, 8, 1), date(2026, 9, 1)}),
    }

    findings = checked(text, series=series).findings

    unallocated = "so its cost would stay unallocated"
    there = "upload it first, or take one that is there: 'desks', 'queries', 'seats'"
    assert [(f.level, f.line, f.subject, f.what, f.remedy) for f in findings] == [
        (
            ERROR,
            6,
            "rule 'series'",
            f"there is no series 'desk' for any month, {unallocated}",
            there,
        ),
        (
            ERROR,
            15,
            "pool 'p'",
            f"there is no series 'gigabytes' for any month, {unallocated}",
            there,
        ),
        (
            WARNING,
            8,
            "rule 'seats'",
            "series 'seats' has nothing for October 2026, so its cost of that month would stay "
            "unallocated",
            "upload October 2026; its newest month is September 2026",
        ),
    ]
    assert checked(text).findings == ()  # nobody looked what is uploaded


def test_minimums_and_caps_are_counted_over_every_team() -> None:
    text = """
rules:
  - {name: a, method: proportional, by: seats, among: teams, min_share: 34, when: {ServiceName: A}}
  - {name: b, method: proportional, by: seats, among: teams, min_share: 33, max_share: 33.25,
     when: {ServiceName: B}}
  - {name: c, method: proportional, by: seats, among: [{team: ads}, {team: web}], max_share: 50,
     when: {ServiceName: C}}
  - {name: d, method: proportional, by: seats, max_share: 10}
"""

    assert found(text, **TREE) == [
        (ERROR, 3, "rule 'a': a minimum of 34% for each of 3 teams is more than 100%"),
        (WARNING, 4, "rule 'b': a cap of 33.25% for each of 3 leaves 0.25% unallocated"),
    ]


def test_each_charge_goes_to_the_first_rule_or_to_none() -> None:
    text = "rules:\n- {name: EC2, method: follow, when: {ServiceName: Amazon EC2}}"

    taken = checked(text, EC2, S3, EC2).matched

    assert taken is not None
    assert taken.of(taken.rules.rules[0]) == [EC2, EC2]
    assert taken.unmatched == [S3]
