"""What this process has seen in the database, and its cursor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from django.db import connection

from portal.ingest.otlp.traces.normalise import Dimension, Who


@dataclass
class Known:
    """Only things that never change back."""

    dimensions: dict[Dimension, int] = field(default_factory=dict)
    who: dict[Who, int] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)  # persons whose name is kept
    values: set[tuple[str, str]] = field(default_factory=set)  # (field, value) with a place
    observed: set[str] = field(default_factory=set)  # services that several observers tell of
    days: set[str] = field(default_factory=set)
    sealed: frozenset[str] = frozenset()
    sealed_read_at: float = float("-inf")


known = Known()


def forget() -> None:
    """Drop what the process knows of the database (tests empty it)."""
    known.dimensions.clear()
    known.who.clear()
    known.named.clear()
    known.values.clear()
    known.observed.clear()
    known.days.clear()
    known.sealed, known.sealed_read_at = frozenset(), float("-inf")


@contextmanager
def cursor() -> Iterator[psycopg.RawCursor[tuple[Any, ...]]]:
    """A cursor that binds on the server and reads no placeholders of its own; errors come as
    Django's.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.RawCursor(connection.connection) as opened:
        yield opened
