"""Rows that stand once for all runs, found by the hash of what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from django.db import connection, models
from psycopg import sql

AT_ONCE = 5000

T = TypeVar("T")
K = TypeVar("K", bound=tuple[Any, ...])


def ensure_rows(
    model: type[models.Model],
    rows: Mapping[K, T],
    columns: Callable[[T], Mapping[str, Any]],
    *,
    by: tuple[str, ...] = ("content_hash",),
) -> dict[K, int]:
    """Ids of rows, made where they are new; safe beside another run that makes the same ones.

    Keys are values of the columns `by`, which are unique together and of which the last is the
    content's hash; `columns` gives the values of the others. New ones are made in the order of
    their keys, so that two runs never wait for each other in a circle.
    """
    ids = _known(model, rows, by)
    new = sorted(rows.keys() - ids.keys())
    if new:
        made = [model(**dict(zip(by, key, strict=True)), **columns(rows[key])) for key in new]
        model._default_manager.bulk_create(made, ignore_conflicts=True, batch_size=AT_ONCE)
        ids |= _known(model, new, by)
    return ids


def _known(
    model: type[models.Model], keys: Iterable[tuple[Any, ...]], by: tuple[str, ...]
) -> dict[Any, int]:
    # One text instead of thousands of parameters, each of which would be quoted.
    statement = sql.SQL(
        "SELECT {}, id FROM {} WHERE {} ="
        " ANY(ARRAY(SELECT decode(unnest(string_to_array(%s, ',')), 'hex')))"
    ).format(
        sql.SQL(", ").join(map(sql.Identifier, by)),
        sql.Identifier(model._meta.db_table),
        sql.Identifier(by[-1]),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [",".join([key[-1].hex() for key in keys])])
        return {(*others, bytes(key)): pk for *others, key, pk in cursor.fetchall()}
