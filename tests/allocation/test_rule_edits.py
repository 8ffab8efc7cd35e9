"""Rule texts: what is edited stays as it was written, and what is too much is refused at once."""

from __future__ import annotations

import time
from typing import Any

import pytest

from allocation.rules.edits import free_name, rule_entry, with_rule
from allocation.rules.rule_sets import default_rules_text
from allocation.rules.rules import RuleError, parse_rules
from allocation.rules.text import BadText, as_written, meaning, read_text

ENTRY: dict[str, Any] = {"name": "new", "method": "direct", "target": {"team": "yes"}}
NEW = """- name: new
  method: direct
  target:
    team: 'yes'
"""
TEXT = """# Who pays
rules:
- &first {name: a, method: follow}  # the first
# About b
- name: b
  method: follow  # as a
  note: |
    # no comment

# Shared costs
pools:
- {name: p, method: even, among: [{team: x}, {team: n}]}
"""


def test_a_rule_goes_behind_the_last_one_and_before_the_next_section_s_comment() -> None:
    made = with_rule(TEXT, ENTRY, before=None)

    assert made == TEXT.replace("\n# Shared", f"{NEW}\n# Shared")


def test_a_rule_goes_before_another_one_and_its_comment() -> None:
    made = with_rule(TEXT, ENTRY, before="b")

    assert made == TEXT.replace("# About b", f"{NEW}# About b")


@pytest.mark.parametrize("before", [None, "Tax follows what is taxed"])
def test_nothing_else_of_the_built_in_rules_changes(before: str | None) -> None:
    text = default_rules_text()

    made = with_rule(text, ENTRY, before=before)

    assert made.replace("".join(f"  {line}\n" for line in NEW.splitlines()), "") == text
    assert rule_entry(made, "new") == ENTRY
    assert free_name(made, "new") == "new (2)"


def test_a_list_in_brackets_keeps_comments_and_anchors() -> None:
    text = (
        "rules: [&a {name: a, method: follow}, {<<: *a, name: 'b'}]  # both\nagents: caller # !\n"
    )

    made = with_rule(text, ENTRY, before="b")

    assert [rule.name for rule in parse_rules(made).rules] == ["a", "new", "b"]
    for part in ("[&a {name: a", "{<<: *a, name: 'b'}]", "# both", "agents: caller # !"):
        assert part in made


def test_an_empty_list_becomes_one_with_lines() -> None:
    made = with_rule("# Who pays\nrules: []\nagents: caller\n", ENTRY, before=None)

    assert made == f"# Who pays\nrules:\n{NEW}agents: caller\n"


def test_scalars_are_read_as_they_stand() -> None:
    written = as_written("a: [yes, 007, 1e3, 2026-10-14, ~]\nb: &b {c: on}\nd: {<<: *b}\n")

    assert written["a"] == ["yes", "007", "1e3", "2026-10-14", "~"]
    assert written["d"] == {"<<": {"c": "on"}}
    assert written.lc.key("d")[0] == 2


def test_a_comment_may_stand_anywhere() -> None:
    text = (
        "rules:\n- name: a # one\n  note:  # two\n    text\n  # three\n  method: follow\n# four\n"
    )

    (entry,) = read_text(text).entries

    assert (entry.line, entry.line_of("text"), entry.line_of_key("method")) == (2, 4, 6)


GROWING = "\n".join(
    ["a0: &a0 [x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 20)}]" for n in range(1, 12)]
    + ["rules: *a11"]
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: " + "[" * 100_000, "nested too deeply"),
        ("- " * 200_000, "nested too deeply"),
        ("? " * 100_000, "nested too deeply"),
        ("{a: " * 100_000, "nested too deeply"),
        (GROWING, "written out, are too much"),
        ("rules: &r\n- {name: a, when: *r}", "line 1: an alias names what holds it"),
        ("a: !!timestamp soon", "not valid YAML"),
        ("a: 2026-13-01", "month must be in 1..12"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
    ],
)
def test_what_would_end_the_process_or_fill_it_is_refused_at_once(text: str, words: str) -> None:
    began = time.monotonic()

    with pytest.raises(BadText) as refused:
        meaning(text)
    with pytest.raises(RuleError):
        parse_rules(text)

    assert words in str(refused.value)
    assert time.monotonic() - began < 2
