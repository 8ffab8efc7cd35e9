"""What the checks of a draft look at: a month's charges as rules see them, and the names that the tree knows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache

from django.db import connection

from allocation.charges import dimension_rows, pinned_scopes, whole_month_plans
from allocation.conditions import Facts, reader
from allocation.models import Feature, Source, Team
from allocation.money import exact_sum
from allocation.rule_checks import Checked, Shape, Taken, World, check_rules, columns_asked
from allocation.rule_text import BadText, read_text
from allocation.rules import RuleError, parse_rules
from allocation.targets import NO_RULE, OUTSIDE_SCOPE, load_organisation

SHOWN = ("ProviderName", "ServiceName", "ChargeCategory")  # of charges that no rule takes

DIMENSION_SUMS_SQL = """
-- One row per dimension and source among the pinned snapshots' charges.
SELECT c.dimension_id, s.source_id, count(*), sum(c.billed_cost), sum(c.effective_cost)
FROM charge c JOIN allocation_chargescope s ON s.id = c.scope_id
WHERE c.billing_month = %(month)s AND c.scope_id = ANY(%(scopes)s)
GROUP BY 1, 2
"""


def check_draft(*, text: str, effective_from: date, month: date) -> Checked:
    """Everything found about a draft, tried on the charges billed in the month."""
    return check_rules(text, effective_from=effective_from, world=_world(text, month))


def _world(text: str, month: date) -> World:
    try:
        names = columns_asked(read_text(text)) if parse_rules(text) else frozenset()
    except (BadText, RuleError, RecursionError):
        return World(month)  # the checks stop at these
    organisation = load_organisation()
    features = set(Feature.objects.values_list("slug", flat=True))
    return World(
        month=month,
        shapes=_shapes(month, tuple(pinned_scopes(month)), names | set(SHOWN)),
        teams=Team.objects.count(),
        knows_team=lambda team: organisation.team(team) is not None,
        knows_feature=lambda feature: organisation.feature(feature) in features,
    )


@lru_cache(maxsize=8)
def _shapes(month: date, scopes: tuple[int, ...], names: frozenset[str]) -> tuple[Shape, ...]:
    """The month's charges by what the named columns hold. Kept, since a published snapshot never changes.

    A draft is checked with each pause in typing; only a column that it did not ask for before makes this read again.
    """
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute(DIMENSION_SUMS_SQL, {"month": month, "scopes": list(scopes)})
        sums = {(row[0], row[1]): row[2:] for row in cursor.fetchall()}
    readers = [reader(name) for name in sorted(names)]
    facts_of: dict[tuple[object, ...], Facts] = {}
    found: dict[tuple[object, ...], list[tuple[int, Decimal, Decimal]]] = {}
    for row in dimension_rows(month=month, scopes=scopes):
        facts = Facts(row.columns)
        key = (row.source_id, row.columns["billing_currency"], *(read(facts) for read in readers))
        facts_of.setdefault(key, facts)
        found.setdefault(key, []).append(sums[row.dimension_id, row.source_id])
    sources = dict(Source.objects.values_list("pk", "name"))
    return tuple(
        Shape(
            facts=facts_of[key],
            source=sources[key[0]],  # type: ignore[index]  # the key begins with the source's id
            currency=str(key[1]),
            charges=sum(row[0] for row in rows),
            billed_cost=exact_sum(row[1] for row in rows),
            effective_cost=exact_sum(row[2] for row in rows),
        )
        for key, rows in found.items()
    )


def forget() -> None:
    """Forget what was kept; for tests, which empty tables and use their ids again."""
    _shapes.cache_clear()


# ---------------------------------------------------------------- what rules take


@dataclass(frozen=True)
class RuleReach:
    """What one rule takes of a month's charges, in one currency. Charges no rule takes are under their reason."""

    rule: str
    currency: str
    charges: int
    billed_cost: Decimal
    effective_cost: Decimal


def rule_reach(taken: Taken, *, month: date) -> list[RuleReach]:
    """Every rule valid in the month, in order, with zero where it takes nothing, then what no rule takes."""
    currencies = sorted({shape.currency for shape in taken.shapes})
    valid = [rule for rule in taken.rules.rules if rule.is_valid_in(month)]
    lines = [(rule.name, taken.of(rule)) for rule in valid]
    left: dict[str, list[Shape]] = {NO_RULE: [], OUTSIDE_SCOPE: []}
    for shape in taken.untaken:
        left[reason_of(taken, shape)].append(shape)
    reaches = [_summed(name, code, shapes) for name, shapes in lines for code in currencies]
    reaches += [_summed(name, code, shapes) for name, shapes in left.items() for code in currencies]
    return [reach for reach in reaches if reach.charges or reach.rule not in left]


def reason_of(taken: Taken, shape: Shape) -> str:
    """Why cost that no rule takes stays unallocated."""
    return OUTSIDE_SCOPE if taken.rules.scope_of(shape.facts) == "other" else NO_RULE


def _summed(rule: str, currency: str, shapes: Iterable[Shape]) -> RuleReach:
    own = [shape for shape in shapes if shape.currency == currency]
    return RuleReach(
        rule,
        currency,
        sum(shape.charges for shape in own),
        exact_sum(shape.billed_cost for shape in own),
        exact_sum(shape.effective_cost for shape in own),
    )


@dataclass(frozen=True)
class UntakenCharges:
    """Charges of one source, service, category and currency that no rule takes."""

    source: str
    provider: str | None
    service: str | None
    category: str
    currency: str
    reason: str
    charges: int
    billed_cost: Decimal
    effective_cost: Decimal


def untaken_charges(taken: Taken) -> list[UntakenCharges]:
    """Most money first, whatever its sign."""
    found: dict[tuple[str, str | None, str | None, str, str, str], list[Shape]] = {}
    for shape in taken.untaken:
        columns = shape.facts.columns
        about = (columns.get("provider_name"), columns.get("service_name"), str(columns["charge_category"]))
        found.setdefault((shape.source, *about, shape.currency, reason_of(taken, shape)), []).append(shape)
    lines = [
        UntakenCharges(
            *key,
            sum(shape.charges for shape in shapes),
            exact_sum(shape.billed_cost for shape in shapes),
            exact_sum(shape.effective_cost for shape in shapes),
        )
        for key, shapes in found.items()
    ]
    return sorted(lines, key=lambda line: (-abs(line.effective_cost), line.source, line.service or "", line.category))
