"""What the checks of a draft look at: a month's charges as rules see them, and the names of the
tree and of series.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from allocation.catalogue.entries import Entries
from allocation.catalogue.own_entries import own_catalogue
from allocation.charges.groups import day_sums, pinned_scopes
from allocation.charges.split_key_map import dimension_rows
from allocation.models import DriverPoint, Feature, Source, Team
from allocation.organisation.stored import load_organisation
from allocation.rules.checks import (
    ChargeShape,
    Checked,
    MatchedRules,
    RuleTestData,
    check_rules,
    columns_asked,
)
from allocation.rules.conditions import Facts, RowTest, reader
from allocation.rules.row_tests import month_variant_sql
from allocation.rules.rules import RuleError, Rules, parse_rules
from allocation.rules.text import BadText, RuleText, read_text
from allocation.storage.rows import copy_lines
from allocation.values.money import exact_sum
from allocation.values.names import NO_RULE, OUTSIDE_SCOPE

SHOWN = ("ProviderName", "ServiceName", "ChargeCategory")  # of charges that no rule takes

DIMENSION_SUMS = """
-- One row per source, dimension and variant among the pinned snapshots' charges.
COPY (
    SELECT s.source_id, c.dimension_id, c.variant, sum(c.charges), sum(c.billed_cost),
        sum(c.effective_cost)
    FROM {sums} c JOIN allocation_chargescope s ON s.id = c.scope_id
    GROUP BY 1, 2, 3
) TO STDOUT
"""


def check_draft(*, text: str, effective_from: date, month: date) -> Checked:
    """Everything found about a draft, tried on the charges billed in the month."""
    try:
        data = _rule_test_data(read_text(text), parse_rules(text), month)
    except (BadText, RuleError):
        data = RuleTestData(month)  # the checks stop at these
    return check_rules(text, effective_from=effective_from, data=data)


def _rule_test_data(entries: RuleText, rules: Rules, month: date) -> RuleTestData:
    organisation = load_organisation()
    features = set(Feature.objects.values_list("slug", flat=True))
    names = columns_asked(entries) | set(SHOWN)
    return RuleTestData(
        month=month,
        shapes=_shapes(
            month, tuple(pinned_scopes(month)), names, rules.row_tests, own_catalogue().entries
        ),
        teams=Team.objects.count(),
        knows_team=lambda team: organisation.team(team) is not None,
        knows_feature=lambda feature: organisation.feature(feature) in features,
        series=_series(),
    )


def _series() -> dict[str, frozenset[date]]:
    months: dict[str, set[date]] = {}
    for series, month in DriverPoint.objects.values_list("series", "month").distinct():
        months.setdefault(series, set()).add(month)
    return {series: frozenset(found) for series, found in months.items()}


class _Key(NamedTuple):
    """What tells shapes apart; `values` are those of the named columns."""

    source_id: int
    currency: str
    passed: frozenset[RowTest]
    values: tuple[str | None, ...]


@lru_cache(maxsize=8)
def _shapes(
    month: date,
    scopes: tuple[int, ...],
    names: frozenset[str],
    tests: tuple[RowTest, ...],
    entries: Entries,
) -> tuple[ChargeShape, ...]:
    """The month's charges by what the named columns hold. Kept, since a published snapshot never
    changes.

    A draft is checked with each pause in typing; only a column that it did not ask for before makes
    this read again.
    """
    variant = month_variant_sql(tests, month=month, scopes=scopes) if tests else None
    amounts: dict[tuple[int, ...], tuple[int, Decimal, Decimal]] = {}
    with day_sums(month=month, scopes=scopes, variant=variant) as sums:
        for line in copy_lines(DIMENSION_SUMS.format(sums=sums), {"scopes": list(scopes)}):
            *member, charges, billed, effective = line.split("\t")
            amounts[tuple(map(int, member))] = (int(charges), Decimal(billed), Decimal(effective))
        rows = list(dimension_rows(scopes=scopes, sums=sums, tests=tests))
    readers = [reader(name) for name in sorted(names)]
    facts_of: dict[_Key, Facts] = {}
    found: dict[_Key, list[tuple[int, Decimal, Decimal]]] = {}
    for row in rows:
        facts = Facts(row.columns, row.passed, entries)
        values = tuple(read(facts) for read in readers)
        key = _Key(row.source_id, row.columns["billing_currency"], row.passed, values)
        facts_of.setdefault(key, facts)
        found.setdefault(key, []).append(amounts[row.source_id, row.dimension_id, row.variant])
    sources = dict(Source.objects.values_list("pk", "name"))
    return tuple(
        ChargeShape(
            facts=facts_of[key],
            source=sources[key.source_id],
            currency=key.currency,
            charges=sum(row[0] for row in own),
            billed_cost=exact_sum(row[1] for row in own),
            effective_cost=exact_sum(row[2] for row in own),
        )
        for key, own in found.items()
    )


def forget() -> None:
    """Forget what was kept; for tests, which empty tables and use their ids again."""
    _shapes.cache_clear()


# ---------------------------------------------------------------- what rules take


@dataclass(frozen=True)
class RuleReach:
    """What one rule takes of a month's charges, in one currency. Charges no rule takes are under
    their reason.
    """

    rule: str
    currency: str
    charges: int
    billed_cost: Decimal
    effective_cost: Decimal


def rule_reach(matched: MatchedRules, *, month: date) -> list[RuleReach]:
    """Every rule valid in the month, in order, with zero where it takes nothing, then what no rule
    takes.
    """
    currencies = sorted({shape.currency for shape in matched.shapes})
    valid = [rule for rule in matched.rules.rules if rule.is_valid_in(month)]
    lines = [(rule.name, matched.of(rule)) for rule in valid]
    left: dict[str, list[ChargeShape]] = {NO_RULE: [], OUTSIDE_SCOPE: []}
    for shape in matched.unmatched:
        left[reason_of(matched, shape)].append(shape)
    reaches = [_summed(name, code, shapes) for name, shapes in lines for code in currencies]
    reaches += [_summed(name, code, shapes) for name, shapes in left.items() for code in currencies]
    return [reach for reach in reaches if reach.charges or reach.rule not in left]


def reason_of(matched: MatchedRules, shape: ChargeShape) -> str:
    """Why cost that no rule takes stays unallocated."""
    return OUTSIDE_SCOPE if matched.rules.scope_of(shape.facts) == "other" else NO_RULE


def _summed(rule: str, currency: str, shapes: Iterable[ChargeShape]) -> RuleReach:
    own = [shape for shape in shapes if shape.currency == currency]
    return RuleReach(
        rule,
        currency,
        sum(shape.charges for shape in own),
        exact_sum(shape.billed_cost for shape in own),
        exact_sum(shape.effective_cost for shape in own),
    )


@dataclass(frozen=True)
class DraftUnmatched:
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


def unmatched_charges(matched: MatchedRules) -> list[DraftUnmatched]:
    """Most money first, whatever its sign."""
    found: dict[tuple[str, str | None, str | None, str, str, str], list[ChargeShape]] = {}
    for shape in matched.unmatched:
        columns = shape.facts.columns
        about = (
            columns.get("provider_name"),
            columns.get("service_name"),
            str(columns["charge_category"]),
        )
        found.setdefault(
            (shape.source, *about, shape.currency, reason_of(matched, shape)), []
        ).append(shape)
    lines = [
        DraftUnmatched(
            *key,
            sum(shape.charges for shape in shapes),
            exact_sum(shape.billed_cost for shape in shapes),
            exact_sum(shape.effective_cost for shape in shapes),
        )
        for key, shapes in found.items()
    ]
    return sorted(
        lines,
        key=lambda line: (
            -abs(line.effective_cost),
            line.source,
            line.service or "",
            line.category,
        ),
    )
