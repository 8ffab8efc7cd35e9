"""Rows that stand once for all runs, found by the hash of what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from django.db import models

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

    Keys are values of the columns `by`, which are unique together and of which the last is the content's hash;
    `columns` gives the values of the others. New ones are made in the order of their keys, so that two runs never wait
    for each other in a circle.
    """
    ids = _known(model, rows, by)
    new = sorted(rows.keys() - ids.keys())
    if new:
        made = [model(**dict(zip(by, key, strict=True)), **columns(rows[key])) for key in new]
        model._default_manager.bulk_create(made, ignore_conflicts=True, batch_size=AT_ONCE)
        ids |= _known(model, new, by)
    return ids


def _known(model: type[models.Model], keys: Iterable[tuple[Any, ...]], by: tuple[str, ...]) -> dict[Any, int]:
    wanted = list(keys)
    ids: dict[Any, int] = {}
    for first in range(0, len(wanted), AT_ONCE):
        hashes = [key[-1] for key in wanted[first : first + AT_ONCE]]
        found = model._default_manager.filter(**{f"{by[-1]}__in": hashes})
        ids.update(((*others, bytes(key)), pk) for *others, key, pk in found.values_list(*by, "pk"))
    return ids
