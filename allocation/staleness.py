"""What has changed since a run was made: its causes in words, and the charge days each can move."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection

from allocation.catalogue_entries import own_catalogue, sha256_of
from allocation.charges import pinned_scopes
from allocation.models import AllocationRun, ChargeScope, PriceVersion, Source
from allocation.rule_sets import rule_set_for
from allocation.targets import load_organisation


@dataclass(frozen=True)
class Change:
    """One reason why a run no longer says what a new one would. `days` None: it can move any day of the month."""

    cause: str
    days: tuple[date, ...] | None


SCOPE_DAYS = """
-- One row per snapshot and UTC day on which its charges of the run's currency start.
SELECT c.scope_id, (c.charge_period_start AT TIME ZONE 'UTC')::date
FROM charge c JOIN allocation_chargedimension d ON d.id = c.dimension_id
WHERE c.billing_month = %(month)s AND c.scope_id = ANY(%(scopes)s) AND d.billing_currency = %(currency)s
GROUP BY 1, 2
ORDER BY 1, 2
"""


def changes_since(run: AllocationRun) -> list[Change]:
    """Everything that a new run of the month would see differently, but for traces, which change all the time.

    Bills first, with the days of the charges that came or went; then rules, tree, prices and source settings.
    """
    return [*_bills(run), *_settings(run.billing_month, run.inputs)]


def _bills(run: AllocationRun) -> list[Change]:
    before, now = set(run.inputs.get("scopes", [])), set(pinned_scopes(run.billing_month))
    if before == now:
        return []
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"month": run.billing_month, "scopes": sorted(before ^ now), "currency": run.currency}
        cursor.execute(SCOPE_DAYS, values)
        days: dict[int, list[date]] = {}
        for scope, day in cursor.fetchall():
            days.setdefault(scope, []).append(day)
    named = ChargeScope.objects.filter(pk__in=days).select_related("bill_import", "source").order_by("pk")
    return [
        Change(
            f"import {scope.bill_import_id} of {scope.source.name} "
            + ("was loaded" if scope.pk in now else "was replaced or withdrawn"),
            tuple(days[scope.pk]),
        )
        for scope in named
    ]


def _settings(month: date, inputs: dict[str, Any]) -> list[Change]:
    causes = []
    rule_set = rule_set_for(month)
    if rule_set.content_sha256 != inputs.get("rules_sha256"):
        causes.append(f"rule set {rule_set.number} is in force")
    if load_organisation().digest() != inputs.get("organisation_sha256"):
        causes.append("the organisation changed")
    price_version = PriceVersion.objects.order_by("-id").values_list("id", flat=True).first()
    if price_version != inputs.get("price_version"):
        causes.append("a newer price list was imported")
    if own_catalogue().sha256 != inputs.get("catalogue", sha256_of(())):
        causes.append("the catalogue changed")
    known = inputs.get("sources", {})
    for source in Source.objects.filter(pk__in=[int(pk) for pk in known]).order_by("name"):
        if known[str(source.pk)] != [source.name, source.project_match, source.untraced]:
            causes.append(f"the settings of {source.name} changed")
    return [Change(cause, None) for cause in causes]
