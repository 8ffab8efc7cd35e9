"""Reading the charges of a billing month: pinned snapshots, their dimensions, and their sums by
bucket and day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.db import connection
from django.db.models import Q

from allocation.charges.split_keys import DimensionRow, MemberKey
from allocation.models import (
    ChargeDimension,
    ChargeScope,
    RunSlice,
    ScopeCharges,
    ScopeState,
    SourceRole,
)
from allocation.rules.conditions import RowTest
from allocation.rules.row_tests import passed_tests
from allocation.storage.copy_text import copy_cells, copy_lines, whole_month_plans
from allocation.values.money import LEAST_PLACES, decimal_fraction, places_of, quanta_of
from allocation.values.periods import DAY, microseconds_by_day
from allocation.values.split import split_quanta
from allocation.values.stages import BY_DAY, BY_REPORTS


def pinned_scopes(month: date) -> list[int]:
    """The published snapshots of invoice sources, which alone carry ledger money."""
    return list(
        ChargeScope.objects.filter(
            billing_month=month, state=ScopeState.CURRENT, source__role=SourceRole.INVOICE
        ).order_by("id").values_list("id", flat=True)
    )  # fmt: skip


MEMBERS_SQL = """
-- One row per source, distinct dimension and variant among the snapshots' charges.
COPY (
    SELECT DISTINCT s.source_id, c.dimension_id, {variant}
    FROM charge c JOIN allocation_chargescope s ON s.id = c.scope_id
    WHERE c.billing_month = '{month}' AND c.scope_id = ANY('{{{scopes}}}')
) TO STDOUT
"""

PLAIN_MEMBERS_SQL = """
COPY (
    SELECT DISTINCT s.source_id, c.dimension_id, 0
    FROM scope_charges c JOIN allocation_chargescope s ON s.id = c.scope_id
    WHERE c.scope_id = ANY('{{{scopes}}}')
) TO STDOUT
"""

GROUPS_SQL = """
-- One row per bucket and UTC day; for charges that touch several days one per bucket and period,
-- clipped to the billing period. Summed by dimension first, which needs no join and so is done by
-- several processes.
COPY (
    SELECT m.bucket, c.first_day,
        CASE WHEN c.long_start IS NOT NULL
            THEN least(greatest(c.long_start, s.billing_period_start), c.long_end)
                END AS spread_start,
        CASE WHEN c.long_start IS NOT NULL THEN least(c.long_end, s.billing_period_end)
            END AS spread_end,
        sum(c.charges), sum(c.billed_cost), sum(c.effective_cost),
        CASE WHEN bool_and(c.lists = c.charges) THEN sum(c.list_cost) END,
        CASE WHEN bool_and(c.consumes = c.charges) THEN sum(c.consumed_quantity) END,
        CASE WHEN bool_and(c.prices = c.charges) THEN sum(c.pricing_quantity) END
    FROM (
        SELECT scope_id, dimension_id, {variant} AS variant, first_day,
            CASE WHEN is_long THEN charge_period_start END AS long_start,
            CASE WHEN is_long THEN charge_period_end END AS long_end,
            count(*) AS charges, sum(billed_cost) AS billed_cost,
                sum(effective_cost) AS effective_cost,
            count(list_cost) AS lists, sum(list_cost) AS list_cost,
            count(consumed_quantity) AS consumes, sum(consumed_quantity) AS consumed_quantity,
            count(pricing_quantity) AS prices, sum(pricing_quantity) AS pricing_quantity
        FROM (
            SELECT c.*, (charge_period_start AT TIME ZONE 'UTC')::date AS first_day,
                (charge_period_end AT TIME ZONE 'UTC')
                    > (charge_period_start AT TIME ZONE 'UTC')::date + 1 AS is_long
            FROM charge c
            WHERE c.billing_month = '{month}' AND c.scope_id = ANY('{{{scopes}}}') AND {only}
        ) c
        GROUP BY 1, 2, 3, 4, 5, 6
    ) c
    JOIN allocation_chargescope s ON s.id = c.scope_id
    JOIN bucket_member m ON m.run_id = {run} AND m.source_id = s.source_id
        AND m.dimension_id = c.dimension_id
        AND m.variant = c.variant
    GROUP BY 1, 2, 3, 4
) TO STDOUT
"""

# A snapshot never changes once it is published, so its charges are read once and their sums by
# dimension kept.
SUMMARISE_SQL = """
INSERT INTO scope_charges (scope_id, dimension_id, charges, billed_cost, effective_cost, first_day,
    last_day)
SELECT c.scope_id, c.dimension_id, count(*), sum(c.billed_cost), sum(c.effective_cost),
    min(c.charge_period_start AT TIME ZONE 'UTC')::date,
    max((c.charge_period_end AT TIME ZONE 'UTC') - interval '1 microsecond')::date
FROM charge c
WHERE c.billing_month = %(month)s AND c.scope_id = ANY(%(scopes)s)
GROUP BY 1, 2
ON CONFLICT DO NOTHING
"""
# What readers of a month's charges may count on: one row per source and currency.
TOTALS_SQL = """
SELECT s.source_id, d.billing_currency, sum(c.charges), sum(c.billed_cost), sum(c.effective_cost)
FROM scope_charges c
JOIN allocation_chargescope s ON s.id = c.scope_id
JOIN allocation_chargedimension d ON d.id = c.dimension_id
WHERE c.scope_id = ANY(%(scopes)s)
GROUP BY 1, 2
"""


def summarise_scopes(*, month: date, scopes: Sequence[int]) -> None:
    """Keep the sums of those published snapshots that have none yet."""
    known = set(
        ScopeCharges.objects.filter(scope_id__in=scopes)
        .values_list("scope_id", flat=True)
        .distinct()
    )
    new = [scope for scope in scopes if scope not in known]
    if new:
        with whole_month_plans(), connection.cursor() as cursor:
            cursor.execute(SUMMARISE_SQL, {"month": month, "scopes": new})


@dataclass(frozen=True)
class SourceTotal:
    source_id: int
    currency: str
    charges: int
    billed_cost: Decimal
    effective_cost: Decimal


def source_totals(*, month: date, scopes: Sequence[int]) -> list[SourceTotal]:
    summarise_scopes(month=month, scopes=scopes)
    with connection.cursor() as cursor:
        cursor.execute(TOTALS_SQL, {"scopes": list(scopes)})
        return [SourceTotal(*row) for row in cursor.fetchall()]


# What rules, the catalogue and buckets look at; dates and identities of the snapshot itself are not
# part of it.
RULE_COLUMNS_EXCLUDED = frozenset(
    {"id", "content_hash", "billing_period_start", "billing_period_end"}
)


def dimension_rows(
    *, month: date, scopes: Sequence[int], tests: Sequence[RowTest] = (), variant: str = ""
) -> Iterator[DimensionRow]:
    """Every dimension that the month's charges have, with its columns and each variant of it, in no
    order.

    `variant` is the SQL of the tests' bits (allocation.rules.row_tests).
    """
    return described(read_members(month=month, scopes=scopes, tests=tests, variant=variant), tests)


def read_members(
    *, month: date, scopes: Sequence[int], tests: Sequence[RowTest] = (), variant: str = ""
) -> Iterator[MemberKey]:
    """Every source, dimension and variant that charges of the snapshots have, in no order."""
    if tests:
        sql = MEMBERS_SQL.format(variant=variant, month=month.isoformat(), scopes=id_list(scopes))
    else:
        summarise_scopes(month=month, scopes=scopes)
        sql = PLAIN_MEMBERS_SQL.format(scopes=id_list(scopes))
    for line in copy_lines(sql):
        yield MemberKey(*map(int, line.split("\t")))


def described(members: Iterable[MemberKey], tests: Sequence[RowTest]) -> Iterator[DimensionRow]:
    """The members with the columns of their dimensions."""
    of_dimension: dict[int, list[MemberKey]] = {}
    for member in members:
        of_dimension.setdefault(member.dimension_id, []).append(member)
    names = [
        f.attname
        for f in ChargeDimension._meta.concrete_fields
        if f.attname not in RULE_COLUMNS_EXCLUDED
    ]
    ids = list(of_dimension)
    for first in range(0, len(ids), 20_000):
        rows = ChargeDimension.objects.filter(id__in=ids[first : first + 20_000]).values_list(
            "id", *names
        )
        for dimension_id, *values in rows.iterator(chunk_size=5000):
            columns: dict[str, Any] = dict(zip(names, values, strict=True))
            for member in of_dimension[dimension_id]:
                yield DimensionRow(*member, columns, passed_tests(tests, member.variant))


def id_list(ids: Iterable[int]) -> str:
    """Ids as the inside of an array literal."""
    return ",".join(str(int(pk)) for pk in ids)


# ---------------------------------------------------------------- groups


@dataclass(slots=True)
class Amount:
    """Whole quanta of 10**-places, at least twelve places."""

    quanta: int
    places: int

    @classmethod
    def of(cls, text: str) -> Amount:
        places = max(LEAST_PLACES, places_of(text))
        return cls(quanta_of(text, places), places)

    def plus(self, quanta: int, places: int) -> None:
        if places > self.places:
            self.quanta *= 10 ** (places - self.places)
            self.places = places
        self.quanta += quanta * 10 ** (self.places - places)


@dataclass(slots=True)
class Group:
    """The charges of one bucket on one UTC day. `list_cost` or a quantity is None where any charge
    lacks it.

    A charge of several days is counted on its first one, so that counts add up over days.
    `is_spread` where all of them are of several days.
    """

    bucket: int
    day: date
    charges: int
    billed_cost: Amount
    effective_cost: Amount
    list_cost: Amount | None
    consumed: Fraction | None
    pricing: Fraction | None
    is_spread: bool = False


@dataclass(frozen=True)
class Extent:
    """Charges of some snapshots of a month: all, or those that touch some UTC days."""

    scopes: tuple[int, ...]
    days: frozenset[date] | None = None

    @property
    def condition(self) -> str:
        """SQL for a charge `c` of the snapshots: whether it is one of these."""
        if self.days is None:
            return "true"
        touched = [
            f"(c.charge_period_start < '{day + DAY} 00:00+00' AND (c.charge_period_start >= '{day} 00:00+00'"
            f" OR c.charge_period_end > '{day} 00:00+00'))"
            for day in sorted(self.days)
        ]
        return f"({' OR '.join(touched) or 'false'})"


def read_groups(*, run_id: int, month: date, extent: Extent, variant: str) -> list[Group]:
    """Charge groups of these charges, on their days, in (bucket, day) order. Amounts of several
    days are spread by seconds, exactly.
    """
    sql = GROUPS_SQL.format(
        variant=variant,
        month=month.isoformat(),
        scopes=id_list(extent.scopes),
        run=int(run_id),
        only=extent.condition,
    )
    return [
        group
        for group in groups_of(copy_lines(sql))
        if extent.days is None or group.day in extent.days
    ]


LONG_SQL = """
SELECT EXISTS (
    SELECT FROM charge c
    WHERE billing_month = %(month)s AND scope_id = ANY(%(scopes)s)
        AND (charge_period_end AT TIME ZONE 'UTC') > (charge_period_start AT TIME ZONE 'UTC')::date
            + 1)
"""


def has_long_charges(month: date, scopes: Sequence[int]) -> bool:
    """Whether a charge of the snapshots touches several days. What such charges come to by day is
    cut from their sum, so that one more of them can't just be added.
    """
    with connection.cursor() as cursor:
        cursor.execute(LONG_SQL, {"month": month, "scopes": list(scopes)})
        found: bool = cursor.fetchone()[0]
        return found


KEPT_GROUPS_SQL = """
COPY (
    SELECT g.bucket, r.day, r.is_spread, g.charges, g.billed_cost, g.effective_cost, g.list_cost,
        g.consumed_quantity,
        g.pricing_quantity
    FROM run_slice r JOIN slice_group g ON g.slice_id = r.slice_id
    WHERE r.run_id = {run} AND r.part >= {by_day} AND (r.day = ANY('{{{days}}}')
        OR r.part > {by_day})
        AND g.slice_id = ANY('{{{slices}}}')  -- so that groups of other runs and months are not read
) TO STDOUT
"""


def kept_groups(*, run_id: int, days: Iterable[date]) -> list[Group]:
    """Groups as a run kept them: of part BY_DAY those of these days, of all later parts those of
    any day.
    """
    listed = sorted(days)
    own = RunSlice.objects.filter(
        Q(part=BY_DAY, day__in=listed) | Q(part__gt=BY_DAY), run_id=run_id
    )
    slices = id_list(own.values_list("slice_id", flat=True))
    sql = KEPT_GROUPS_SQL.format(
        run=int(run_id), by_day=BY_DAY, slices=slices, days=",".join(map(str, listed))
    )
    return [_kept_group(copy_cells(line)) for line in copy_lines(sql)]


def _kept_group(cells: list[str | None]) -> Group:
    bucket, day, is_spread, charges, billed, effective, listed, consumed, pricing = cells
    return Group(
        bucket=int(bucket or 0),
        day=date.fromisoformat(day or ""),
        charges=int(charges or 0),
        billed_cost=Amount.of(billed or ""),
        effective_cost=Amount.of(effective or ""),
        list_cost=None if listed is None else Amount.of(listed),
        consumed=None if consumed is None else decimal_fraction(consumed),
        pricing=None if pricing is None else decimal_fraction(pricing),
        is_spread=is_spread == "t",
    )


FORMER_TOKENS_SQL = """
SELECT g.bucket, CASE WHEN count(g.quantity) = count(*) THEN sum(g.quantity) END
FROM run_slice r JOIN slice_group g ON g.slice_id = r.slice_id
WHERE r.run_id = %(run)s AND r.part BETWEEN %(first)s AND %(last)s AND r.day <> ALL(%(days)s)
GROUP BY 1
"""


def former_tokens(*, run_id: int, but: Iterable[date]) -> dict[int, Decimal | None]:
    """Tokens billed in a run by bucket, on all days `but` these; None where any quantity does not
    convert.
    """
    values: dict[str, Any] = {
        "run": run_id,
        "first": BY_DAY,
        "last": BY_REPORTS,
        "days": sorted(but),
    }
    with connection.cursor() as cursor:
        cursor.execute(FORMER_TOKENS_SQL, values)
        return dict(cursor.fetchall())


def groups_of(lines: Iterable[str]) -> list[Group]:
    """Pure: rows of GROUPS_SQL, in any order, as groups in (bucket, day) order."""
    return merged(part for line in lines for part in _days_of(line.split("\t")))


def merged(parts: Iterable[Group]) -> list[Group]:
    """One group for each bucket and day, in this order; may add to the groups that it is given."""
    groups: dict[tuple[int, date], Group] = {}
    for part in parts:
        known = groups.get((part.bucket, part.day))
        if known is None:
            groups[part.bucket, part.day] = part
        else:
            _merge(known, part)
    return [groups[key] for key in sorted(groups)]


def _days_of(cells: list[str]) -> Iterable[Group]:
    bucket, first_day, start, end, charges = cells[:5]
    amounts = [None if text == "\\N" else Amount.of(text) for text in cells[5:8]]
    if start == "\\N":
        day = date.fromisoformat(first_day)
        quantities = [None if text == "\\N" else decimal_fraction(text) for text in cells[8:10]]
        return [Group(int(bucket), day, int(charges), *amounts, *quantities)]  # type: ignore[arg-type]
    begin, until = datetime.fromisoformat(start), datetime.fromisoformat(end)
    if until <= begin:  # outside its billing period: the charge's own first day
        spread = [(date.fromisoformat(first_day), 1)]
    else:
        spread = microseconds_by_day(begin, until, clip_start=begin, clip_end=until)
    days, weights = [day for day, _ in spread], [weight for _, weight in spread]
    billed, effective, listed = (_spread(amount, weights) for amount in amounts)
    consumed, pricing = (_spread_quantity(text, weights) for text in cells[8:10])
    return [
        Group(int(bucket), day, 0 if n else int(charges), b, e, c, q, p, is_spread=True)
        for n, (day, b, e, c, q, p) in enumerate(
            zip(days, billed, effective, listed, consumed, pricing, strict=True)
        )
    ]


def _spread(amount: Amount | None, weights: list[int]) -> list[Any]:
    if amount is None:
        return [None] * len(weights)
    return [Amount(quanta, amount.places) for quanta in split_quanta(amount.quanta, weights)]


def _spread_quantity(text: str, weights: list[int]) -> list[Fraction | None]:
    """Cut as money is: what a day has is a decimal that can be written down and read again."""
    spread: list[Amount | None] = _spread(None if text == "\\N" else Amount.of(text), weights)
    return [None if part is None else Fraction(part.quanta, 10**part.places) for part in spread]


def _merge(known: Group, part: Group) -> None:
    known.charges += part.charges
    known.billed_cost.plus(part.billed_cost.quanta, part.billed_cost.places)
    known.effective_cost.plus(part.effective_cost.quanta, part.effective_cost.places)
    if known.list_cost and part.list_cost:
        known.list_cost.plus(part.list_cost.quanta, part.list_cost.places)
    else:
        known.list_cost = None
    known.consumed = (
        known.consumed + part.consumed
        if known.consumed is not None and part.consumed is not None
        else None
    )
    known.pricing = (
        known.pricing + part.pricing
        if known.pricing is not None and part.pricing is not None
        else None
    )
    known.is_spread = known.is_spread and part.is_spread
