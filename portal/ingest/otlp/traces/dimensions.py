"""Usage dimensions and their ids, remembered by the process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import orjson

from portal.ingest.otlp.traces import sql
from portal.ingest.otlp.traces.known import cursor, known
from portal.ingest.otlp.traces.normalise import Dimension

MOST_DIMENSIONS = 200_000  # kept per process


def dimension_ids(wanted: set[Dimension]) -> dict[Dimension, int]:
    """The id of each dimension; unknown ones are inserted."""
    missing = [dimension for dimension in wanted if dimension not in known.dimensions]
    if missing:
        if len(known.dimensions) + len(missing) > MOST_DIMENSIONS:
            known.dimensions.clear()
            missing = list(wanted)
        by_hash = {content_hash(dimension): dimension for dimension in missing}
        # Sorted, so that two processes that insert the same ones never wait for each other in a
        # circle.
        rows = [(digest, *by_hash[digest]) for digest in sorted(by_hash)]
        with cursor() as c:
            c.executemany(sql.INSERT_DIMENSION, rows)
            found = c.execute(sql.FIND_DIMENSIONS, [list(by_hash)]).fetchall()
        known.dimensions.update({by_hash[bytes(digest)]: number for number, digest in found})
    return {dimension: known.dimensions[dimension] for dimension in wanted}


def dimensions_of(ids: Iterable[int]) -> dict[int, Dimension]:
    """The dimension of each id."""
    with cursor() as c:
        rows = c.execute(sql.READ_DIMENSIONS, [sorted(set(ids))]).fetchall()
    return {number: Dimension(*told) for number, *told in rows}


def content_hash(dimension: Dimension) -> bytes:
    return hashlib.blake2b(orjson.dumps(list(dimension)), digest_size=16).digest()
