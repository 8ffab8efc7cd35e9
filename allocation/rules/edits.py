"""Editing the text of rules without touching the rest of it: comments, order and anchors stay.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Any

import yaml

from allocation.rules.rules import RuleError, parse_rules
from allocation.rules.text import WIDTH, as_written, meaning, round_trip
from allocation.values.names import quoted


def rule_entry(text: str, name: str) -> dict[str, Any]:
    """The entry of `rules` with that name, anchors filled in. Raises LookupError."""
    for entry in meaning(text)["rules"]:
        if entry["name"].strip() == name:
            return dict(entry)
    raise LookupError(f"there is no rule {quoted(name)}")


def free_name(text: str, name: str) -> str:
    """The name, or the name with the first number that no rule has yet."""
    taken = {str(entry["name"]).strip() for entry in meaning(text)["rules"]}
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    return free


def with_rule(text: str, entry: Mapping[str, Any], *, before: str | None) -> str:
    """The text with one more rule: before the named one, or last. Raises RuleError, or LookupError
    for `before`.
    """
    document = meaning(text)
    names = [item["name"].strip() for item in document["rules"]]
    if before is not None and before not in names:
        raise LookupError(f"there is no rule {quoted(before)}")
    place = len(names) if before is None else names.index(before)
    made = _inserted(text, entry, place)
    parse_rules(made)
    wanted = [*document["rules"][:place], dict(entry), *document["rules"][place:]]
    if meaning(made) != {**document, "rules": wanted}:
        raise RuleError(["the rule can't be added to this text; add it by hand"])
    return made


def _inserted(text: str, entry: Mapping[str, Any], place: int) -> str:
    dumped = yaml.safe_dump([dict(entry)], sort_keys=False, allow_unicode=True, width=WIDTH)
    written = as_written(text)
    rules = written["rules"]
    if not rules or rules.fa.flow_style():  # a list in brackets has no lines of its own
        return _in_brackets(text, dumped, place)
    lines = [f"{line}\n" for line in text.removesuffix("\n").split("\n")]
    if place < len(rules):
        at = rules.lc.item(place)[0]
    else:
        after = list(written)[list(written).index("rules") + 1 :]
        at = written.lc.key(after[0])[0] if after else len(lines)
    block = [f"{' ' * rules.lc.col}{line}\n" for line in dumped.splitlines()]
    at = _above(lines, at, rules.lc.col)
    return "".join([*lines[:at], *block, *lines[at:]])


def _above(lines: list[str], at: int, column: int) -> int:
    """The line behind what stands before: blank lines and comments go with what follows them, and
    a dash may stand on a line of its own.
    """
    while at:
        line = lines[at - 1].strip()
        is_comment = line.startswith("#") and lines[at - 1].index("#") <= column
        if line and line not in ("-", "...") and not is_comment:
            break
        at -= 1
    return at


def _in_brackets(text: str, dumped: str, place: int) -> str:
    """The whole text written anew, with its comments and anchors, but not its line breaks."""
    editor, made = round_trip(), StringIO()
    try:
        document = editor.load(text)
    except NotImplementedError:  # of comments that the library can't hold
        raise RuleError(["the rule can't be added to this text; add it by hand"]) from None
    document["rules"].insert(place, as_written(dumped)[0])
    if len(document["rules"]) == 1:
        document["rules"].fa.set_block_style()
    editor.dump(document, made)
    return made.getvalue()
