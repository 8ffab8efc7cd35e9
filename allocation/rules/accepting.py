"""Accepting a suggested owner: the rule that gives charges to it, in the text of rules. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from allocation.rules.edits import free_name, rule_entry, with_rule
from allocation.rules.suggestions import Suggestion


def accepted_rules(text: str, suggestion: Suggestion, *, note: str) -> tuple[str, str]:
    """The rules with the suggested owner in them, and the new rule's name. Raises RuleError or
    LookupError.

    What no rule takes gets a direct rule at the end. What a rule takes without finding a team gets
    a copy of that rule before it, for these charges only and with this owner. Either owner is
    inferred: rung 5.
    """
    condition = dict(suggestion.condition)
    told = condition.pop("told", None)
    name = free_name(text, f"Accepted owner: {suggestion.team} ({suggestion.kind})")
    owner = {"team": {"inferred": suggestion.team}}
    if suggestion.rule is None:
        entry: dict[str, Any] = {
            "name": name,
            "when": condition,
            "method": "direct",
            "target": owner,
            "note": note,
        }
        return with_rule(text, entry, before=None), name
    taken_by = rule_entry(text, suggestion.rule)
    field_name = "owner" if taken_by["method"] == "traced_usage" else "target"
    before = taken_by.get(field_name) or {}
    parts = [taken_by["when"]] if taken_by.get("when") else []
    parts += [condition, *_without_team(before.get("team"), told)]
    kept = {key: taken_by[key] for key in ("kind", "valid_from", "valid_to") if key in taken_by}
    entry = {
        "name": name,
        "when": {"all": parts},
        "method": taken_by["method"],
        field_name: {**before, **owner},
    }
    return with_rule(text, entry | kept | {"note": note}, before=suggestion.rule), name


def _without_team(spec: Any, told: Sequence[str] | None) -> list[dict[str, Any]]:
    """Only rows whose team tag is missing, or says what the tree does not know: a tag that works
    goes on working.
    """
    if not isinstance(spec, dict) or "tag" not in spec:
        return []
    keys = spec["tag"] if isinstance(spec["tag"], list) else [spec["tag"]]
    if told:
        return [{"any": [{f"Tags.{key}": list(told)} for key in keys]}]
    return [{f"Tags.{key}": {"missing": True}} for key in keys]
