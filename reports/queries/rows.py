"""Runs one statement and gives its rows back as dataclasses, so the number of statements is what it
looks like.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from django.db import connection

Row = TypeVar("Row")


def fetch(kind: type[Row], sql: str, parameters: Mapping[str, Any]) -> list[Row]:
    """One `kind` per row; the columns come in the order of its fields."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [kind(*row) for row in cursor.fetchall()]
