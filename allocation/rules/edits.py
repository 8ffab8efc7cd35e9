"""Editing the text of rules without touching the rest of it: comments, order and anchors stay.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from allocation.rules.rules import RuleError, parse_rules
from allocation.values.names import quoted


def rule_entry(text: str, name: str) -> dict[str, Any]:
    """The entry of `rules` with that name, anchors filled in. Raises LookupError."""
    for entry in yaml.safe_load(text)["rules"]:
        if entry["name"].strip() == name:
            return dict(entry)
    raise LookupError(f"there is no rule {quoted(name)}")


def free_name(text: str, name: str) -> str:
    """The name, or the name with the first number that no rule has yet."""
    taken = {str(entry["name"]).strip() for entry in yaml.safe_load(text)["rules"]}
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    return free


def with_rule(text: str, entry: Mapping[str, Any], *, before: str | None) -> str:
    """The text with one more rule: before the named one, or last. Raises RuleError, or LookupError
    for `before`.
    """
    document = yaml.safe_load(text)
    names = [item["name"].strip() for item in document["rules"]]
    if before is not None and before not in names:
        raise LookupError(f"there is no rule {quoted(before)}")
    place = len(names) if before is None else names.index(before)
    made = _inserted(text, entry, place)
    parse_rules(made)
    wanted = [*document["rules"][:place], dict(entry), *document["rules"][place:]]
    if yaml.safe_load(made) != {**document, "rules": wanted}:
        raise RuleError(["the rule can't be added to this text; add it by hand"])
    return made


def _inserted(text: str, entry: Mapping[str, Any], place: int) -> str:
    document = yaml.compose(text)
    rules = (
        next(value for key, value in document.value if key.value == "rules") if document else None
    )
    if rules is None:
        raise RuleError(["the rules need a list named `rules`"])
    if rules.flow_style or not rules.value:  # a list in brackets has no lines of its own
        loaded = yaml.safe_load(text)
        loaded["rules"].insert(place, dict(entry))
        return str(yaml.safe_dump(loaded, sort_keys=False, allow_unicode=True, width=110))
    lines = text.splitlines(keepends=True)
    dash = lines[rules.value[0].start_mark.line].index("-")
    dumped = yaml.safe_dump([dict(entry)], sort_keys=False, allow_unicode=True, width=110)
    block = [f"{' ' * dash}{line}" for line in dumped.splitlines(keepends=True)]
    if place < len(rules.value):
        at = rules.value[place].start_mark.line
    else:
        at = rules.end_mark.line if rules.end_mark.column == 0 else rules.end_mark.line + 1
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
            at = len(lines)
    return "".join([*lines[:at], *block, *lines[at:]])
