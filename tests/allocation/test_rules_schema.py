"""The published schema and the parser speak of one language."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from allocation.rules.rule_sets import default_rules_text
from allocation.rules.rules import RuleError, parse_rules
from allocation.rules.schema import rules_schema

ROOT = Path(__file__).parents[2]
VALIDATOR = Draft202012Validator(rules_schema())


def problems(text: str) -> list[str]:
    """What the schema has against a document. Through JSON, which is what other programs check."""
    document = json.loads(json.dumps(yaml.safe_load(text), default=str))
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(document)]


def documents_in(path: Path) -> Iterator[str]:
    """Texts of a Python file, and YAML blocks of a Markdown file, that look like rules."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield from (
            block for block in text.split("```yaml\n")[1:] if "rules:" in block.split("```")[0]
        )
        return
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and "rules:" in node.value
        ):
            yield node.value


def usable_documents() -> list[str]:
    found = [default_rules_text()]
    for path in [*sorted((ROOT / "tests").rglob("*.py")), ROOT / "docs" / "rules.md"]:
        for text in documents_in(path):
            text = text.split("```")[0]
            try:
                parse_rules(text)
            except RuleError:
                continue
            found.append(text)
    return found


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(rules_schema())


def test_the_published_file_is_the_schema() -> None:
    """Written anew by `rules_schema()` as JSON with an indent of 1."""
    published = (ROOT / "docs" / "rules.schema.json").read_text(encoding="utf-8")

    assert published == json.dumps(rules_schema(), indent=1) + "\n"


def test_every_document_that_the_parser_takes_is_valid() -> None:
    documents = usable_documents()

    refused = {text[:400]: found for text in documents if (found := problems(text))}

    assert refused == {}
    assert len(documents) > 8


WHOLE = """
version: 1
scope:
  - {name: s, scope: ai, when: {any: [{Catalogue.Kind: gpu}, {not: {Tags.team: {missing: true}}}]}}
rules:
  - {name: a, method: fixed, kind: shared, note: n,
     shares: [{team: x, share: "33.5"}, {pool: p, share: 66.5}]}
  - {name: b, method: even, among: teams, valid_from: "2026-10", valid_to: "2027-01"}
  - {name: c, method: proportional, by: requests, usage: {provider: openai, model: m},
     weights: month, level: team}
  - {name: d, method: proportional, by: cost, of_rules: [a, b], min_share: 1, max_share: 50}
  - {name: e, method: proportional, by: series, series: desks, among: [{team: x, feature: f}]}
  - name: f
    method: provider_usage
    owner: {team: {tag: [a, b]}, feature: {inferred: f}}
    when: {BilledCost: {above: 1}}
  - {name: g, method: gpu_usage, owner: {team: {column: SubAccountId, map: {1: x}}},
     when: {x_a: [b, c]}}
  - {name: h, method: traced_usage, when: {ServiceName: {regex: "^A"}, SubAccountId: 111}}
  - {name: i, method: follow, follows: commitment}
  - {name: j, method: direct, target: {pool: p}, when: {x_size: {at_least: "1.5"}}}
  - {name: k, method: direct,
     target: {team: {column: ResourceName, pattern: "^([a-z]+)-"}, phase: run}}
  - {name: l, method: unallocated, reason: nobody knows, when: null}
  - {name: m, method: traced_usage, pool_cache_writes: true, weights: month, by_region: true}
  - {name: n, method: capacity, weights: {input: 1, output: "4.5", cached: 0},
     tokens_per_unit: 150000}
  - {name: o, method: follow, by: list_cost, of_rules: a}
agents: callee
pools:
  - {name: p, method: proportional, by: seats, note: n}
"""


def test_everything_the_language_has_is_valid() -> None:
    parse_rules(WHOLE)

    assert problems(WHOLE) == []


@pytest.mark.parametrize(
    "text",
    [
        "- a",
        "{}",
        "rules: []\nlimits: []",
        "rules: [{method: follow}]",
        "rules: [{name: ' ', method: follow}]",
        "rules: [{name: a, method: guess}]",
        "rules: [{name: a, method: direct}]",
        "rules: [{name: a, method: direct, target: {feature: f}}]",
        "rules: [{name: a, method: direct, target: {pool: p, team: x}}]",
        "rules: [{name: a, method: direct, target: {team: {tags: x}}}]",
        "rules: [{name: a, method: follow, colour: red}]",
        "rules: [{name: a, method: follow, kind: unallocated}]",
        "rules: [{name: a, method: follow, follows: whatever}]",
        "rules: [{name: a, method: follow, when: {Colour: red}}]",
        "rules: [{name: a, method: follow, when: {Catalogue.Mood: good}}]",
        "rules: [{name: a, method: follow, when: {ServiceName: {like: x}}}]",
        "rules: [{name: a, method: follow, when: {ServiceName: {}}}]",
        "rules: [{name: a, method: follow, when: {ServiceName: {missing: maybe}}}]",
        "rules: [{name: a, method: follow, when: {ServiceName: {in: []}}}]",
        "rules: [{name: a, method: follow, when: {BilledCost: {contains: x}}}]",
        "rules: [{name: a, method: follow, when: {BilledCost: {above: 1e3}}}]",
        "rules: [{name: a, method: follow, when: {}}]",
        "rules: [{name: a, method: follow, when: {all: []}}]",
        "rules: [{name: a, method: follow, valid_from: '2026-13'}]",
        "rules: []\nagents: nobody",
        "rules: [{name: a, method: traced_usage, weights: week}]",
        "rules: [{name: a, method: traced_usage, by_region: maybe}]",
        "rules: [{name: a, method: provider_usage, by_region: true}]",
        "rules: [{name: a, method: follow, by: mood}]",
        "rules: [{name: a, method: capacity}]",
        "rules: [{name: a, method: capacity, weights: {input: 1}}]",
        "rules: [{name: a, method: fixed}]",
        "rules: [{name: a, method: fixed, shares: [{team: x}]}]",
        "rules: [{name: a, method: fixed, shares: [{team: x, share: 101}]}]",
        "rules: [{name: a, method: fixed, shares: [{team: x, share: '100.5'}]}]",
        "rules: [{name: a, method: even}]",
        "rules: [{name: a, method: even, among: [{model: x}]}]",
        "rules: [{name: a, method: even, among: [{product: x}]}]",
        "rules: [{name: a, method: even, among: everyone}]",
        "rules: [{name: a, method: proportional}]",
        "rules: [{name: a, method: proportional, by: mood}]",
        "rules: [{name: a, method: proportional, by: series}]",
        "rules: [{name: a, method: proportional, by: cost, series: s}]",
        "rules: [{name: a, method: proportional, by: cost, weights: day}]",
        "rules: [{name: a, method: proportional, by: seats, usage: {model: x}}]",
        "rules: [{name: a, method: proportional, by: seats, of_rules: [a]}]",
        "rules: [{name: a, method: proportional, by: seats, among: [{pool: p}]}]",
        "rules: []\nscope: [{name: s, scope: maybe}]",
        "rules: []\npools: [{name: p, method: direct, target: {team: x}}]",
        "rules: []\npools: [{name: p, method: even, among: teams, kind: tax}]",
    ],
)
def test_what_the_parser_refuses_by_itself_is_not_valid(text: str) -> None:
    with pytest.raises(RuleError):
        parse_rules(text)

    assert problems(text)


def test_every_method_and_key_of_the_grammar_stands_in_the_schema() -> None:
    from allocation.rules.methods import METHODS
    from allocation.rules.rules import COMMON_KEYS, METHOD_KEYS

    choices: dict[str, Any] = {
        choice["if"]["properties"]["method"]["const"]: set(choice["then"]["properties"])
        for choice in rules_schema()["$defs"]["rule"]["allOf"]
    }

    assert choices == {method: COMMON_KEYS | METHOD_KEYS[method] for method in METHODS}
