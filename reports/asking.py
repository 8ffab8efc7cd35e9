"""What a reader may see: the teams of their scope, as a value and as the one SQL predicate.

Every query takes a scope, so forgetting it is a TypeError and not a leak.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any, Protocol, TypeVar

from django.db import connection


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


Row = TypeVar("Row")
Answer = TypeVar("Answer")
ANSWERS = 64  # cached per query


def fetch(kind: type[Row], sql: str, parameters: Mapping[str, Any]) -> list[Row]:
    """One `kind` per row of one statement; the columns come in the order of its fields."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [kind(*row) for row in cursor.fetchall()]


class OfRuns(Protocol):
    """Names the allocation runs that a query reads; hashable."""

    @property
    def is_final(self) -> bool:
        """All runs are published and hashed, so the same question always has the same answer."""


def cached_by_run(query: Callable[..., Answer]) -> Callable[..., Answer]:
    """The query, answering from a cache of this process where the runs of its keyword argument
    `question` are final.

    A published run never changes. The key holds each run's content hash beside its id, so an
    answer can't be about other rows; runs without a hash (of tests that write rollups themselves)
    are read every time. Callers share the answer: it must not be changed.
    """

    @lru_cache(maxsize=ANSWERS)
    def remembered(arguments: tuple[tuple[str, Any], ...]) -> Answer:
        return query(**dict(arguments))

    @wraps(query)
    def ask(*, question: OfRuns, **values: Any) -> Answer:
        if not question.is_final:
            return query(question=question, **values)
        return remembered((("question", question), *sorted(values.items())))

    return ask
