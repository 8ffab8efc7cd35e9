"""Which plans there are for some months, and to which cost centre each team's cost counts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from django.db import connection

from allocation.planning.holders import PlanHolder
from reports.asking import TeamScope, fetch, within_scope

# One row per month and holder: all accounts of a plan have one currency. A cost centre's plan is
# only for a reader of everything.
PLANS = f"""
SELECT plan.month, plan.team, plan.cost_center,
    coalesce(team.name, center.name), min(plan.currency), sum(plan.amount)
FROM spend_plan AS plan
LEFT JOIN allocation_team AS team ON team.slug = plan.team
LEFT JOIN allocation_costcenter AS center ON center.code = plan.cost_center
WHERE plan.month = ANY(%(months)s) AND {within_scope("plan.team")}
GROUP BY plan.month, plan.team, plan.cost_center, coalesce(team.name, center.name)
ORDER BY plan.month, plan.cost_center, plan.team
"""  # noqa: S608  no value is written into it

PLACEMENTS = """
SELECT team.slug, placed.valid_from, center.code
FROM team_placement_period AS placed
JOIN allocation_team AS team ON team.id = placed.team_id
LEFT JOIN allocation_costcenter AS center ON center.id = placed.cost_center_id
ORDER BY team.slug, placed.valid_from
"""


@dataclass(frozen=True)
class MonthPlan:
    """What a team or a cost centre plans to spend in a month, over all accounts."""

    month: date
    team: str | None
    cost_center: str | None
    name: str
    currency: str
    amount: Decimal

    @property
    def holder(self) -> PlanHolder:
        if self.cost_center is not None:
            return PlanHolder("cost_center", self.cost_center)
        return PlanHolder("team", self.team or "")


def month_plans(*, months: Iterable[date], scope: TeamScope) -> list[MonthPlan]:
    """The plans in force that the scope may read."""
    return fetch(MonthPlan, PLANS, {"months": list(months), "teams": scope.bound})


class _Stay(NamedTuple):
    since: date
    center: str | None


@dataclass(frozen=True)
class TeamCenters:
    """Where each team stands, by its slug, from which day on."""

    stays: Mapping[str, list[_Stay]]

    def center_of(self, team: str | None, day: date) -> str | None:
        """The cost centre that the team's cost of a day counts to."""
        stays = self.stays.get(team or "", [])
        found = bisect_right(stays, day, key=lambda stay: stay.since)
        return stays[found - 1].center if found else None


def team_centers() -> TeamCenters:
    """It tells no amount: no scope needed."""
    stays: dict[str, list[_Stay]] = {}
    with connection.cursor() as cursor:
        cursor.execute(PLACEMENTS)
        for team, since, center in cursor.fetchall():
            stays.setdefault(team, []).append(_Stay(since, center))
    return TeamCenters(stays)
