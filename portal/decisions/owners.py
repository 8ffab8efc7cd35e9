"""Accepting a suggested owner: one more rule in a new version of the rules, and the month allocated
again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db import transaction

from allocation.charges.groups import pinned_scopes
from allocation.charges.split_key_map import month_dimensions
from allocation.models import RuleSet
from allocation.preview.rule_test_data import check_draft, rule_reach
from allocation.rules.accepting import accepted_rules
from allocation.rules.conditions import Facts
from allocation.rules.rule_sets import add_owner_rule, rule_set_for
from allocation.rules.rules import RuleError, parse_rules
from allocation.rules.suggestions import Suggestion
from allocation.values.money import plain
from portal.accounts import audit
from portal.ingest.bills.delivery import ask_for_allocation
from reports.asking import TeamScope
from reports.cost_question.question import CostQuestion
from reports.cost_question.runs import current_runs
from reports.queries.ownership.unowned import unowned


class OwnerError(Exception):
    """A suggestion can't be accepted as it stands; the message says what to do. Nothing has
    changed.
    """


@dataclass(frozen=True)
class Accepted:
    """The rule that was made, and what it takes of the month in the currency of the suggestion."""

    rule: str
    rule_set: int
    charges: int
    billed_cost: Decimal
    currency: str
    is_copy: bool  # of a rule that took the charges before: what had an owner keeps it


def accept_owner(
    *, identity: str, month: date, currency: str, acting_user: str | None, today: date
) -> Accepted:
    """Append the rule of one suggestion, in force from that month on, and queue the month's
    allocation.

    Raises OwnerError where the suggestion is gone, or its rule would do more than was suggested.
    """
    suggestion = suggested(identity=identity, month=month, currency=currency)
    with transaction.atomic():
        in_force = RuleSet.objects.select_for_update().get(pk=rule_set_for(month).pk)
        if RuleSet.objects.filter(effective_from__gt=month, number__gt=in_force.number).exists():
            raise OwnerError(
                f"other rules follow those of {month:%B %Y}; accept the owner in the month they "
                "begin"
            )
        text, rule = _rules_with(
            in_force.text, suggestion, note=f"accepted {today:%-d %B %Y}: {suggestion.words}"
        )
        _check_reach(in_force.text, text, rule=rule, month=month)
        made = add_owner_rule(text=text, effective_from=month, acting_user=acting_user, note=rule)
        taken = check_draft(text=text, effective_from=month, month=month).matched
        reaches = rule_reach(taken, month=month) if taken else []
        reach = [one for one in reaches if (one.rule, one.currency) == (rule, currency)]
        accepted = Accepted(
            rule=rule,
            rule_set=made.number,
            charges=reach[0].charges if reach else 0,
            billed_cost=reach[0].billed_cost if reach else Decimal(0),
            currency=currency,
            is_copy=suggestion.rule is not None,
        )
        audit.record(
            acting_user,
            "owner accepted",
            f"rule set {made.number}",
            {
                "rule": rule,
                "team": suggestion.team,
                "evidence": suggestion.words,
                "month": f"{month:%Y-%m}",
                "currency": currency,
                "charges": accepted.charges,
                "billed_cost": plain(accepted.billed_cost),
            },
        )
        ask_for_allocation(f"{month:%Y-%m}", created_by=acting_user)
    return accepted


def suggested(*, identity: str, month: date, currency: str) -> Suggestion:
    """The suggestion as it stands now; raises OwnerError where it is gone."""
    runs = (run for run in current_runs() if (run.month, run.currency) == (month, currency))
    question = CostQuestion(runs=tuple(runs), scope=TeamScope.everything())
    found = unowned(question=question, months=[month], currency=currency).suggestions
    for suggestion in found:
        if suggestion.identity == identity:
            return suggestion
    raise OwnerError(
        "this is no longer suggested: the month was allocated again since; look at the list as it "
        "is now"
    )


def _rules_with(text: str, suggestion: Suggestion, *, note: str) -> tuple[str, str]:
    try:
        return accepted_rules(text, suggestion, note=note)
    except (RuleError, LookupError) as error:
        raise OwnerError(
            f"the rules can't take this owner ({error}); write the rule by hand"
        ) from error


def _check_reach(before: str, after: str, *, rule: str, month: date) -> None:
    """The new rule takes nothing but AI spend, and nothing from a rule that found its owner another
    way.
    """
    old, new = parse_rules(before), parse_rules(after)
    taken = outside = 0
    tests = tuple({*old.row_tests, *new.row_tests})
    for row in month_dimensions(month=month, scopes=pinned_scopes(month), tests=tests):
        facts = Facts(row.columns, row.passed)
        found = new.rule_for(facts, month=month)
        if found is not None and found.name == rule:
            taken += 1
            outside += old.rule_for(facts, month=month) is None and old.scope_of(facts) == "other"
    if not taken:
        raise OwnerError(
            "a rule before it takes these bill lines by now; allocate the month again and look anew"
        )
    if outside:
        raise OwnerError(
            f"the rule would also take {outside} kinds of bill lines outside AI, which look "
            "the same; write a narrower rule by hand"
        )
