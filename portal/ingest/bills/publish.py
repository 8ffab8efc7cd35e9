"""Publishing a loaded bill: what it replaces, what forbids it, what it changes. All under the lock
of its source.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from allocation.models import (
    ChargeScope,
    Delivery,
    Import,
    ImportStatus,
    ScopeState,
    Source,
    SourceRole,
)
from allocation.values.money import plain
from portal.ingest.bills.load.loader import COST_FIELDS, Costs, LoadedScope
from portal.ingest.problems import BillRefused

TOP_SERVICES = 10


@dataclass(frozen=True, slots=True)
class Replacement:
    """One scope of the new file and the snapshot it takes the place of, if there is one."""

    new: LoadedScope
    old: ChargeScope | None


def totals_as_json(totals: dict[str, Costs]) -> list[dict[str, str | None]]:
    """One object per currency; amounts as plain decimal strings, null where no row has the cost."""
    found: list[dict[str, str | None]] = []
    for currency, costs in totals.items():
        entry: dict[str, str | None] = {"currency": currency}
        for name, cost in zip(COST_FIELDS, costs, strict=True):
            entry[name] = None if cost is None else plain(cost)
        found.append(entry)
    return found


def lock_source(source_id: int) -> Source:
    """The source, held until the transaction ends: two files of one source are published one after
    the other.
    """
    return Source.objects.select_for_update().get(pk=source_id)


def already_loaded(source: Source, sha256: str, scopes: list[LoadedScope]) -> Import | None:
    """The import that this content stands published by. An older snapshot's bytes are not, and load
    again.
    """
    same = Import.objects.filter(
        source=source, content_sha256=sha256, status=ImportStatus.LOADED
    ).order_by("-pk")
    if source.delivery == Delivery.APPEND or not scopes:
        return same.first()
    for candidate in same:
        current = set(
            candidate.scopes.filter(state=ScopeState.CURRENT).values_list(
                "billing_account_id", "billing_period_start"
            )
        )
        if current >= {(scope.billing_account_id, scope.billing_period_start) for scope in scopes}:
            return candidate
    return None


def replacements(source: Source, scopes: list[LoadedScope]) -> list[Replacement]:
    """Each scope with the current snapshot of the same billing account and period. Appending
    replaces nothing.
    """
    if source.delivery == Delivery.APPEND:
        return [Replacement(scope, None) for scope in scopes]
    current = {
        (each.billing_account_id, each.billing_period_start): each
        for each in ChargeScope.objects.filter(source=source, state=ScopeState.CURRENT)
    }
    return [
        Replacement(scope, current.get((scope.billing_account_id, scope.billing_period_start)))
        for scope in scopes
    ]


# ---------------------------------------------------------------- what forbids it


def refuse_overlaps(source: Source, bill_import: Import, changes: list[Replacement]) -> None:
    """Money must not be there twice: not in two periods of one source that overlap, not in two
    invoice sources.
    """
    scopes = {change.new.id: change.new for change in changes}
    if source.delivery == Delivery.OVERWRITE:
        refuse_overlaps_within([change.new for change in changes])
    for new, old in overlapping(source, bill_import):
        refuse_overlap(source, scopes[new], old)


def refuse_overlaps_within(scopes: list[LoadedScope]) -> None:
    """The billing periods that one file holds of an account must not share days."""
    ordered = sorted(
        scopes, key=lambda scope: (scope.billing_account_id, scope.billing_period_start)
    )
    for first, second in pairwise(ordered):
        if (
            first.billing_account_id == second.billing_account_id
            and second.billing_period_start < first.billing_period_end
        ):
            raise BillRefused(
                f"billing account {first.billing_account_id}: the delivery holds the billing "
                f"periods {days(first)} and {days(second)}, which overlap; deliver one of them, "
                "or declare the source append"
            )


def days(scope: LoadedScope | ChargeScope) -> str:
    """`2026-09-01 to 2026-10-01`, the end excluded."""
    return f"{scope.billing_period_start:%Y-%m-%d} to {scope.billing_period_end:%Y-%m-%d}"


OVERLAPPING = """
-- One row per staged scope of the import and published scope of the same billing account that
-- shares days with it and is not what it replaces: of the same source unless it appends, of other
-- invoice sources if this is one.
SELECT new.id, old.id
FROM allocation_chargescope new
JOIN allocation_chargescope old ON old.billing_account_id = new.billing_account_id
    AND old.state = 'current'
    AND old.billing_period_start < new.billing_period_end AND old.billing_period_end >
        new.billing_period_start
JOIN allocation_source s ON s.id = old.source_id
WHERE new.bill_import_id = %(bill_import)s AND CASE WHEN old.source_id = new.source_id
    THEN new.delivery = 'overwrite' AND old.billing_period_start <> new.billing_period_start
    ELSE %(is_invoice)s AND s.role = 'invoice' END
ORDER BY new.id, old.id
"""


def overlapping(source: Source, bill_import: Import) -> list[tuple[int, ChargeScope]]:
    """Staged scopes of this import by id, with the published scopes they overlap."""
    with connection.cursor() as cursor:
        cursor.execute(
            OVERLAPPING,
            {"bill_import": bill_import.pk, "is_invoice": source.role == SourceRole.INVOICE},
        )
        pairs = cursor.fetchall()
    olds = ChargeScope.objects.select_related("source").in_bulk([old for _, old in pairs])
    return [(new, olds[old]) for new, old in pairs]


def refuse_overlap(source: Source, scope: LoadedScope, other: ChargeScope) -> None:
    amount = ", ".join(f"{each['billed_cost']} {each['currency']}" for each in other.totals)
    if other.source_id == source.pk:
        raise BillRefused(
            f"billing account {scope.billing_account_id}: the billing period {days(scope)} "
            f"overlaps {days(other)}, which import {other.bill_import_id} loaded with {amount} "
            "billed; deliver it again to replace it, or declare the source append"
        )
    shared = providers(scope.id, scope.billing_month) & providers(other.pk, other.billing_month)
    if shared:
        raise BillRefused(
            f"billing account {scope.billing_account_id}, {', '.join(sorted(shared))}: "
            f"{days(scope)} overlaps {days(other)}, which the source {other.source.name} already "
            f"bills with {amount} (import {other.bill_import_id}); the same money would count "
            "twice. Use that source, or give one of the two the role usage detail"
        )


def providers(scope_id: int, billing_month: Any) -> set[str]:
    """Names of the providers of a scope's charges."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT coalesce(provider_name, service_provider_name, '')
                FROM allocation_chargedimension
            WHERE id IN (SELECT dimension_id FROM charge WHERE billing_month = %s AND scope_id = %s)
            """,
            [billing_month, scope_id],
        )
        return {name for (name,) in cursor.fetchall()}


def refuse_shrinking(changes: list[Replacement]) -> None:
    """A month that loses more than half of its rows or cost is more often a broken export than a
    cheaper month.
    """
    for change in changes:
        if change.old is None:
            continue
        if 2 * change.new.rows < change.old.rows:
            raise BillRefused(
                shrunk(change, f"{change.new.rows:,} rows instead of {change.old.rows:,}")
            )
        for total in change.old.totals:
            before = Decimal(total["billed_cost"])
            costs = change.new.totals.get(total["currency"])
            after = (costs[0] if costs else None) or Decimal(0)
            if before > 0 and 2 * after < before:
                raise BillRefused(
                    shrunk(
                        change,
                        f"{plain(after)} {total['currency']} billed instead of {plain(before)}",
                    )
                )


def shrunk(change: Replacement, what: str) -> str:
    return (
        f"billing account {change.new.billing_account_id}, {days(change.new)}: {what}, less than "
        "half of what is published; if that is right, load it with --confirm-shrink"
    )


# ---------------------------------------------------------------- what it changes

SERVICES = """
-- One row per scope, service and currency.
SELECT c.scope_id, d.service_name, d.billing_currency, count(*), sum(c.billed_cost),
    sum(c.effective_cost)
FROM charge c JOIN allocation_chargedimension d ON d.id = c.dimension_id
WHERE c.billing_month = ANY(%s) AND c.scope_id = ANY(%s)
GROUP BY c.scope_id, d.service_name, d.billing_currency
"""
Service = tuple[str | None, str]
Measures = tuple[int, Decimal, Decimal]
NOTHING: Measures = (0, Decimal(0), Decimal(0))


def difference(changes: list[Replacement]) -> list[dict[str, Any]]:
    """Per replaced scope and currency: rows and costs before and after, and the services that
    changed most.
    """
    replaced = [(change.new, change.old) for change in changes if change.old is not None]
    if not replaced:
        return []
    services = sums_by_service(
        {new.billing_month for new, _ in replaced} | {old.billing_month for _, old in replaced},
        [number for new, old in replaced for number in (new.id, old.pk)],
    )
    entries = []
    for new, old in replaced:
        before, after = services.get(old.pk, {}), services.get(new.id, {})
        for currency in sorted({currency for _, currency in [*before, *after]}):
            entries.append(
                {
                    "billing_account_id": new.billing_account_id,
                    "billing_period_start": f"{new.billing_period_start:%Y-%m-%d}",
                    "billing_period_end": f"{new.billing_period_end:%Y-%m-%d}",
                    "billing_month": f"{new.billing_month:%Y-%m}",
                    "replaced_import": old.bill_import_id,
                    "currency": currency,
                }
                | compared(total_of(before, currency), total_of(after, currency))
                | {"services": largest_changes(before, after, currency)}
            )
    return entries


def replaced(changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a delivery took the place of, in short: one object per entry of `difference`."""
    return [
        {
            "account": change["billing_account_id"],
            "period": change["billing_month"],
            "currency": change["currency"],
            "rows_before": change["rows"]["before"],
            "rows_after": change["rows"]["after"],
            "billed_before": change["billed_cost"]["before"],
            "billed_after": change["billed_cost"]["after"],
        }
        for change in changes
    ]


def sums_by_service(months: set[Any], scopes: list[int]) -> dict[int, dict[Service, Measures]]:
    with connection.cursor() as cursor:
        cursor.execute(SERVICES, [sorted(months), scopes])
        found: dict[int, dict[Service, Measures]] = {}
        for scope, service, currency, *measures in cursor.fetchall():
            found.setdefault(scope, {})[service, currency] = (measures[0], measures[1], measures[2])
    return found


def total_of(services: dict[Service, Measures], currency: str) -> Measures:
    of_currency = [measures for (_, each), measures in services.items() if each == currency]
    return (
        sum(rows for rows, _, _ in of_currency),
        sum((billed for _, billed, _ in of_currency), Decimal(0)),
        sum((effective for _, _, effective in of_currency), Decimal(0)),
    )


def compared(before: Measures, after: Measures) -> dict[str, Any]:
    return {
        "rows": {"before": before[0], "after": after[0], "difference": after[0] - before[0]},
        "billed_cost": amounts(before[1], after[1]),
        "effective_cost": amounts(before[2], after[2]),
    }


def amounts(before: Decimal, after: Decimal) -> dict[str, str]:
    return {"before": plain(before), "after": plain(after), "difference": plain(after - before)}


def largest_changes(
    before: dict[Service, Measures], after: dict[Service, Measures], currency: str
) -> list[dict[str, Any]]:
    keys = [key for key in {**before, **after} if key[1] == currency]
    found = [(key[0], before.get(key, NOTHING), after.get(key, NOTHING)) for key in keys]
    changed = [each for each in found if each[1] != each[2]]
    changed.sort(
        key=lambda each: (
            -max(abs(each[2][1] - each[1][1]), abs(each[2][2] - each[1][2])),
            each[0] or "",
        )
    )
    return [
        {"service_name": name} | compared(old, new) for name, old, new in changed[:TOP_SERVICES]
    ]


# ---------------------------------------------------------------- the move


def stage(source: Source, bill_import: Import, scopes: list[LoadedScope]) -> None:
    """Makes the rows of `chargescope` that the loaded charges name; not published yet."""
    ChargeScope.objects.bulk_create(
        ChargeScope(
            pk=scope.id,
            source=source,
            bill_import=bill_import,
            billing_account_id=scope.billing_account_id,
            billing_period_start=scope.billing_period_start,
            billing_period_end=scope.billing_period_end,
            billing_month=scope.billing_month,
            delivery=source.delivery,
            rows=scope.rows,
            totals=totals_as_json(scope.totals),
        )
        for scope in scopes
    )


def publish(changes: list[Replacement]) -> None:
    """Moves the pointers: the old snapshots first, since one scope can have only one current."""
    old = [change.old.pk for change in changes if change.old is not None]
    ChargeScope.objects.filter(pk__in=old, state=ScopeState.CURRENT).update(
        state=ScopeState.SUPERSEDED
    )
    ChargeScope.objects.filter(pk__in=[change.new.id for change in changes]).update(
        state=ScopeState.CURRENT, published_at=Now()
    )
