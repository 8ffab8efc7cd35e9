"""The charge-to-group map: which split key the charges of a month have, dimension by dimension."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection

from allocation.catalogue.entries import Entries
from allocation.catalogue.naming import CalledNames
from allocation.charges.groups import day_sums
from allocation.charges.split_keys import (
    DimensionRow,
    MemberKey,
    SourceSettings,
    SplitKey,
    beside_others,
    split_key_of,
)
from allocation.models import AllocationRun, ChargeDimension, RunSplitKey, StoredSplitKey
from allocation.rules.conditions import RowTest
from allocation.rules.row_tests import month_variant_sql, passed_tests
from allocation.rules.rules import Rules
from allocation.storage.rows import NULL, copy_lines, ensure_rows
from allocation.usage.sellers import Named, Quantity, summed_up
from allocation.values.money import decimal_fraction

# One row per source, distinct dimension and variant among the snapshots' charges.
MEMBERS = """
COPY (
    SELECT DISTINCT s.source_id, c.dimension_id, c.variant
    FROM {sums} c JOIN allocation_chargescope s ON s.id = c.scope_id
) TO STDOUT
"""
# Resources that credits, refunds and corrections name.
REFUNDED = """
SELECT DISTINCT d.resource_id
FROM allocation_chargedimension d
WHERE d.resource_id IS NOT NULL
    AND (d.charge_category IN ('Credit', 'Adjustment') OR d.charge_class = 'Correction')
    AND d.id IN (
        SELECT c.dimension_id FROM {sums} c WHERE c.scope_id = ANY(%(scopes)s))
"""
# What rules, the catalogue and split keys look at; dates and identities of the snapshot itself are
# not part of it.
RULE_COLUMNS_EXCLUDED = frozenset(
    {"id", "content_hash", "billing_period_start", "billing_period_end"}
)


def dimension_rows(
    *, scopes: Sequence[int], sums: str, tests: Sequence[RowTest] = ()
) -> Iterator[DimensionRow]:
    """Every dimension that the charges of these day sums have, with its columns and each variant of
    it, in no order.
    """
    of_dimension: dict[int, list[MemberKey]] = {}
    for member in _members(scopes, sums):
        of_dimension.setdefault(member.dimension_id, []).append(member)
    columns = ChargeDimension._meta.concrete_fields
    names = [f.attname for f in columns if f.attname not in RULE_COLUMNS_EXCLUDED]
    ids = list(of_dimension)
    for first in range(0, len(ids), 20_000):
        wanted = ChargeDimension.objects.filter(id__in=ids[first : first + 20_000])
        rows = wanted.values_list("id", *names)
        for dimension_id, *values in rows.iterator(chunk_size=5000):
            found: dict[str, Any] = dict(zip(names, values, strict=True))
            for member in of_dimension[dimension_id]:
                yield DimensionRow(*member, found, passed_tests(tests, member.variant))


def month_dimensions(
    *, month: date, scopes: Sequence[int], tests: Sequence[RowTest] = ()
) -> list[DimensionRow]:
    """Every dimension that the month's charges have, with each variant of it."""
    variant = month_variant_sql(tests, month=month, scopes=scopes) if tests else None
    with day_sums(month=month, scopes=scopes, variant=variant) as sums:
        return list(dimension_rows(scopes=scopes, sums=sums, tests=tests))


def _members(scopes: Sequence[int], sums: str) -> Iterator[MemberKey]:
    for line in copy_lines(MEMBERS.format(sums=sums), {"scopes": list(scopes)}):
        yield MemberKey(*map(int, line.split("\t")))


def refunded_resources(*, scopes: Sequence[int], sums: str) -> frozenset[str]:
    """Of the charges of these day sums."""
    with connection.cursor() as cursor:
        cursor.execute(REFUNDED.format(sums=sums), {"scopes": list(scopes)})
        return frozenset(resource for (resource,) in cursor.fetchall())


@dataclass(frozen=True)
class SplitKeyMap:
    """Split keys of a month's charges, in every currency."""

    members: Mapping[MemberKey, SplitKey]

    @property
    def split_keys(self) -> frozenset[SplitKey]:
        return frozenset(self.members.values())

    def put(self, run: AllocationRun) -> dict[SplitKey, int]:
        """Write the part of the map that is in the run's currency; the split keys' ids."""
        own = {key: split for key, split in self.members.items() if split.currency == run.currency}
        numbers = ensure_split_keys(own.values())
        RunSplitKey.objects.bulk_create(
            RunSplitKey(run_id=run.pk, split_key_id=number) for number in sorted(numbers.values())
        )
        ids: dict[int, int] = {}
        with connection.cursor() as cursor, cursor.copy(MEMBER_COPY) as copy:
            for (source, dimension, variant), split_key in sorted(own.items(), key=_by_member):
                # Many members share one object, and comparing two split keys takes its time.
                number = ids.get(id(split_key))
                if number is None:
                    number = ids[id(split_key)] = numbers[split_key]
                copy.write_row((run.pk, source, dimension, variant, number))
        return numbers


MEMBER_COPY = (
    "COPY charge_to_split_key (run_id, source_id, dimension_id, variant, split_key_id) FROM STDIN"
)


def _by_member(item: tuple[MemberKey, SplitKey]) -> MemberKey:
    return item[0]


def read_map(
    *,
    month: date,
    scopes: Sequence[int],
    sums: str,
    rules: Rules,
    entries: Entries,
    called: CalledNames,
    sources: Mapping[int, SourceSettings],
) -> SplitKeyMap:
    """By a look at every dimension that the snapshots' charges have."""
    refunded = refunded_resources(scopes=scopes, sums=sums)
    found = {
        row.member: split_key_of(
            row,
            source=sources[row.source_id],
            rules=rules,
            month=month,
            entries=entries,
            called=called,
            refunded=refunded,
        )
        for row in dimension_rows(scopes=scopes, sums=sums, tests=rules.row_tests)
    }
    return SplitKeyMap(beside_others(found))


# One row per dimension and variant of the month's charges.
BILLED = """
COPY (
    SELECT s.source_id, c.dimension_id, c.variant,
        CASE WHEN count(c.consumed_quantity) = count(*) THEN sum(c.consumed_quantity) END,
        CASE WHEN count(c.pricing_quantity) = count(*) THEN sum(c.pricing_quantity) END,
        sum(c.billed_cost)
    FROM {sums} c JOIN allocation_chargescope s ON s.id = c.scope_id
    GROUP BY 1, 2, 3
) TO STDOUT
"""


def billed_of_models(
    split_keys: SplitKeyMap, models: frozenset[str], *, scopes: Sequence[int], sums: str
) -> dict[Named, Quantity]:
    """What was billed of some models, by provider and model."""
    parts: list[tuple[Named, Quantity]] = []
    for line in copy_lines(BILLED.format(sums=sums), {"scopes": list(scopes)}):
        *member, consumed, pricing, cost = line.split("\t")
        split_key = split_keys.members[MemberKey(*map(int, member))]
        if split_key.key is not None and split_key.key.model in models:
            quantities = [
                None if text == NULL else decimal_fraction(text) for text in (consumed, pricing)
            ]
            quantity = Quantity(split_key.tokens(*quantities), decimal_fraction(cost))
            parts.append(((split_key.key.provider, split_key.key.model), quantity))
    return summed_up(parts)


def ensure_split_keys(split_keys: Iterable[SplitKey]) -> dict[SplitKey, int]:
    """Ids of these split keys, made where they are new."""
    by_key = {(key.source.id, key.content_hash): key for key in dict.fromkeys(split_keys)}
    ids = ensure_rows(StoredSplitKey, by_key, _columns, by=("source_id", "content_hash"))
    return {split_key: ids[key] for key, split_key in by_key.items()}


def _columns(split_key: SplitKey) -> dict[str, Any]:
    return {
        "rule": split_key.rule,
        "method": split_key.method,
        "ai_scope": split_key.ai_scope,
        "provider_name": split_key.provider_name,
        "service_name": split_key.service_name,
        "charge_category": split_key.charge_category,
        "split_key": split_key.as_json,
    }
