"""The organisation as pages show it: teams in their place, the names of teams and features, and
the environments that costs were seen in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from zlib import crc32

from django.db import connection

from reports.asking import TeamScope

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

# One row per environment.
ENVIRONMENTS = """
SELECT DISTINCT environment FROM allocation_target WHERE environment IS NOT NULL
    ORDER BY environment LIMIT 50
"""

NAMES = """
SELECT 'team', slug, name, id FROM allocation_team WHERE slug = ANY(%(teams)s)
UNION ALL
SELECT 'feature', slug, name, id FROM allocation_feature WHERE slug = ANY(%(features)s)
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


def team_names() -> dict[str, str]:
    """Of every team, by slug, for readers of the whole organisation."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT slug, name FROM allocation_team")
        return dict(cursor.fetchall())


def teams_of_unit(*, unit: str, today: date) -> frozenset[str]:
    with connection.cursor() as cursor:
        cursor.execute(UNIT_TEAMS, {"day": today, "unit": unit})
        return frozenset(row[0] for row in cursor.fetchall())


def environments() -> list[str]:
    """Environments that costs were ever allocated to. Names only."""
    with connection.cursor() as cursor:
        cursor.execute(ENVIRONMENTS)
        return [row[0] for row in cursor.fetchall()]


@dataclass(frozen=True)
class OrganisationNames:
    """By slug. What the tree does not know is called as bills and traces tell it."""

    teams: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, str] = field(default_factory=dict)
    feature_ids: Mapping[str, int] = field(default_factory=dict)

    def team(self, slug: str | None) -> str:
        return self.teams.get(slug, slug) if slug else "no team"

    def feature(self, slug: str | None) -> str:
        return self.features.get(slug, slug) if slug else "no feature"

    def feature_number(self, slug: str) -> int:
        """The same on every page and in every month, for its colour; of features that were made
        together, one after the other.
        """
        return self.feature_ids.get(slug, crc32(slug.encode()))


def names_of(
    *, teams: Iterable[str | None] = (), features: Iterable[str | None] = ()
) -> OrganisationNames:
    """Of slugs that the caller already read within its scope, so none is asked for here.

    Where two of them share a name, or one is named as another's slug, each bears its slug, too: no
    two read the same.
    """
    asked = {
        "teams": {slug for slug in teams if slug},
        "features": {slug for slug in features if slug},
    }
    if not any(asked.values()):
        return OrganisationNames()
    with connection.cursor() as cursor:
        cursor.execute(NAMES, {kind: sorted(slugs) for kind, slugs in asked.items()})
        rows = cursor.fetchall()
    return OrganisationNames(
        teams=_apart(
            {slug: name for kind, slug, name, _ in rows if kind == "team"}, asked["teams"]
        ),
        features=_apart(
            {slug: name for kind, slug, name, _ in rows if kind == "feature"}, asked["features"]
        ),
        feature_ids={slug: number for kind, slug, _, number in rows if kind == "feature"},
    )


def _apart(names: Mapping[str, str], slugs: Iterable[str]) -> dict[str, str]:
    shown = Counter(names.get(slug, slug) for slug in slugs)
    return {slug: name if shown[name] == 1 else f"{name} ({slug})" for slug, name in names.items()}
