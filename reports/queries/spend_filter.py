"""The part of the rollup that a page reads: given to every spend query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reports.scope import TeamScope


@dataclass(frozen=True)
class Spend:
    """Which part of the rollup a page reads: runs of one currency, a scope, a metric, perhaps one
    environment.
    """

    runs: tuple[int, ...]
    scope: TeamScope
    metric: str
    environment: str | None = None
    run_hashes: tuple[str, ...] = ()  # sha256 of each run's content, where all have one

    @property
    def is_final(self) -> bool:
        """All runs are published and hashed, so the same question always has the same answer."""
        return bool(self.runs) and len(self.run_hashes) == len(self.runs)

    def bound(self) -> dict[str, Any]:
        """Query parameters. Teams NULL is everything, an empty list nothing."""
        return {
            "runs": list(self.runs),
            "teams": None if self.scope.teams is None else sorted(self.scope.teams),
            "metric": self.metric,
            "environment": self.environment,
        }
