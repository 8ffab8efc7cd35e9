"""Which calls a usage query speaks of: the reader's teams, and what they picked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from reports.scope import TeamScope


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
        """Nothing chosen on the page itself; team and environment belong to every page's top bar."""
        return not (self.model or self.feature or self.version or self.service)

    def parameters(self, teams: TeamScope) -> dict[str, Any]:
        """The values that PICKED_DIMENSIONS binds."""
        return {
            **asdict(self),
            "all_teams": teams.is_everything,
            "teams": sorted(teams.teams or ()),
        }


# A condition over a usage dimension or a row by subject, named `d`; every value is bound.
PICKED_DIMENSIONS = """
    (%(all_teams)s OR d.team = ANY(%(teams)s))
    AND (%(model)s::text IS NULL OR d.model = %(model)s)
    AND (%(feature)s::text IS NULL OR d.feature = %(feature)s)
    AND (%(version)s::text IS NULL OR d.prompt_version = %(version)s)
    AND (%(service)s::text IS NULL OR d.service = %(service)s)
    AND (%(team)s::text IS NULL OR d.team = %(team)s)
    AND (%(environment)s::text IS NULL OR d.environment = %(environment)s)
"""
