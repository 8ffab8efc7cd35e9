"""What was read from a run's rollup is kept, because a published run never changes.

Per process and of bounded size. The key holds the run's content hash beside its id, so nothing kept
can be about other rows; runs without a hash (tests that write rollups themselves) are read every
time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")
KEPT = 64  # answers per question


class OfRuns(Protocol):
    """Says which runs a query reads, with their hashes; hashable."""

    @property
    def is_final(self) -> bool: ...


def kept(query: Callable[..., Result]) -> Callable[..., Result]:
    """Wraps a query with keyword arguments, one of them `spend` or `question`, which names the
    runs.

    Callers share the answer: it must not be changed.
    """

    @lru_cache(maxsize=KEPT)
    def remembered(arguments: tuple[tuple[str, Any], ...]) -> Result:
        return query(**dict(arguments))

    @wraps(query)
    def ask(**values: Any) -> Result:
        runs: OfRuns | None = values.get("spend") or values.get("question")
        if (
            runs is None or not runs.is_final
        ):  # a call without either is refused by the query itself
            return query(**values)
        return remembered(tuple((name, values[name]) for name in sorted(values)))

    return ask
