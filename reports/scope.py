"""What a reader may see: the teams of their scope, as a value and as the one SQL predicate.

Every query takes a scope, so forgetting it is a TypeError and not a leak.
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

    @property
    def bound(self) -> list[str] | None:
        """The value of %(teams)s in `within_scope`: None is everything, an empty list nothing."""
        return None if self.teams is None else sorted(self.teams)

    def allows(self, team: str | None) -> bool:
        return self.teams is None or team in self.teams

    def narrowed_to(self, team: str) -> TeamScope:
        """The same reader looking at one team; raises PermissionError where they may not."""
        if not self.allows(team):
            raise PermissionError(team)
        return TeamScope(teams=frozenset({team}))


def within_scope(team: str) -> str:
    """SQL: whether a row whose team stands in the column `team` is in the scope that %(teams)s
    binds. A row without a team is only for a reader of everything.
    """
    return f"(%(teams)s::text[] IS NULL OR {team} = ANY(%(teams)s))"
