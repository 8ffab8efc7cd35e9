"""The scopes a reader can choose from: business units and teams of the tree, and environments seen
in costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from django.db import connection

from reports.scope import TeamScope

# One row per team with its placement on a day. `shade` numbers teams in the order they were made,
# so that a team keeps its colour when another one is added.
TEAMS = """
SELECT team.slug, team.name, unit.slug, unit.name, center.code,
    row_number() OVER (ORDER BY team.id) - 1 AS shade
FROM allocation_team AS team
LEFT JOIN team_placement_period AS placed ON placed.team_id = team.id
    AND placed.valid_from <= %(day)s AND (placed.valid_to IS NULL OR placed.valid_to > %(day)s)
LEFT JOIN allocation_businessunit AS unit ON unit.id = placed.business_unit_id
LEFT JOIN allocation_costcenter AS center ON center.id = placed.cost_center_id
ORDER BY unit.name NULLS LAST, team.name
"""

UNIT_TEAMS = """
SELECT team.slug
FROM allocation_team AS team
JOIN team_placement_period AS placed ON placed.team_id = team.id
    AND placed.valid_from <= %(day)s AND (placed.valid_to IS NULL OR placed.valid_to > %(day)s)
JOIN allocation_businessunit AS unit ON unit.id = placed.business_unit_id
WHERE unit.slug = %(unit)s
"""

# Distinct environments of some runs by a loose index-like walk: the rollup holds few of them.
ENVIRONMENTS = """
SELECT DISTINCT environment FROM allocation_target WHERE environment IS NOT NULL
    ORDER BY environment LIMIT 50
"""


@dataclass(frozen=True)
class TeamInTree:
    slug: str
    name: str
    unit: str | None
    unit_name: str | None
    cost_center: str | None
    shade: int


def teams_in_tree(*, scope: TeamScope, day: date) -> list[TeamInTree]:
    """The teams the reader may see, with their place on `day`; one row per team."""
    with connection.cursor() as cursor:
        cursor.execute(TEAMS, {"day": day})
        return [TeamInTree(*row) for row in cursor.fetchall() if scope.allows(row[0])]


def teams_of_unit(*, unit: str, today: date) -> frozenset[str]:
    with connection.cursor() as cursor:
        cursor.execute(UNIT_TEAMS, {"day": today, "unit": unit})
        return frozenset(row[0] for row in cursor.fetchall())


def environments() -> list[str]:
    """Environments that costs were ever allocated to. Names only."""
    with connection.cursor() as cursor:
        cursor.execute(ENVIRONMENTS)
        return [row[0] for row in cursor.fetchall()]
