"""What nobody owns in some runs, who might, and how much is allocated, tagged and traced."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import connection

from allocation.models import AllocationRun, ChargeKind
from allocation.organisation.stored import load_organisation
from allocation.rules.conditions import Facts
from allocation.rules.evidence import Charges, SplitKeyCost, TracedCalls
from allocation.rules.suggestions import Unowned, unowned_cost
from allocation.storage.rows import whole_month_plans
from allocation.values.money import exact_sum
from reports.asking import cached_by_run, fetch
from reports.cost_question.answers import costs
from reports.cost_question.question import ATTRIBUTED, CostQuestion, attribution, cost_of
from reports.queries.explain.variants import NO_VARIANT, run_scopes, run_variant
from reports.readable import ratio

ON_TRACES = 2  # the weakest evidence that rests on traces
TEAM_TAGS = ("team", "owner_team", "app_team")  # the tags by which the built-in rules find a team

# One row per split key of AI spend and owner (a team, or the reason why there is none).
OWNERS = f"""
WITH shares AS (
    SELECT run_id, split_key_id, target_id, sum({cost_of("a")}) AS cost
    FROM allocated_cost AS a
    WHERE run_id = ANY(%(runs)s) AND billing_month = ANY(%(months)s)
    GROUP BY 1, 2, 3
)
SELECT b.run_id, b.split_key_id, b.rule, b.method, b.split_key ->> 'untraced', t.team, t.reason,
    sum(shares.cost)
FROM shares
JOIN charge_split_key b ON b.run_id = shares.run_id AND b.split_key_id = shares.split_key_id
    AND b.ai_scope <> 'other'
JOIN allocation_target t ON t.id = shares.target_id
GROUP BY b.run_id, b.split_key_id, b.rule, b.method, b.split_key ->> 'untraced', t.team, t.reason
ORDER BY b.run_id, b.split_key_id, t.team COLLATE "C" NULLS LAST, t.reason COLLATE "C"
"""  # noqa: S608  no value is written into it

# One row per source, distinct charge columns and variant of a run: whole snapshots where no rule
# tests single rows,
OF_SNAPSHOTS = """
    SELECT scope.source_id, c.dimension_id, 0::bigint AS variant, sum(c.charges)::bigint AS charges,
        sum(c.billed_cost) AS billed_cost, sum(c.effective_cost) AS effective_cost
    FROM scope_charges c JOIN allocation_chargescope scope ON scope.id = c.scope_id
    WHERE c.scope_id = ANY(%(scopes)s)
    GROUP BY 1, 2
"""
# else the rows themselves.
OF_ROWS = """
    SELECT scope.source_id, c.dimension_id, {variant} AS variant, count(*) AS charges,
        sum(c.billed_cost) AS billed_cost, sum(c.effective_cost) AS effective_cost
    FROM charge c JOIN allocation_chargescope scope ON scope.id = c.scope_id
    WHERE c.billing_month = %(month)s AND c.scope_id = ANY(%(scopes)s)
    GROUP BY 1, 2, 3
"""
OF_AI = """
FROM ({sums}) AS sums
JOIN charge_to_split_key m ON m.run_id = %(run)s AND m.source_id = sums.source_id
    AND m.dimension_id = sums.dimension_id AND m.variant = sums.variant
JOIN charge_split_key b ON b.run_id = m.run_id AND b.split_key_id = m.split_key_id
    AND b.ai_scope <> 'other'
JOIN allocation_source source ON source.id = m.source_id
JOIN allocation_chargedimension d ON d.id = m.dimension_id
"""
# One row per split key of AI spend and distinct charge columns in it.
CHARGES = f"""
SELECT m.run_id, m.split_key_id, source.name, sums.charges, {{cost}},
    d.provider_name, d.service_name, d.sub_account_id, d.resource_id, d.resource_name,
    d.principal_id, d.tags
{OF_AI}
ORDER BY m.split_key_id, m.dimension_id, m.variant
"""
# One row per source of AI spend, with and without a region.
REGIONS = f"""
SELECT source.name, coalesce(d.region_id, d.region_name) IS NOT NULL, sum({{cost}})
{OF_AI}
GROUP BY 1, 2
ORDER BY 1, 2
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
COUNTED = f"""
SELECT coalesce(sum(g.charges), 0)::bigint,
    coalesce(sum(g.charges) FILTER (WHERE NOT owners.has_none), 0)::bigint,
    coalesce(sum(g.charges) FILTER (WHERE owners.is_traced), 0)::bigint,
    coalesce(sum(g.charges) FILTER (WHERE owners.is_attributed), 0)::bigint
FROM charge_split_key b
JOIN charge_group g ON g.run_id = b.run_id AND g.split_key_id = b.split_key_id
JOIN (
    SELECT a.split_key_id, a.day, bool_or(t.reason IS NOT NULL) AS has_none,
        bool_or(a.evidence <= 2 AND a.charge_kind <> 'untraced') AS is_traced,
        bool_and({attribution("a")} = '{ATTRIBUTED}') AS is_attributed
    FROM allocated_cost a JOIN allocation_target t ON t.id = a.target_id
    WHERE a.run_id = ANY(%(runs)s) AND a.billing_month = ANY(%(months)s)
    GROUP BY a.split_key_id, a.day
) AS owners ON owners.split_key_id = g.split_key_id AND owners.day = g.day
WHERE b.run_id = ANY(%(runs)s) AND b.ai_scope <> 'other'
"""  # noqa: S608  no value is written into it


@dataclass(frozen=True)
class SpendCoverage:
    """One month's AI spend in one currency: all of it, and what of it is allocated, attributed,
    tagged and traced.

    A charge counts as allocated or attributed where every part of it is, as traced where some part
    rests on traces, as tagged where it carries a team tag with a value.
    """

    month: date
    charges: int
    charges_allocated: int
    charges_attributed: int
    charges_tagged: int
    charges_traced: int
    cost: Decimal
    cost_allocated: Decimal
    cost_attributed: Decimal
    cost_tagged: Decimal
    cost_traced: Decimal

    def share(self, what: str, by: str) -> Decimal | None:
        """`what`: allocated, attributed, tagged or traced; `by`: charges or cost. None where there
        is none.
        """
        return ratio(Decimal(getattr(self, f"{by}_{what}")), Decimal(getattr(self, by)))


def unowned(*, question: CostQuestion, months: Sequence[date], currency: str) -> Unowned:
    """Unowned AI cost of some months' runs, with suggestions; nothing for a reader of some teams
    only.

    The runs share the currency. A whole organisation's figures: charges without an owner belong to
    no team.
    """
    if not question.scope.is_everything or not question.runs:
        return Unowned((), ())
    return _unowned(
        question=question,
        months=tuple(months),
        currency=currency,
        traces=traced_calls(months=months),
    )


@cached_by_run
def _unowned(
    *,
    question: CostQuestion,
    months: tuple[date, ...],
    currency: str,
    traces: tuple[TracedCalls, ...],
) -> Unowned:
    split_keys, charges = (
        split_keys_of(question=question, months=months),
        charges_of(question=question),
    )
    return unowned_cost(split_keys=split_keys, charges=charges, traces=traces, currency=currency)


def split_keys_of(*, question: CostQuestion, months: Sequence[date]) -> list[SplitKeyCost]:
    found: dict[tuple[int, int], SplitKeyCost] = {}
    for run, number, rule, method, untraced, team, reason, cost in _rows(OWNERS, question, months):
        split_key = found.get((run, number))
        if split_key is None:
            split_key = found[run, number] = SplitKeyCost(
                (run, number), rule, method, untraced, {}, {}
            )
        owners: dict[str, Decimal] = split_key.teams if reason is None else split_key.reasons  # type: ignore[assignment]
        name = team if reason is None else reason
        owners[name] = exact_sum([owners.get(name, Decimal(0)), cost])
    return list(found.values())


def charges_of(*, question: CostQuestion) -> list[Charges]:
    """Charges of AI spend by split key and distinct columns; each of them in one split key."""
    runs = (
        AllocationRun.objects.filter(pk__in=question.run_ids)
        .select_related("rule_set")
        .order_by("pk")
    )
    return [_charges(*row) for run in runs for row in _charges_of_run(run, question.metric)]


def sums_of(variant: str) -> str:
    """SQL for a run's charges by source, distinct columns and variant."""
    return OF_SNAPSHOTS if variant == NO_VARIANT else OF_ROWS.format(variant=variant)


def region_costs(run: AllocationRun, metric: str) -> list[Any]:
    """Source, whether its charges have a region, and their cost."""
    return _charges_of_run(run, metric, REGIONS)


def _charges_of_run(run: AllocationRun, metric: str, sql: str = CHARGES) -> list[Any]:
    scopes = run_scopes(run)
    variant = run_variant(run, scopes)
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute(
            sql.format(sums=sums_of(variant), cost=cost_of("sums")),
            {"run": run.pk, "month": run.billing_month, "scopes": scopes, "metric": metric},
        )
        return list(cursor.fetchall())


def _charges(
    run: int, split_key_id: int, source: str, charges: int, cost: Decimal, *about: Any
) -> Charges:
    provider, service, sub_account, resource_id, resource_name, principal, tags = about
    return Charges(
        split_key=(run, split_key_id),
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


def coverage(*, question: CostQuestion, month: date) -> SpendCoverage | None:
    """One month's coverage; None where it has no run in this currency, or for a reader of some
    teams only.
    """
    if not question.scope.is_everything or not question.runs:
        return None
    return _coverage(question=question, month=month)


@cached_by_run
def _coverage(*, question: CostQuestion, month: date) -> SpendCoverage:
    charges = charges_of(question=question)
    tagged = [one for one in charges if any(tag in one.tags for tag in TEAM_TAGS)]
    ((counted, counted_allocated, counted_traced, counted_attributed),) = _rows(
        COUNTED, question, [month]
    )
    asked = question.by("reason", "evidence", "charge_kind", "attribution")
    spent = [(*row.key, row.now) for row in costs(asked)]
    owned = [each for each in spent if each[0] is None]
    return SpendCoverage(
        month=month,
        charges=counted,
        charges_allocated=counted_allocated,
        charges_attributed=counted_attributed,
        charges_tagged=sum(one.charges for one in tagged),
        charges_traced=counted_traced,
        cost=exact_sum(cost for *_, cost in spent),
        cost_allocated=exact_sum(cost for *_, cost in owned),
        cost_attributed=exact_sum(cost for *_, part, cost in spent if part == ATTRIBUTED),
        cost_tagged=exact_sum(one.cost for one in tagged),
        cost_traced=exact_sum(
            cost
            for _, evidence, kind, _, cost in owned
            if evidence <= ON_TRACES and kind != ChargeKind.UNTRACED
        ),
    )


def _rows(sql: str, question: CostQuestion, months: Sequence[date]) -> list[Any]:
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute(
            sql, {"runs": question.run_ids, "months": list(months), "metric": question.metric}
        )
        return list(cursor.fetchall())
