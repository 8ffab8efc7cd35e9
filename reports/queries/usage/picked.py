"""Which calls a usage query speaks of, the reader's teams and what they picked; and what there is
to pick.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from reports.asking import TeamScope, fetch, within_scope
from reports.window import HourWindow

MOST_CHOICES = 200  # of a kind; a longer list is not a menu any more


@dataclass(frozen=True)
class UsageFilter:
    """None means any. `version` is the prompt's version."""

    model: str | None = None
    feature: str | None = None
    version: str | None = None
    service: str | None = None
    team: str | None = None
    environment: str | None = None

    @property
    def is_unpicked(self) -> bool:
        """Nothing chosen on the page itself; team and environment belong to the top bar."""
        return not (self.model or self.feature or self.version or self.service)

    def parameters(self, teams: TeamScope) -> dict[str, Any]:
        """The values that PICKED_DIMENSIONS binds."""
        return {
            **asdict(self),
            "teams": teams.bound,
        }


# A condition over a usage dimension or a row by subject, named `d`; every value is bound.
PICKED_DIMENSIONS = f"""
    {within_scope("d.team")}
    AND (%(model)s::text IS NULL OR d.model = %(model)s)
    AND (%(feature)s::text IS NULL OR d.feature = %(feature)s)
    AND (%(version)s::text IS NULL OR d.prompt_version = %(version)s)
    AND (%(service)s::text IS NULL OR d.service = %(service)s)
    AND (%(team)s::text IS NULL OR d.team = %(team)s)
    AND (%(environment)s::text IS NULL OR d.environment = %(environment)s)
"""


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
CHOICES = f"""
WITH seen AS (
    SELECT DISTINCT model, feature, prompt_version, service FROM usage_by_subject
    WHERE hour >= %(first)s AND hour < %(last)s AND {within_scope("team")}
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
"""  # noqa: S608  no value is written into it


def usage_choices(*, window: HourWindow, teams: TeamScope) -> Choices:
    """At most 200 values of each kind."""
    first, last = window.hours
    values = {"first": first, "last": last, "limit": MOST_CHOICES, "teams": teams.bound}
    rows = fetch(ChoiceRow, CHOICES, values)

    def of(kind: str) -> list[str]:
        return [row.value for row in rows if row.kind == kind]

    return Choices(
        models=of("model"), features=of("feature"), versions=of("version"), services=of("service")
    )
