"""What a reader may see. Every query takes one of these, so forgetting it is a TypeError and not a
leak.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TeamScope:
    """The teams whose cost a reader may see; `teams` None means the whole organisation, unallocated
    cost included.
    """

    teams: frozenset[str] | None

    @classmethod
    def everything(cls) -> TeamScope:
        return cls(teams=None)

    @property
    def is_everything(self) -> bool:
        return self.teams is None

    def allows(self, team: str | None) -> bool:
        return self.teams is None or team in self.teams

    def narrowed_to(self, team: str) -> TeamScope:
        """The same reader looking at one team; raises PermissionError where they may not."""
        if not self.allows(team):
            raise PermissionError(team)
        return TeamScope(teams=frozenset({team}))
