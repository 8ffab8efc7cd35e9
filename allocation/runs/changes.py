"""What a month's allocation would see differently from what it once saw: by the inputs that were
kept, in words.

Traces change all the time and are not asked for; rules have versions of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection

from allocation.catalogue.own_entries import own_catalogue, sha256_of
from allocation.charges.groups import pinned_scopes
from allocation.models import AllocationRun, ChargeScope, PriceVersion, Source
from allocation.organisation.stored import load_organisation
from allocation.rules.rule_sets import rule_set_for
from allocation.usage.driver_data import DRIVER_KINDS, Look, fingerprint_now

MARGIN = timedelta(
    hours=1
)  # that a delivery may have been under way, or a run reading, when the other was noted


@dataclass(frozen=True)
class StaleReason:
    """One reason why a run no longer says what a new one would. `days` None: it can move any day of
    the month.
    """

    cause: str
    days: tuple[date, ...] | None


SCOPE_DAYS = """
-- One row per snapshot and UTC day on which its charges of the currency start; of all currencies
-- where it is NULL.
SELECT c.scope_id, (c.charge_period_start AT TIME ZONE 'UTC')::date
FROM charge c JOIN allocation_chargedimension d ON d.id = c.dimension_id
WHERE c.billing_month = %(month)s AND c.scope_id = ANY(%(scopes)s)
    AND (%(currency)s::text IS NULL OR d.billing_currency = %(currency)s)
GROUP BY 1, 2
ORDER BY 1, 2
"""


def bill_changes(
    *, month: date, before: Collection[int], currency: str | None = None
) -> list[StaleReason]:
    """Snapshots that came or went since those `before`, with the days of their charges, in one
    currency or in any.
    """
    now = set(pinned_scopes(month))
    changed = sorted(set(before) ^ now)
    if not changed:
        return []
    with connection.cursor() as cursor:
        cursor.execute(SCOPE_DAYS, {"month": month, "scopes": changed, "currency": currency})
        days: dict[int, list[date]] = {}
        for scope, day in cursor.fetchall():
            days.setdefault(scope, []).append(day)
    return [StaleReason(cause, tuple(days[scope])) for scope, cause in _causes(days, now).items()]


def bill_causes(*, month: date, before: Collection[int]) -> list[str]:
    """The same in words, without a look at the charges."""
    now = set(pinned_scopes(month))
    return list(_causes(set(before) ^ now, now).values())


def _causes(scopes: Collection[int], now: Collection[int]) -> dict[int, str]:
    named = (
        ChargeScope.objects.filter(pk__in=scopes)
        .select_related("bill_import", "source")
        .order_by("pk")
    )
    return {
        scope.pk: f"import {scope.bill_import_id} of {scope.source.name} "
        + ("was loaded" if scope.pk in now else "was replaced or withdrawn")
        for scope in named
    }


def setting_changes(inputs: Mapping[str, Any], *, month: date, since: datetime) -> list[str]:
    """Tree, price list, catalogue, driver data and source settings that differ from the inputs kept
    at `since`.
    """
    causes = []
    if load_organisation().digest() != inputs.get("organisation_sha256"):
        causes.append("the organisation changed")
    price_version = PriceVersion.objects.order_by("-id").values_list("id", flat=True).first()
    if price_version != inputs.get("price_version"):
        causes.append("a newer price list was imported")
    if own_catalogue().sha256 != inputs.get("catalogue", sha256_of(())):
        causes.append("the catalogue changed")
    if driver_data_changed(inputs, month=month, since=since):
        causes.append("usage data changed")
    known = inputs.get("sources", {})
    for source in Source.objects.filter(pk__in=[int(pk) for pk in known]).order_by("name"):
        if known[str(source.pk)] != [source.name, source.project_match, source.untraced]:
            causes.append(f"the settings of {source.name} changed")
    return causes


DELIVERED = """
-- Whether a file of driver data was loaded since, by one import or by any, that changed something
-- of the months.
SELECT EXISTS (
    SELECT FROM allocation_import AS delivered CROSS JOIN jsonb_array_elements(delivered.changes)
        AS change
    WHERE delivered.kind = ANY(%(kinds)s) AND delivered.status = 'loaded'
        AND delivered.finished_at > %(since)s
        AND (%(import)s::bigint IS NULL OR delivered.id = %(import)s)
        AND change->>'first_month' <= %(last)s AND coalesce(change->>'last_month',
            '9999-12') >= %(first)s)
"""


def driver_data_changed(
    inputs: Mapping[str, Any], *, month: date, since: datetime, by_import: int | None = None
) -> bool:
    """Whether a new run of the month would see other driver data than one with these inputs saw,
    begun at `since`.

    Only where something was delivered since, by the one import or by any, is it read again and
    compared: the same numbers delivered again, and data that the run does not look at, change
    nothing. A run that did not keep what it looked at is taken to have looked at whatever was
    delivered.
    """
    kept = inputs.get("drivers_look")
    look = Look.from_json(kept) if kept else None
    values: dict[str, Any] = {
        "kinds": [str(kind) for kind in DRIVER_KINDS],
        "since": since - MARGIN if look else since,
        "import": by_import,
        "first": f"{min(look.start, month) if look else month:%Y-%m}",
        "last": f"{max(look.end, month) if look else month:%Y-%m}",
    }
    with connection.cursor() as cursor:
        cursor.execute(DELIVERED, values)
        was_delivered: bool = cursor.fetchone()[0]
    return was_delivered and (look is None or fingerprint_now(look) != inputs.get("drivers_sha256"))


def changes_since_runs(runs: Iterable[int]) -> list[StaleReason]:
    """The same of several runs, by id, in the order in which they were made."""
    found = AllocationRun.objects.filter(pk__in=runs).order_by("pk")
    return [change for run in found for change in changes_since(run)]


def changes_since(run: AllocationRun) -> list[StaleReason]:
    """Everything that a new run of the month would see differently, but for traces, which change
    all the time.

    Bills first, with the days of the charges that came or went; then rules, tree, prices, driver
    data and source settings.
    """
    found = bill_changes(
        month=run.billing_month, before=run.inputs.get("scopes", []), currency=run.currency
    )
    causes = setting_changes(run.inputs, month=run.billing_month, since=run.started_at)
    rule_set = rule_set_for(run.billing_month)
    if rule_set.content_sha256 != run.inputs.get("rules_sha256"):
        causes.insert(0, f"rule set {rule_set.number} is in force")
    return [*found, *(StaleReason(cause, None) for cause in causes)]
