"""What the rule language says of each mistake, word for word: these sentences are read by people
who write rules.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from allocation.rules.rules import RuleError, Rules, parse_rules
from tests.allocation.examples import times
from tests.allocation.months import made_up
from tests.allocation.rule_mistakes import MISTAKES


@pytest.mark.parametrize(("text", "problems"), MISTAKES)
def test_every_mistake_has_its_sentence(text: str, problems: tuple[str, ...]) -> None:
    with pytest.raises(RuleError) as caught:
        parse_rules(text)

    assert tuple(caught.value.problems) == problems
    assert str(caught.value) == "; ".join(problems)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("rules: [", "the rules are no YAML: "),
        (
            'rules: [{name: a, method: follow, when: {ServiceName: {regex: "("}}}]',
            "rule 1 (a): '(' is no RE2 pattern: ",
        ),
        (
            'rules: [{name: a, method: follow, when: {x_size: {regex: "("}}}]',
            "rule 1 (a): '(' is no RE2 pattern: ",
        ),
    ],
)
def test_what_a_library_has_to_say_of_a_mistake_is_passed_on(text: str, start: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse_rules(text)

    (problem,) = caught.value.problems
    assert problem.startswith(start)
    assert len(problem) > len(start)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 200) | st.floats() | st.dates()
    | st.sampled_from(["", "a", "p", "teams", "cost", "leaf 0", "pool 0", "2026-10", "("]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["team", "pool", "share", "all", "not", "in", 7, None]),
        inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


def places_in(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    items = (
        list(node.items())
        if isinstance(node, dict)
        else list(enumerate(node))
        if isinstance(node, list)
        else []
    )
    return [(node, key) for key, _ in items] + [
        place for _, value in items for place in places_in(value)
    ]


@given(st.integers(0, 2**40), ANYTHING, st.randoms(use_true_random=True))
@times(2)
def test_any_document_is_rules_or_has_its_problems_named(
    seed: int, anything: Any, chance: random.Random
) -> None:
    document = json.loads(made_up(seed, 2).rules)
    assert isinstance(parse_rules(yaml.safe_dump(document)), Rules)
    container, key = chance.choice(places_in(document))
    if chance.random() < 0.2 and isinstance(container, dict):
        key = chance.choice(["colour", 5, None])
    container[key] = anything

    problems = ["none"]
    try:
        parse_rules(yaml.safe_dump(document))
    except RuleError as error:
        problems = error.problems
    assert problems
    assert all(problems)
