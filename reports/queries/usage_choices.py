"""What can be picked on the debug page: models, features, versions and services that were called in
a window.
"""

from __future__ import annotations

from dataclasses import dataclass

from reports.queries.rows import fetch
from reports.scope import TeamScope
from reports.window import Window

LIMIT = 200  # a list longer than this is not a menu any more


@dataclass(frozen=True)
class Choices:
    """Values in alphabetical order."""

    models: list[str]
    features: list[str]
    versions: list[str]
    services: list[str]


@dataclass(frozen=True)
class ChoiceRow:
    kind: str
    value: str


# One row per kind and value; of calls in hours [first, last).
SQL = """
WITH seen AS (
    SELECT DISTINCT model, feature, prompt_version, service FROM usage_by_subject
    WHERE hour >= %(first)s AND hour < %(last)s AND (%(all_teams)s OR team = ANY(%(teams)s))
), listed AS (
    SELECT 'model' AS kind, model AS value FROM seen
    UNION SELECT 'feature', feature FROM seen
    UNION SELECT 'version', prompt_version FROM seen
    UNION SELECT 'service', service FROM seen
)
SELECT kind, value FROM (
    SELECT kind, value, row_number() OVER (PARTITION BY kind ORDER BY value COLLATE "C") AS place
    FROM listed WHERE value IS NOT NULL
) AS numbered
WHERE place <= %(limit)s ORDER BY kind, place
"""


def usage_choices(*, window: Window, teams: TeamScope) -> Choices:
    """At most 200 values of each kind."""
    first, last = window.hours
    rows = fetch(
        ChoiceRow,
        SQL,
        {
            "first": first,
            "last": last,
            "limit": LIMIT,
            "all_teams": teams.is_everything,
            "teams": sorted(teams.teams or ()),
        },
    )

    def of(kind: str) -> list[str]:
        return [row.value for row in rows if row.kind == kind]

    return Choices(
        models=of("model"), features=of("feature"), versions=of("version"), services=of("service")
    )
