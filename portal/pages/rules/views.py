"""/rules/: the rules in force for a month, and what each of them took."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

import yaml
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from portal.pages.frame.render import render_page
from portal.pages.frame.state import PageState
from portal.pages.rules.versions import may_edit
from reports.queries.costs.matched_rules import RuleTake, charges_without_rule, matched_charges
from reports.queries.explain.rule_sets import next_rule_set, rule_set_in_force
from reports.readable import METHODS

VERBS = {
    "equals": "is",
    "in": "is",
    "prefix": "begins with",
    "contains": "contains",
    "regex": "matches",
    "above": "is above",
    "at_least": "is at least",
    "below": "is below",
    "at_most": "is at most",
}


@dataclass(frozen=True)
class RuleLine:
    """One rule in order, and what it took; `charges` and `cost` None while no run has used it."""

    number: int
    name: str
    method: str
    condition: str
    note: str
    charges: int | None
    cost: Decimal | None


@require_safe
def show_rules(request: HttpRequest) -> HttpResponse:
    state = PageState.from_request(request)
    month = max(state.period.months())
    rule_set = rule_set_in_force(month)
    question = state.billed_in(state.period)
    taken = matched_charges(question=question)
    lines = rule_lines(rule_set.text, taken, state.metric, bool(question.runs)) if rule_set else []
    known = {line.name for line in lines}
    context = {
        "rule_set": rule_set,
        "newer": next_rule_set(month),
        "lines": lines,
        "earlier": [
            (take.rule, take.charges, getattr(take, state.metric))
            for take in taken
            if take.rule not in known
        ],
        "total": sum((getattr(take, state.metric) for take in taken), Decimal(0)),
        "charges": sum(take.charges or 0 for take in taken) if state.scope.is_everything else None,
        "unmatched": charges_without_rule(question=question),
        "is_billed": state.metric == "billed_cost",
        "has_runs": bool(question.runs),
        "may_edit": may_edit(request),
    }
    return render_page(
        request, "rules/page.html", context, page="rules", title="Rules", state=state
    )


@lru_cache(maxsize=16)
def rule_entries(text: str) -> tuple[dict[str, Any], ...]:
    """The rules of a stored document, in order; a rule set never changes."""
    return tuple(yaml.safe_load(text)["rules"])


def rule_lines(text: str, taken: list[RuleTake], metric: str, has_runs: bool) -> list[RuleLine]:
    """The rules of a stored document, which was checked when it was applied, in the order they are
    tried.
    """
    by_rule = {take.rule: take for take in taken}
    zero = Decimal(0)
    lines = []
    for number, entry in enumerate(rule_entries(text), 1):
        take = by_rule.get(entry["name"])
        lines.append(
            RuleLine(
                number=number,
                name=entry["name"],
                method=METHODS[entry["method"]],
                condition=condition_words(entry.get("when")),
                note=str(entry.get("note") or ""),
                charges=(take.charges if take else 0) if has_runs else None,
                cost=(getattr(take, metric) if take else zero) if has_runs else None,
            )
        )
    return lines


def condition_words(when: Any) -> str:
    """A condition in one line: "ChargeCategory is Usage and Tags.team is missing"."""
    if not when:
        return "every bill line"
    words = " and ".join(_clause(str(name), value) for name, value in when.items())
    return (
        words[1:-1]
        if len(when) == 1 and ("all" in when or "any" in when) and words.startswith("(")
        else words
    )


def _clause(name: str, value: Any) -> str:
    if name == "not":
        return f"not ({condition_words(value)})"
    if name in ("all", "any"):
        word = " and " if name == "all" else " or "
        parts = [condition_words(item) for item in value]
        return parts[0] if len(parts) == 1 else f"({word.join(parts)})"
    if isinstance(value, list):
        return f"{name} is {' or '.join(map(str, value))}"
    if not isinstance(value, dict):
        return f"{name} is {value}"
    return " and ".join(_operator(name, operator, operand) for operator, operand in value.items())


def _operator(name: str, operator: str, operand: Any) -> str:
    if operator == "missing":
        return f"{name} is {'missing' if operand else 'present'}"
    words = " or ".join(map(str, operand)) if isinstance(operand, list) else str(operand)
    return f"{name} {VERBS[operator]} {words}"
