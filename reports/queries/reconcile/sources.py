"""What was imported for billing months: per source its bills, rows, rejected rows and loaded
totals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from django.db import connection

from reports.queries.kept import kept
from reports.queries.spend_filter import Spend
from reports.scope import TeamScope

# One row per source and currency with a current snapshot in the months; totals as kept when it was
# loaded.
LOADED = """
SELECT source.name, total ->> 'currency' AS currency, count(DISTINCT scope.id), sum(scope.rows),
    coalesce((SELECT sum(rows_rejected) FROM allocation_import AS delivered
        WHERE delivered.id = ANY(array_agg(
        DISTINCT scope.bill_import_id))), 0),
    sum((total ->> %(metric)s)::numeric), max(scope.published_at)
FROM allocation_chargescope AS scope
JOIN allocation_source AS source ON source.id = scope.source_id
CROSS JOIN LATERAL jsonb_array_elements(scope.totals) AS total
WHERE scope.state = 'current' AND scope.billing_month = ANY(%(months)s)
GROUP BY source.name, total ->> 'currency'
ORDER BY source.name, currency
"""

# One row per team and day of some runs, and whether it is of those that are asked about now.
TEAM_DAYS = """
SELECT team, day, sum(CASE %(metric)s WHEN 'billed_cost' THEN billed_cost ELSE effective_cost END),
    run_id = ANY(%(runs_now)s) AS is_now
FROM cost_daily
WHERE run_id = ANY(%(runs)s)
    AND (run_id = ANY(%(runs_now)s) OR %(before_until)s::date IS NULL OR day < %(before_until)s)
    AND (%(teams)s::text[] IS NULL OR team = ANY(%(teams)s))
GROUP BY team, day, run_id = ANY(%(runs_now)s)
"""

# One row per cost centre (and one without); a team belongs where it stood on the charge day.
COST_CENTERS = """
SELECT center.code, center.name, coalesce(since.mode, center.mode),
    costs.team IS NULL AS is_unallocated,
    coalesce(sum(costs.cost) FILTER (WHERE costs.is_now), 0),
    coalesce(sum(costs.cost) FILTER (WHERE NOT costs.is_now), 0)
FROM unnest(%(teams)s::text[], %(days)s::date[], %(costs)s::numeric[], %(are_now)s::boolean[])
    AS costs (team, day, cost, is_now)
LEFT JOIN allocation_team AS team ON team.slug = costs.team
LEFT JOIN team_placement_period AS placed ON placed.team_id = team.id
    AND placed.valid_from <= costs.day AND (placed.valid_to IS NULL OR placed.valid_to > costs.day)
LEFT JOIN allocation_costcenter AS center ON center.id = placed.cost_center_id
LEFT JOIN LATERAL (
    SELECT later.mode FROM allocation_costcenterplacement AS later
    WHERE later.cost_center_id = center.id AND later.valid_from <= %(mode_on)s
    ORDER BY later.valid_from DESC LIMIT 1
) AS since ON true
GROUP BY center.code, center.name, coalesce(since.mode, center.mode), costs.team IS NULL
ORDER BY 5 DESC, center.code
"""


@dataclass(frozen=True)
class LoadedSource:
    source: str
    currency: str
    bills: int
    rows: int
    rejected: int
    cost: Decimal
    published_at: datetime | None


@dataclass(frozen=True)
class CostCenterSpend:
    """`code` None: no owner (unallocated), or a team without a cost centre."""

    code: str | None
    name: str | None
    mode: str | None
    is_unallocated: bool
    now: Decimal
    before: Decimal


def loaded_sources(
    *, months: Sequence[date], currency: str, metric: str, scope: TeamScope
) -> list[LoadedSource]:
    """In one currency (all, where it is ""). Whole bills, so nothing for a reader who sees only
    some teams.
    """
    if not scope.is_everything:
        return []
    with connection.cursor() as cursor:
        cursor.execute(LOADED, {"months": list(months), "metric": metric})
        loaded = [LoadedSource(*row) for row in cursor.fetchall()]
    return [source for source in loaded if source.currency == currency or not currency]


def cost_centers(
    *, spend: Spend, spend_before: Spend, before_until: date | None, mode_on: date
) -> list[CostCenterSpend]:
    """Everything in the runs, not only AI, so that the lines make the bills' total. Largest first.

    Modes are those of the day `mode_on`. `before_until` cuts the compared runs, days before it
    only, for a month that is still running. Costs of a run are kept; where a team stands may be
    edited any time, so it is read anew.
    """
    both = replace(
        spend,
        runs=spend.runs + spend_before.runs,
        run_hashes=spend.run_hashes + spend_before.run_hashes if spend.is_final else (),
    )
    found = team_days(spend=both, runs_now=spend.runs, before_until=before_until)
    teams, days, costs, are_now = zip(*found, strict=True) if found else ((), (), (), ())
    with connection.cursor() as cursor:
        cursor.execute(
            COST_CENTERS,
            {
                "teams": list(teams),
                "days": list(days),
                "costs": list(costs),
                "are_now": list(are_now),
                "mode_on": mode_on,
            },
        )
        return [CostCenterSpend(*row) for row in cursor.fetchall()]


@kept
def team_days(
    *, spend: Spend, runs_now: tuple[int, ...], before_until: date | None
) -> list[tuple[str | None, date, Decimal, bool]]:
    """(team, day, cost, is now) of the runs, AI or not; of runs that are not now only days before
    `before_until`.
    """
    with connection.cursor() as cursor:
        values = {**spend.bound(), "runs_now": list(runs_now), "before_until": before_until}
        cursor.execute(TEAM_DAYS, values)
        return [(team, day, cost, is_now) for team, day, cost, is_now in cursor.fetchall()]
