"""What nobody owns in some runs, who might, and how much is allocated, tagged and traced. The one
place whose SQL joins charges with the groups that a run put them in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import connection

from allocation.models import AllocationRun
from allocation.organisation.targets import load_organisation
from allocation.rules.conditions import Facts
from allocation.rules.suggestions import Bucket, Charges, TracedCalls, Unowned, unowned_cost
from allocation.storage.copy_text import whole_month_plans
from allocation.values.money import exact_sum
from reports.queries.explain.run_variant import run_variant
from reports.queries.kept import kept
from reports.queries.spend_filter import Spend
from reports.readable import ratio
from reports.rows import fetch

TEAM_TAGS = ("team", "owner_team", "app_team")  # the tags by which the built-in rules find a team

# One row per bucket of AI spend and owner (a team, or the reason why there is none).
OWNERS = """
WITH shares AS (
    SELECT run_id, bucket, target_id,
        sum(CASE WHEN %(metric)s = 'billed_cost' THEN billed_cost ELSE effective_cost END) AS cost
    FROM allocated_cost
    WHERE run_id = ANY(%(runs)s) AND billing_month = ANY(%(months)s)
    GROUP BY 1, 2, 3
)
SELECT b.run_id, b.bucket, b.rule, b.method, b.split_key ->> 'untraced', t.team, t.reason,
    sum(shares.cost)
FROM shares
JOIN charge_bucket b ON b.run_id = shares.run_id AND b.bucket = shares.bucket
    AND b.ai_scope <> 'other'
JOIN allocation_target t ON t.id = shares.target_id
GROUP BY b.run_id, b.bucket, b.rule, b.method, b.split_key ->> 'untraced', t.team, t.reason
ORDER BY b.run_id, b.bucket, t.team COLLATE "C" NULLS LAST, t.reason COLLATE "C"
"""

# One row per source, distinct charge columns and variant of a run: whole snapshots where no rule
# tests single rows,
OF_SNAPSHOTS = """
    SELECT scope.source_id, c.dimension_id, 0::bigint AS variant, sum(c.charges)::bigint AS charges,
        sum(c.billed_cost) AS billed, sum(c.effective_cost) AS effective
    FROM scope_charges c JOIN allocation_chargescope scope ON scope.id = c.scope_id
    WHERE c.scope_id = ANY(%(scopes)s)
    GROUP BY 1, 2
"""
# else the rows themselves.
OF_ROWS = """
    SELECT scope.source_id, c.dimension_id, {variant} AS variant, count(*) AS charges,
        sum(c.billed_cost) AS billed, sum(c.effective_cost) AS effective
    FROM charge c JOIN allocation_chargescope scope ON scope.id = c.scope_id
    WHERE c.billing_month = %(month)s AND c.scope_id = ANY(%(scopes)s)
    GROUP BY 1, 2, 3
"""
# One row per bucket of AI spend and distinct charge columns in it.
CHARGES = """
SELECT m.run_id, m.bucket, source.name, sums.charges,
    CASE WHEN %(metric)s = 'billed_cost' THEN sums.billed ELSE sums.effective END,
    d.provider_name, d.service_name, d.sub_account_id, d.resource_id, d.resource_name,
        d.principal_id, d.tags
FROM ({sums}) AS sums
JOIN bucket_member m ON m.run_id = %(run)s AND m.source_id = sums.source_id
    AND m.dimension_id = sums.dimension_id
    AND m.variant = sums.variant
JOIN charge_bucket b ON b.run_id = m.run_id AND b.bucket = m.bucket AND b.ai_scope <> 'other'
JOIN allocation_source source ON source.id = m.source_id
JOIN allocation_chargedimension d ON d.id = m.dimension_id
ORDER BY m.bucket, m.dimension_id, m.variant
"""

# One row per project, service and team as told, over whole months of usage.
TRACES = """
SELECT d.project, d.service, d.team, sum(u.calls)
FROM usage_hourly u JOIN allocation_usagedimension d ON d.id = u.dimension_id
WHERE d.is_inference AND d.team IS NOT NULL AND (d.project IS NOT NULL OR d.service IS NOT NULL)
    AND u.hour >= %(first)s::date AND u.hour < (%(last)s::date + interval '1 month')
GROUP BY d.project, d.service, d.team
ORDER BY d.project COLLATE "C", d.service COLLATE "C", d.team COLLATE "C"
"""

# One row per run: charges of AI spend that have an owner for every part, and that rest on traces
# for some part.
COUNTED = """
SELECT coalesce(sum(g.charges), 0)::bigint,
    coalesce(sum(g.charges) FILTER (WHERE NOT owners.has_none), 0)::bigint,
    coalesce(sum(g.charges) FILTER (WHERE owners.is_traced), 0)::bigint
FROM charge_bucket b
JOIN charge_group g ON g.run_id = b.run_id AND g.bucket = b.bucket
JOIN (
    SELECT a.bucket, a.day, bool_or(t.reason IS NOT NULL) AS has_none,
        bool_or(a.evidence <= 2 AND a.charge_kind <> 'untraced') AS is_traced
    FROM allocated_cost a JOIN allocation_target t ON t.id = a.target_id
    WHERE a.run_id = ANY(%(runs)s) AND a.billing_month = ANY(%(months)s)
    GROUP BY a.bucket, a.day
) AS owners ON owners.bucket = g.bucket AND owners.day = g.day
WHERE b.run_id = ANY(%(runs)s) AND b.ai_scope <> 'other'
"""

# One row per run: cost of AI spend, with an owner, and on traces.
SPENT = """
SELECT coalesce(sum(cost), 0), coalesce(sum(cost) FILTER (WHERE reason IS NULL), 0),
    coalesce(sum(cost) FILTER (WHERE reason IS NULL AND evidence <= 2
        AND charge_kind <> 'untraced'), 0)
FROM (
    SELECT reason, evidence, charge_kind,
        CASE WHEN %(metric)s = 'billed_cost' THEN billed_cost ELSE effective_cost END AS cost
    FROM cost_daily WHERE run_id = ANY(%(runs)s) AND ai_scope <> 'other'
) AS spent
"""


@dataclass(frozen=True)
class Coverage:
    """One month's AI spend in one currency: all of it, and what of it is allocated, tagged and
    traced.

    A charge counts as allocated where every part of it has an owner, as traced where some part
    rests on traces, as tagged where it carries a team tag with a value.
    """

    month: date
    charges: int
    charges_allocated: int
    charges_tagged: int
    charges_traced: int
    cost: Decimal
    cost_allocated: Decimal
    cost_tagged: Decimal
    cost_traced: Decimal

    def share(self, what: str, by: str) -> Decimal | None:
        """`what`: allocated, tagged or traced; `by`: charges or cost. None where there is nothing."""
        return ratio(Decimal(getattr(self, f"{by}_{what}")), Decimal(getattr(self, by)))


def unowned(*, spend: Spend, months: Sequence[date], currency: str) -> Unowned:
    """Unowned AI cost of some months' runs, with suggestions; nothing for a reader of some teams
    only.

    The runs share the currency. A whole organisation's figures: charges without an owner belong to
    no team.
    """
    if not spend.scope.is_everything or not spend.runs:
        return Unowned((), ())
    return _unowned(
        spend=spend, months=tuple(months), currency=currency, traces=traced_calls(months=months)
    )


@kept
def _unowned(
    *, spend: Spend, months: tuple[date, ...], currency: str, traces: tuple[TracedCalls, ...]
) -> Unowned:
    buckets, charges = buckets_of(spend=spend, months=months), charges_of(spend=spend)
    return unowned_cost(buckets=buckets, charges=charges, traces=traces, currency=currency)


def buckets_of(*, spend: Spend, months: Sequence[date]) -> list[Bucket]:
    found: dict[tuple[int, int], Bucket] = {}
    for run, number, rule, method, untraced, team, reason, cost in _rows(OWNERS, spend, months):
        bucket = found.get((run, number))
        if bucket is None:
            bucket = found[run, number] = Bucket((run, number), rule, method, untraced, {}, {})
        owners: dict[str, Decimal] = bucket.teams if reason is None else bucket.reasons  # type: ignore[assignment]
        name = team if reason is None else reason
        owners[name] = exact_sum([owners.get(name, Decimal(0)), cost])
    return list(found.values())


def charges_of(*, spend: Spend) -> list[Charges]:
    """Charges of AI spend by bucket and distinct columns; each of them in one bucket."""
    runs = AllocationRun.objects.filter(pk__in=spend.runs).select_related("rule_set").order_by("pk")
    return [_charges(*row) for run in runs for row in _charges_of_run(run, spend.metric)]


def _charges_of_run(run: AllocationRun, metric: str) -> list[Any]:
    scopes: list[int] = run.inputs.get("scopes", [])
    variant = run_variant(run, scopes)
    sums = OF_ROWS.replace("{variant}", variant) if variant else OF_SNAPSHOTS
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute(
            CHARGES.replace("{sums}", sums),
            {"run": run.pk, "month": run.billing_month, "scopes": scopes, "metric": metric},
        )
        return list(cursor.fetchall())


def _charges(
    run: int, bucket: int, source: str, charges: int, cost: Decimal, *about: Any
) -> Charges:
    provider, service, sub_account, resource_id, resource_name, principal, tags = about
    return Charges(
        bucket=(run, bucket),
        source=source,
        charges=charges,
        cost=cost,
        provider=provider,
        service=service,
        sub_account=sub_account,
        resource_id=resource_id,
        resource_name=resource_name,
        principal=principal,
        tags=Facts({"tags": json.loads(tags) if tags else None}).tags,
    )


def traced_calls(*, months: Sequence[date]) -> tuple[TracedCalls, ...]:
    """Calls of teams that the tree knows, over the months."""
    organisation = load_organisation()
    rows = fetch(TracedCalls, TRACES, {"first": min(months), "last": max(months)})
    known = [(row, organisation.team(row.team)) for row in rows]
    return tuple(
        TracedCalls(row.project, row.service, team, row.calls) for row, team in known if team
    )


def coverage(*, spend: Spend, month: date) -> Coverage | None:
    """One month's coverage; None where it has no run in this currency, or for a reader of some
    teams only.
    """
    if not spend.scope.is_everything or not spend.runs:
        return None
    return _coverage(spend=spend, month=month)


@kept
def _coverage(*, spend: Spend, month: date) -> Coverage:
    charges = charges_of(spend=spend)
    tagged = [one for one in charges if any(tag in one.tags for tag in TEAM_TAGS)]
    ((counted, counted_allocated, counted_traced),) = _rows(COUNTED, spend, [month])
    ((cost, cost_allocated, cost_traced),) = _rows(SPENT, spend, [month])
    return Coverage(
        month=month,
        charges=counted,
        charges_allocated=counted_allocated,
        charges_tagged=sum(one.charges for one in tagged),
        charges_traced=counted_traced,
        cost=cost,
        cost_allocated=cost_allocated,
        cost_tagged=exact_sum(one.cost for one in tagged),
        cost_traced=cost_traced,
    )


def _rows(sql: str, spend: Spend, months: Sequence[date]) -> list[Any]:
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute(
            sql, {"runs": list(spend.runs), "months": list(months), "metric": spend.metric}
        )
        return list(cursor.fetchall())
