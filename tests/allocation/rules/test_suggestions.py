"""Who might own what nobody owns: evidence, confidence, amounts that add up, and rules that accept
it.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from allocation.rules.accepting import accepted_rules
from allocation.rules.conditions import Facts
from allocation.rules.edits import with_rule
from allocation.rules.evidence import Charges, SplitKeyCost, TracedCalls
from allocation.rules.rule_sets import default_rules_text
from allocation.rules.rules import RuleError, parse_rules
from allocation.rules.suggestions import Suggestion, Unowned, unowned_cost
from allocation.values.money import exact_sum
from tests.allocation.bills import OCTOBER

OWNED, LOST = (1, 1), (1, 2)


def charges(split_key: tuple[int, int], cost: str, **about: Any) -> Charges:
    values = {"source": "aws", "charges": 1, "provider": "AWS", "service": "Amazon EC2", **about}
    return Charges(split_key=split_key, cost=Decimal(cost), **values)


def found(
    *members: Charges,
    teams: dict[str, str] | None = None,
    reason: str = "no rule",
    rule: str = "no rule",
    traces: tuple[TracedCalls, ...] = (),
) -> Unowned:
    """One split key that `teams` own, one that nobody owns."""
    lost = exact_sum(one.cost for one in members if one.split_key == LOST)
    owners = {team: Decimal(cost) for team, cost in (teams or {"search": "100"}).items()}
    split_keys = [
        SplitKeyCost(OWNED, "by tag", "direct", None, teams=owners),
        SplitKeyCost(
            LOST,
            rule,
            "unallocated" if rule == "no rule" else "direct",
            None,
            reasons={reason: lost},
        ),
    ]
    return unowned_cost(split_keys=split_keys, charges=members, traces=traces, currency="USD")


def only(unowned: Unowned) -> Suggestion:
    (suggestion,) = unowned.suggestions
    return suggestion


@pytest.mark.parametrize(
    ("about", "kind", "condition"),
    [
        ({"sub_account": "111"}, "sub-account", {"SubAccountId": "111"}),
        ({"resource_name": "srch-01"}, "name prefix", {"ResourceName": {"prefix": "srch-"}}),
        (
            {"resource_id": "arn:aws:s3:::srch_images"},
            "name prefix",
            {"ResourceId": {"regex": "[/:]srch_[^/:]*$"}},
        ),
        (
            {"resource_id": "/subscriptions/9/resourceGroups/RG-Search/providers/x"},
            "resource group",
            {"ResourceId": {"contains": "/resourceGroups/RG-Search/"}},
        ),
        (
            {"tags": {"created_by": "Ann@Example.com"}},
            "creator",
            {"Tags.created_by": ["Ann@Example.com"]},
        ),
        ({"principal": "AROA1"}, "principal", {"PrincipalId": "AROA1"}),
    ],
)
def test_each_property_that_owned_charges_share_is_evidence(
    about: dict[str, Any], kind: str, condition: dict[str, Any]
) -> None:
    suggestion = only(found(charges(OWNED, "100", **about), charges(LOST, "7", **about)))

    assert (suggestion.kind, suggestion.team, suggestion.confidence) == (kind, "search", 1)
    assert (suggestion.cost, suggestion.charges) == (Decimal(7), 1)
    assert suggestion.condition == {
        "ProviderName": "AWS",
        "ServiceName": ["Amazon EC2"],
        **condition,
    }
    assert suggestion.words.endswith("100% of 100 USD of owned cost there is this team's")


def test_traces_tell_the_owner_of_a_project_and_of_a_service() -> None:
    traces = (
        TracedCalls("proj-1", "indexer", "search", Decimal(90)),
        TracedCalls("proj-1", "banner", "ads", Decimal(10)),
    )

    by_project = only(found(charges(LOST, "5", sub_account="proj-1"), traces=traces))
    assert (by_project.kind, by_project.team, by_project.confidence) == (
        "traced project",
        "search",
        Fraction(9, 10),
    )
    assert "90% of 100 traced calls" in by_project.words
    by_service = only(
        found(charges(LOST, "5", sub_account="proj-1", resource_name="banner"), traces=traces)
    )
    assert (by_service.kind, by_service.team) == ("traced service", "ads")


def test_below_the_least_confidence_nothing_is_suggested_and_the_line_stays() -> None:
    shared = charges(OWNED, "100", sub_account="111")
    lost = charges(LOST, "7", sub_account="111")

    assert found(shared, lost, teams={"search": "59", "ads": "41"}).suggestions == ()
    assert only(found(shared, lost, teams={"search": "60", "ads": "40"})).confidence == Fraction(
        3, 5
    )
    line = found(shared, lost, teams={"search": "59", "ads": "41"}).lines[0]
    assert (line.cost, line.sub_account, line.suggestion) == (Decimal(7), "111", None)


@pytest.mark.parametrize("reason", ["nothing to follow", "driver is zero", "outside AI scope"])
def test_reasons_that_no_owner_would_help_get_no_suggestion(reason: str) -> None:
    unowned = found(
        charges(OWNED, "100", sub_account="1"), charges(LOST, "7", sub_account="1"), reason=reason
    )

    assert (len(unowned.lines), unowned.suggestions) == (1, ())


def test_a_credit_is_no_evidence() -> None:
    refund = charges(OWNED, "-100", sub_account="111")

    assert found(refund, charges(LOST, "7", sub_account="111")).suggestions == ()


amounts = st.decimals(min_value=-(10**9), max_value=10**9, places=6)


@given(st.lists(amounts, min_size=1, max_size=6), st.lists(amounts, min_size=1, max_size=3))
def test_lines_and_suggestions_add_up_to_the_unowned_cost(
    costs: list[Decimal], reasons: list[Decimal]
) -> None:
    members = [
        charges(LOST, str(cost), sub_account=str(number % 2)) for number, cost in enumerate(costs)
    ]
    parts = {f"unknown team: {number}": cost for number, cost in enumerate(reasons)}
    split_key = SplitKeyCost(
        LOST, "shared", "direct", None, teams={"search": Decimal(3)}, reasons=parts
    )

    unowned = unowned_cost(split_keys=[split_key], charges=members, traces=(), currency="USD")

    assert unowned.total == exact_sum(reasons)
    with_owner = [line.cost for line in unowned.lines if line.suggestion]
    assert unowned.suggested == exact_sum(with_owner)


# ---------------------------------------------------------------- accepting


def facts(**columns: Any) -> Facts:
    return Facts(
        {
            "provider_name": "AWS",
            "service_name": "Amazon EC2",
            "charge_category": "Usage",
            **columns,
        }
    )


def test_an_accepted_owner_is_a_direct_rule_at_the_end_on_rung_five() -> None:
    suggestion = only(
        found(charges(OWNED, "100", sub_account="111"), charges(LOST, "7", sub_account="111"))
    )

    text, name = accepted_rules(default_rules_text(), suggestion, note="because")

    assert text.startswith(default_rules_text().rstrip("\n"))  # comments and all
    rule = parse_rules(text).rules[-1]
    assert (rule.name, rule.method, rule.note) == (name, "direct", "because")
    taken = facts(sub_account_id="111")
    assert parse_rules(text).rule_for(taken, month=OCTOBER.start) == rule
    assert (rule.target(taken).team, rule.target(taken).rung) == ("search", 5)
    assert parse_rules(text).rule_for(facts(sub_account_id="222"), month=OCTOBER.start) is None
    assert accepted_rules(text, suggestion, note="")[1] == f"{name} (2)"


def test_what_a_rule_takes_without_a_team_gets_a_copy_of_it_and_tags_that_work_go_on_working() -> (
    None
):
    suggestion = replace(
        only(
            found(charges(OWNED, "100", sub_account="111"), charges(LOST, "7", sub_account="111"))
        ),
        rule="Other providers' model calls",
        reason="untraced",
        condition={"SubAccountId": "111"},
    )

    text, name = accepted_rules(default_rules_text(), suggestion, note="")

    entries = yaml.safe_load(text)["rules"]
    number = [entry["name"] for entry in entries].index(name)
    assert entries[number + 1]["name"] == "Other providers' model calls"
    assert entries[number]["method"] == "traced_usage"
    assert entries[number]["owner"]["team"] == {"inferred": "search"}
    assert entries[number]["owner"]["feature"] == {"tag": ["feature", "app_feature"]}
    matches = parse_rules(text).rules[number].matches
    model_call = {
        "provider_name": "Mistral",
        "service_name": "Mistral API",
        "sku_meter": "mistral-large input tokens",
    }
    assert not matches(facts(**model_call, sub_account_id="111", tags={"Team": "ads"}))
    assert len(parse_rules(text).rules) == len(parse_rules(default_rules_text()).rules) + 1


@pytest.mark.parametrize(
    "text",
    [
        "rules: [{name: a, method: unallocated}]",
        "version: 1\nrules:\n- name: a\n  method: unallocated",
        "rules:\n    - name: a # first\n      method: unallocated\n\nscope: []\n# end\n",
    ],
)
def test_a_rule_is_added_to_any_layout_of_the_text(text: str) -> None:
    entry = {"name": "b", "method": "direct", "target": {"team": {"inferred": "search"}}}

    last, first = with_rule(text, entry, before=None), with_rule(text, entry, before="a")

    assert [rule.name for rule in parse_rules(last).rules] == ["a", "b"]
    assert [rule.name for rule in parse_rules(first).rules] == ["b", "a"]
    assert ("# end" in last, "# first" in first) == ("# end" in text, "# first" in text)
    assert [
        rule.name for rule in parse_rules(with_rule("rules: []", entry, before=None)).rules
    ] == ["b"]
    with pytest.raises(LookupError):
        with_rule(text, entry, before="c")


def test_a_rule_that_is_wrong_is_not_added() -> None:
    with pytest.raises(RuleError):
        with_rule("rules: []", {"name": "b", "method": "direct"}, before=None)
