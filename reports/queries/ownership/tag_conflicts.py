"""Accounts and resources whose tags name one team while everything else about them is another's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import connection

from allocation.organisation.stored import load_organisation
from allocation.storage.rows import whole_month_plans
from reports.asking import TeamScope

MOST = Decimal("0.8")  # of what usage shows, from which one team is taken to be the account's
LEAST = Decimal("0.1")  # of it, up to which the tagged team is taken to be wrong

BY_USAGE, BY_OTHER_DAYS = "usage", "other days"


@dataclass(frozen=True)
class TagConflict:
    """`effective_cost` is what carries the tag in question, on the days from `first_day` to
    `last_day`.

    `evidence`, of an account: who traces it, or whose identities the provider reports; of a
    resource: how it is tagged on most of its days. `share` is the likely team's part of that
    evidence.
    """

    source: str
    sub_account: str | None
    sub_account_name: str | None
    resource_name: str | None  # None: all model calls of the account
    tagged_team: str
    likely_team: str
    evidence: str
    share: Decimal
    currency: str
    effective_cost: Decimal
    first_day: date
    last_day: date


# One row per source, account, team that its tags name and team that its usage shows (evidence 1 to
# 3), of current runs.
ACCOUNTS_SQL = """
WITH current AS (
    SELECT id, currency FROM allocation_allocationrun WHERE is_current AND billing_month = %(month)s
), tagged AS (
    SELECT current.currency, b.run_id, b.split_key_id, b.source_id,
        b.split_key->>'sub_account' AS account,
        b.split_key->'owner'->>'team' AS team
    FROM current JOIN charge_split_key b ON b.run_id = current.id
    WHERE b.method IN ('traced_usage', 'provider_usage') AND b.split_key->'owner'->>'team' IS NOT
        NULL
        AND b.split_key->>'sub_account' IS NOT NULL
), used AS (
    SELECT a.run_id, a.split_key_id, t.team, sum(a.effective_cost) AS cost, min(a.day) AS first_day,
        max(a.day) AS last_day
    FROM allocated_cost a JOIN allocation_target t ON t.id = a.target_id
    WHERE a.billing_month = %(month)s AND a.run_id IN (SELECT id FROM current) AND a.evidence <= 3
        AND t.team IS NOT NULL
    GROUP BY 1, 2, 3
), named AS (
    SELECT m.source_id, d.sub_account_id AS account, max(d.sub_account_name) AS name
    FROM charge_to_split_key m JOIN allocation_chargedimension d ON d.id = m.dimension_id
    WHERE m.run_id IN (SELECT id FROM current)
    GROUP BY 1, 2
)
SELECT source.name, tagged.account, max(named.name), tagged.team, used.team, tagged.currency,
    sum(used.cost),
    min(used.first_day), max(used.last_day)
FROM tagged
JOIN used ON used.run_id = tagged.run_id AND used.split_key_id = tagged.split_key_id
JOIN allocation_source source ON source.id = tagged.source_id
LEFT JOIN named ON named.source_id = tagged.source_id AND named.account = tagged.account
GROUP BY 1, 2, 4, 5, 6
"""

# One row per resource of the month's published charges and team that its tags name, with days and
# cost under that tag.
RESOURCES_SQL = """
WITH tagged AS (
    SELECT * FROM allocation_chargedimension WHERE resource_id IS NOT NULL
        AND tags->>'team' IS NOT NULL
), daily AS (
    SELECT c.scope_id, c.dimension_id, (c.charge_period_start AT TIME ZONE 'UTC')::date AS day,
        sum(c.effective_cost) AS cost
    FROM charge c JOIN tagged ON tagged.id = c.dimension_id
    WHERE c.billing_month = %(month)s
    GROUP BY 1, 2, 3
)
SELECT source.name, d.sub_account_id, max(d.sub_account_name), d.resource_id, max(d.resource_name),
    d.tags->>'team',
    d.billing_currency, count(DISTINCT daily.day), sum(daily.cost), min(daily.day), max(daily.day)
FROM daily
JOIN allocation_chargescope s ON s.id = daily.scope_id AND s.state = 'current'
JOIN allocation_source source ON source.id = s.source_id
JOIN tagged d ON d.id = daily.dimension_id
GROUP BY 1, 2, 4, 6, 7
"""


def tag_conflicts(*, month: date, scope: TeamScope) -> list[TagConflict]:
    """Every conflict of a billing month, most cost first; amounts are in the row's currency.

    A reader of some teams sees those between their own teams only: a conflict tells one team's cost
    to the other.
    """
    team_of = load_organisation().team
    found = [
        conflict
        for conflict in (*_accounts(month), *_resources(month))
        if team_of(conflict.tagged_team) != team_of(conflict.likely_team)
        and scope.allows(team_of(conflict.tagged_team))
        and scope.allows(team_of(conflict.likely_team))
    ]
    return sorted(
        found, key=lambda row: (-abs(row.effective_cost), row.source, row.resource_name or "")
    )


def _accounts(month: date) -> list[TagConflict]:
    team_of = load_organisation().team
    groups: dict[tuple[str, str, str | None, str, str], list[tuple[str, Decimal, date, date]]] = {}
    for source, account, name, tagged, team, currency, cost, first, last in _rows(
        ACCOUNTS_SQL, month
    ):
        groups.setdefault((source, account, name, tagged, currency), []).append(
            (team, cost, first, last)
        )
    found = []
    for (source, account, name, tagged, currency), shares in groups.items():
        whole = sum((cost for _, cost, _, _ in shares), Decimal(0))
        own = sum((cost for team, cost, _, _ in shares if team == team_of(tagged)), Decimal(0))
        likely, most, _, _ = max(shares, key=lambda share: (share[1], share[0]))
        if whole > 0 and most >= MOST * whole and own <= LEAST * whole:
            found.append(
                TagConflict(
                    source=source,
                    sub_account=account,
                    sub_account_name=name,
                    resource_name=None,
                    tagged_team=tagged,
                    likely_team=likely,
                    evidence=BY_USAGE,
                    share=most / whole,
                    currency=currency,
                    effective_cost=whole,
                    first_day=min(first for _, _, first, _ in shares),
                    last_day=max(last for _, _, _, last in shares),
                )
            )
    return found


def _resources(month: date) -> list[TagConflict]:
    """Resources tagged with one team on most of their days and with another on the rest."""
    groups: dict[tuple[str, str | None, str | None, str, str | None, str], list[_TaggedDays]] = {}
    for source, account, name, resource, resource_name, team, currency, *measures in _rows(
        RESOURCES_SQL, month
    ):
        key = (source, account, name, resource, resource_name, currency)
        groups.setdefault(key, []).append(_TaggedDays(team, *measures))
    found = []
    for (source, account, name, resource, resource_name, currency), tagged in groups.items():
        usual = max(tagged, key=lambda days: (days.days, days.team))
        for days in tagged:
            if days.days < usual.days:
                found.append(
                    TagConflict(
                        source=source,
                        sub_account=account,
                        sub_account_name=name,
                        resource_name=resource_name or resource,
                        tagged_team=days.team,
                        likely_team=usual.team,
                        evidence=BY_OTHER_DAYS,
                        share=Decimal(usual.days) / sum(each.days for each in tagged),
                        currency=currency,
                        effective_cost=days.effective_cost,
                        first_day=days.first_day,
                        last_day=days.last_day,
                    )
                )
    return found


@dataclass(frozen=True)
class _TaggedDays:
    team: str
    days: int
    effective_cost: Decimal
    first_day: date
    last_day: date


def _rows(sql: str, month: date) -> list[tuple[Any, ...]]:
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute(sql, {"month": month})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
