"""What was read from a run's rollup is kept, because a published run never changes.

Per process and of bounded size. The key holds the run's content hash beside its id, so nothing kept can be about other
rows; runs without a hash (tests that write rollups themselves) are read every time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

from reports.queries.spend_filter import Spend

Result = TypeVar("Result")
KEPT = 64  # answers per question


def kept(query: Callable[..., Result]) -> Callable[..., Result]:
    """Wraps a query with keyword arguments, one of them `spend`. Callers share the answer: it must not be changed."""

    @lru_cache(maxsize=KEPT)
    def remembered(arguments: tuple[tuple[str, Any], ...]) -> Result:
        return query(**dict(arguments))

    @wraps(query)
    def ask(*, spend: Spend, **values: Any) -> Result:
        if not spend.is_final:
            return query(spend=spend, **values)
        return remembered((("spend", spend), *sorted(values.items())))

    return ask
