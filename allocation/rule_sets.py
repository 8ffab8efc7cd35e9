"""Versions of the rules: what is in force, a new one, and what a draft would take in a month."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib.resources import files

from django.db import transaction

from allocation.catalogue_entries import own_catalogue
from allocation.charges import copy_lines, dimension_rows, id_list, pinned_scopes
from allocation.conditions import Facts
from allocation.models import RuleSet
from allocation.money import exact_sum
from allocation.row_tests import variant_sql
from allocation.rules import parse_rules
from allocation.targets import NO_RULE, OUTSIDE_SCOPE

EVER = date(1970, 1, 1)


def default_rules_text() -> str:
    return files("allocation").joinpath("default_rules.yaml").read_text(encoding="utf-8")


def rule_set_for(month: date) -> RuleSet:
    """The latest rule set in force in the month; the built-in one becomes number 1 where there is none yet."""
    found = RuleSet.objects.filter(effective_from__lte=month).order_by("-number").first()
    return found or first_rule_set()


def first_rule_set() -> RuleSet:
    text = default_rules_text()
    made, _ = RuleSet.objects.get_or_create(
        number=1,
        defaults={
            "text": text,
            "content_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "effective_from": EVER,
            "note": "built-in rules",
        },
    )
    return made


def apply_rules(*, text: str, effective_from: date, acting_user: str | None, note: str = "") -> tuple[RuleSet, bool]:
    """The new version, in force from that month on, and True; the one in force and False where it is the same text.

    Earlier months keep their rules. Raises RuleError, which names every problem; nothing is saved then.
    """
    parse_rules(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    with transaction.atomic():
        first_rule_set()
        latest = RuleSet.objects.select_for_update().order_by("-number")[0]
        in_force = rule_set_for(effective_from)
        if in_force.content_sha256 == digest:
            return in_force, False
        made = RuleSet.objects.create(
            number=latest.number + 1,
            text=text,
            content_sha256=digest,
            effective_from=effective_from.replace(day=1),
            created_by=acting_user,
            note=note,
        )
    return made, True


@dataclass(frozen=True)
class RuleReach:
    """What one rule takes of a month's charges, in one currency. Charges no rule takes are under their reason."""

    rule: str
    currency: str
    charges: int
    billed_cost: Decimal
    effective_cost: Decimal


DIMENSION_SUMS_SQL = """
-- One row per source, dimension and variant.
COPY (
    SELECT s.source_id, c.dimension_id, {variant}, count(*), sum(c.billed_cost), sum(c.effective_cost)
    FROM charge c JOIN allocation_chargescope s ON s.id = c.scope_id
    WHERE c.billing_month = '{month}' AND c.scope_id = ANY('{{{scopes}}}')
    GROUP BY 1, 2, 3
) TO STDOUT
"""


def preview_rules(*, text: str, month: date) -> list[RuleReach]:
    """Every rule of the draft in order, with zero where it takes nothing, then what no rule takes; RuleError if bad."""
    rules = parse_rules(text)
    scopes = pinned_scopes(month)
    variant = variant_sql(rules.row_tests, month=month, scopes=scopes)
    sql = DIMENSION_SUMS_SQL.format(variant=variant, month=month.isoformat(), scopes=id_list(scopes))
    sums: dict[tuple[int, ...], tuple[int, Decimal, Decimal]] = {}
    for line in copy_lines(sql):
        *member, charges, billed, effective = line.split("\t")
        sums[tuple(map(int, member))] = (int(charges), Decimal(billed), Decimal(effective))
    found: dict[tuple[str, str], list[tuple[int, Decimal, Decimal]]] = {}
    entries = own_catalogue().entries
    for row in dimension_rows(month=month, scopes=scopes, tests=rules.row_tests):
        facts = Facts(row.columns, row.passed, entries)
        rule = rules.rule_for(facts, month=month)
        name = rule.name if rule else OUTSIDE_SCOPE if rules.scope_of(facts) == "other" else NO_RULE
        found.setdefault((name, row.columns["billing_currency"]), []).append(
            sums[row.source_id, row.dimension_id, row.variant]
        )
    names = [*(rule.name for rule in rules.rules if rule.is_valid_in(month)), NO_RULE, OUTSIDE_SCOPE]
    currencies = sorted({currency for _, currency in found})
    reaches = []
    for name in names:
        for currency in currencies:
            rows = found.get((name, currency), [])
            if rows or name not in (NO_RULE, OUTSIDE_SCOPE):
                reaches.append(
                    RuleReach(
                        name,
                        currency,
                        sum(row[0] for row in rows),
                        exact_sum(row[1] for row in rows),
                        exact_sum(row[2] for row in rows),
                    )
                )
    return reaches
