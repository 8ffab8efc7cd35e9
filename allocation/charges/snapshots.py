"""The published snapshots of a billing month and what their charges come to, summed once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import connection

from allocation.models import ChargeScope, ScopeCharges, ScopeState, SourceRole
from allocation.storage.copy_text import whole_month_plans
from allocation.values.periods import DAY, Period


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


def id_list(ids: Iterable[int]) -> str:
    """Ids as the inside of an array literal."""
    return ",".join(str(int(pk)) for pk in ids)
