"""Charge groups: the charges of one split key on one UTC day, summed by the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.db import connection

from allocation.models import ChargeScope, ScopeCharges, ScopeState, SourceRole
from allocation.storage.rows import copy_lines, whole_month_plans
from allocation.values.money import LEAST_PLACES, decimal_fraction, places_of, quanta_of
from allocation.values.periods import DAY, Period, microseconds_by_day
from allocation.values.split import split_quanta


def pinned_scopes(month: date) -> list[int]:
    """The published snapshots of invoice sources, which alone carry ledger money."""
    scopes = ChargeScope.objects.filter(
        billing_month=month, state=ScopeState.CURRENT, source__role=SourceRole.INVOICE
    )
    return list(scopes.order_by("id").values_list("id", flat=True))


# One row per snapshot, distinct dimension, variant and UTC day; for charges that touch several days
# one per period. A list cost or a quantity is NULL where any charge lacks it.
DAY_SUMS = """
    SELECT c.scope_id, c.dimension_id, {variant} AS variant, c.first_day,
        CASE WHEN c.is_long THEN c.charge_period_start END AS period_start,
        CASE WHEN c.is_long THEN c.charge_period_end END AS period_end,
        count(*) AS charges, sum(c.billed_cost) AS billed_cost,
        sum(c.effective_cost) AS effective_cost,
        CASE WHEN count(c.list_cost) = count(*) THEN sum(c.list_cost) END AS list_cost,
        CASE WHEN count(c.consumed_quantity) = count(*) THEN sum(c.consumed_quantity) END
            AS consumed_quantity,
        CASE WHEN count(c.pricing_quantity) = count(*) THEN sum(c.pricing_quantity) END
            AS pricing_quantity
    FROM (
        SELECT c.*, (charge_period_start AT TIME ZONE 'UTC')::date AS first_day,
            (charge_period_end AT TIME ZONE 'UTC')
                > (charge_period_start AT TIME ZONE 'UTC')::date + 1 AS is_long
        FROM charge c
        WHERE c.billing_month = %(month)s AND c.scope_id = ANY(%(scopes)s::bigint[])
    ) c
    GROUP BY 1, 2, 3, 4, 5, 6
"""
# A snapshot never changes once it is published, so its charges are read once and their sums kept.
KEEP = f"""
INSERT INTO scope_charges (scope_id, dimension_id, first_day, period_start, period_end, charges,
    billed_cost, effective_cost, list_cost, consumed_quantity, pricing_quantity)
SELECT scope_id, dimension_id, first_day, period_start, period_end, charges, billed_cost,
    effective_cost, list_cost, consumed_quantity, pricing_quantity
FROM ({DAY_SUMS.format(variant="0")}) sums
"""  # noqa: S608 - constants


KEPT_SUMS = """(
    SELECT *, 0 AS variant FROM scope_charges WHERE scope_id = ANY(%(scopes)s::bigint[])
)"""


def keep_day_sums(*, month: date, scopes: Sequence[int]) -> None:
    """Sum up those published snapshots that are not yet. Safe beside another run that does."""
    known = ScopeCharges.objects.filter(scope_id__in=scopes).values_list("scope_id", flat=True)
    if set(scopes) <= set(known.distinct()):
        return
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('apportion day sums'))")
        new = sorted(set(scopes) - set(known.distinct()))
        if new:
            cursor.execute(KEEP, {"month": month, "scopes": new})


@contextmanager
def day_sums(*, month: date, scopes: Sequence[int], variant: str | None) -> Iterator[str]:
    """The table with the snapshots' day sums, to be read inside the block.

    `variant` is the SQL by which the rules' row tests tell charges of one dimension apart; None
    where they don't, and the sums are those that are kept.
    """
    if variant is None:
        keep_day_sums(month=month, scopes=scopes)
        yield KEPT_SUMS
        return
    sums = DAY_SUMS.format(variant=variant.replace("%", "%%"))
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS run_charges")
        values: dict[str, Any] = {"month": month, "scopes": list(scopes)}
        cursor.execute(f"CREATE TEMPORARY TABLE run_charges AS {sums}", values)
    try:
        yield "run_charges"
    finally:
        if not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute("DROP TABLE IF EXISTS run_charges")


@dataclass(frozen=True)
class SourceTotal:
    """What a run has to add up to: the charges of one source and currency."""

    source_id: int
    currency: str
    charges: int
    billed_cost: Decimal
    effective_cost: Decimal


TOTALS = """
SELECT s.source_id, d.billing_currency, sum(c.charges), sum(c.billed_cost), sum(c.effective_cost)
FROM scope_charges c
JOIN allocation_chargescope s ON s.id = c.scope_id
JOIN allocation_chargedimension d ON d.id = c.dimension_id
WHERE c.scope_id = ANY(%(scopes)s)
GROUP BY 1, 2
"""
CHARGE_DAYS = """
SELECT min(first_day), max(CASE WHEN period_end IS NULL THEN first_day
    ELSE ((period_end AT TIME ZONE 'UTC') - interval '1 microsecond')::date END)
FROM scope_charges WHERE scope_id = ANY(%(scopes)s)
"""


def source_totals(*, month: date, scopes: Sequence[int]) -> list[SourceTotal]:
    keep_day_sums(month=month, scopes=scopes)
    with connection.cursor() as cursor:
        cursor.execute(TOTALS, {"scopes": list(scopes)})
        return [SourceTotal(*row) for row in cursor.fetchall()]


def charge_days(*, month: date, scopes: Sequence[int]) -> tuple[date, date]:
    """First charge day and the day after the last, the billing month at least.

    Days more than a year before the month, or a month after it, are not asked for usage.
    """
    keep_day_sums(month=month, scopes=scopes)
    with connection.cursor() as cursor:
        cursor.execute(CHARGE_DAYS, {"scopes": list(scopes)})
        first, last = cursor.fetchone()
    whole = Period.month(month)
    earliest = date(month.year - 1, month.month, 1)
    return max(min(first or whole.start, whole.start), earliest), min(
        max(last + DAY if last else whole.end, whole.end), whole.end + 31 * DAY
    )


GROUPS = """
-- One row per split key and UTC day; for charges that touch several days one per split key and
-- period, clipped to the billing period.
COPY (
    SELECT m.split_key_id, c.first_day,
        CASE WHEN c.period_start IS NOT NULL
            THEN least(greatest(c.period_start, s.billing_period_start), c.period_end) END,
        CASE WHEN c.period_start IS NOT NULL THEN least(c.period_end, s.billing_period_end) END,
        sum(c.charges), sum(c.billed_cost), sum(c.effective_cost),
        CASE WHEN count(c.list_cost) = count(*) THEN sum(c.list_cost) END,
        CASE WHEN count(c.consumed_quantity) = count(*) THEN sum(c.consumed_quantity) END,
        CASE WHEN count(c.pricing_quantity) = count(*) THEN sum(c.pricing_quantity) END
    FROM {sums} c
    JOIN allocation_chargescope s ON s.id = c.scope_id
    JOIN charge_to_split_key m ON m.run_id = %(run)s AND m.source_id = s.source_id
        AND m.dimension_id = c.dimension_id AND m.variant = c.variant
    GROUP BY 1, 2, 3, 4
) TO STDOUT
"""


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
class ChargeGroup:
    """The charges of one split key on one UTC day. `list_cost` or a quantity is None where any
    charge lacks it.

    A charge of several days is counted on its first one, so that counts add up over days.
    `is_spread` where all of them are of several days.
    """

    split_key: int  # its id in the database
    day: date
    charges: int
    billed_cost: Amount
    effective_cost: Amount
    list_cost: Amount | None
    consumed: Fraction | None
    pricing: Fraction | None
    is_spread: bool = False


def read_groups(*, run_id: int, scopes: Sequence[int], sums: str) -> list[ChargeGroup]:
    """Charge groups of a run, in (split key, day) order, from the table of its day sums.

    Amounts of several days are spread by seconds, exactly.
    """
    values = {"run": run_id, "scopes": list(scopes)}
    return groups_of(copy_lines(GROUPS.format(sums=sums), values))


def groups_of(lines: Iterable[str]) -> list[ChargeGroup]:
    """Pure: rows of GROUPS, in any order, as groups in (split key, day) order."""
    return merged(part for line in lines for part in _days_of(line.split("\t")))


def merged(parts: Iterable[ChargeGroup]) -> list[ChargeGroup]:
    """One group for each split key and day, in this order; may add to groups that it is given."""
    groups: dict[tuple[int, date], ChargeGroup] = {}
    for part in parts:
        known = groups.get((part.split_key, part.day))
        if known is None:
            groups[part.split_key, part.day] = part
        else:
            _merge(known, part)
    return [groups[key] for key in sorted(groups)]


def _days_of(cells: list[str]) -> Iterable[ChargeGroup]:
    split_key, first_day, start, end, charges = cells[:5]
    amounts = [None if text == "\\N" else Amount.of(text) for text in cells[5:8]]
    if start == "\\N":
        day = date.fromisoformat(first_day)
        quantities = [None if text == "\\N" else decimal_fraction(text) for text in cells[8:10]]
        return [ChargeGroup(int(split_key), day, int(charges), *amounts, *quantities)]  # type: ignore[arg-type]
    begin, until = datetime.fromisoformat(start), datetime.fromisoformat(end)
    if until <= begin:  # outside its billing period: the charge's own first day
        spread = [(date.fromisoformat(first_day), 1)]
    else:
        spread = microseconds_by_day(begin, until, clip_start=begin, clip_end=until)
    days, weights = [day for day, _ in spread], [weight for _, weight in spread]
    billed, effective, listed = (_spread(amount, weights) for amount in amounts)
    consumed, pricing = (_spread_quantity(text, weights) for text in cells[8:10])
    return [
        ChargeGroup(int(split_key), day, 0 if n else int(charges), b, e, c, q, p, is_spread=True)
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


def _merge(known: ChargeGroup, part: ChargeGroup) -> None:
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
