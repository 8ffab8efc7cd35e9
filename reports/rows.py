"""Rows of a statement as dataclasses, and answers that are cached by run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, wraps
from typing import Any, Protocol, TypeVar

from django.db import connection

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
