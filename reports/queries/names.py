"""What does the organisation call the teams and features whose slugs a page's figures bear?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.db import connection

NAMES = """
SELECT 'team', slug, name FROM allocation_team WHERE slug = ANY(%(teams)s)
UNION ALL
SELECT 'feature', slug, name FROM allocation_feature WHERE slug = ANY(%(features)s)
"""


@dataclass(frozen=True)
class Names:
    """By slug. What the tree does not know is called as bills and traces tell it."""

    teams: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, str] = field(default_factory=dict)

    def team(self, slug: str | None) -> str:
        return self.teams.get(slug, slug) if slug else "no team"

    def feature(self, slug: str | None) -> str:
        return self.features.get(slug, slug) if slug else "no feature"


def names_of(*, teams: Iterable[str | None] = (), features: Iterable[str | None] = ()) -> Names:
    """Of slugs that the caller already read within its scope, so none is asked for here.

    Where two of them share a name, or one is named as another's slug, each bears its slug, too: no
    two read the same.
    """
    asked = {
        "teams": {slug for slug in teams if slug},
        "features": {slug for slug in features if slug},
    }
    if not any(asked.values()):
        return Names()
    with connection.cursor() as cursor:
        cursor.execute(NAMES, {kind: sorted(slugs) for kind, slugs in asked.items()})
        rows = cursor.fetchall()
    return Names(
        teams=_apart({slug: name for kind, slug, name in rows if kind == "team"}, asked["teams"]),
        features=_apart(
            {slug: name for kind, slug, name in rows if kind == "feature"}, asked["features"]
        ),
    )


def _apart(names: Mapping[str, str], slugs: Iterable[str]) -> dict[str, str]:
    shown = Counter(names.get(slug, slug) for slug in slugs)
    return {slug: name if shown[name] == 1 else f"{name} ({slug})" for slug, name in names.items()}
