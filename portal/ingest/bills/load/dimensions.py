"""Rows of charge_dimension: one for each distinct combination of descriptive columns, found without
a look per row.
"""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from django.db.backends.base.base import BaseDatabaseWrapper

from portal.ingest.bills.formats import DIMENSION_COLUMNS, DIMENSION_FIELDS
from portal.ingest.bills.load.validation import CleanBatch
from portal.ingest.bills.load.values import Interner

MOST_IDS = 100_000
# Odd, so that multiplying loses nothing.
MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], dtype=np.uint64)

TABLE = "allocation_chargedimension"
NAMES = ", ".join(DIMENSION_FIELDS)
# The newcomers of one batch. In order, so that two loads which bring the same rows wait for each
# other, not deadlock.
MAKE_NEWCOMERS = f"""
CREATE TEMPORARY TABLE IF NOT EXISTS newcomer ON COMMIT DELETE ROWS
AS SELECT content_hash, {NAMES} FROM {TABLE} WITH NO DATA
"""  # noqa: S608 - names of this module's own
INSERT_NEWCOMERS = f"""
INSERT INTO {TABLE} (content_hash, {NAMES})
SELECT content_hash, {NAMES} FROM newcomer ORDER BY content_hash
ON CONFLICT (content_hash) DO NOTHING
RETURNING content_hash, id
"""  # noqa: S608
FIND = f"SELECT content_hash, id FROM {TABLE} WHERE content_hash = ANY(%s)"  # noqa: S608


class DimensionIds:
    """Finds or makes the dimension of each row.

    Works on a connection of its own in short transactions: dimensions are immutable and harmless
    when a load fails, and a load that held them back would make other loads wait.
    """

    def __init__(self, connection: BaseDatabaseWrapper, interners: dict[str, Interner]) -> None:
        self._connection = connection
        self._interners = interners
        self._ids: dict[bytes, int] = {}  # by the row's 128 bits
        self._columns = [name for name in DIMENSION_COLUMNS if name in interners]
        with connection.cursor() as cursor:
            cursor.execute(MAKE_NEWCOMERS)

    def of_rows(self, batch: CleanBatch) -> npt.NDArray[np.int64]:
        """The dimension id of each row."""
        if len(self._ids) > MOST_IDS:
            self._ids.clear()
        lanes = self._row_lanes(batch)
        _, first, inverse = np.unique(lanes[:, 0], return_index=True, return_inverse=True)
        if (lanes[first[inverse], 1] != lanes[:, 1]).any():
            # Two combinations share 64 bits: look at all 128.
            _, first, inverse = np.unique(lanes, axis=0, return_index=True, return_inverse=True)
            inverse = inverse.reshape(-1)
        joined = np.ascontiguousarray(lanes[first]).tobytes()
        keys = [joined[start : start + 16] for start in range(0, len(joined), 16)]
        missing = [position for position, key in enumerate(keys) if key not in self._ids]
        if missing:
            found = self._make(batch, first[missing])
            self._ids.update(
                (keys[position], each) for position, each in zip(missing, found, strict=True)
            )
        return np.array([self._ids[key] for key in keys], dtype=np.int64)[inverse]

    def _row_lanes(self, batch: CleanBatch) -> npt.NDArray[np.uint64]:
        lanes = np.zeros((len(batch), 2), dtype=np.uint64)
        for name in self._columns:
            lanes *= MIX
            lanes ^= lanes >> np.uint64(29)
            lanes += self._interners[name].lanes[batch.codes[name]]
        return lanes

    def _make(self, batch: CleanBatch, rows: npt.NDArray[np.int64]) -> list[int]:
        """Ids of the combinations that stand in these rows, one per row."""
        absent = pa.nulls(len(rows), pa.string())
        table = {
            field: self._interners[name].read(batch.codes[name][rows])
            if name in self._interners
            else absent
            for field, name in zip(DIMENSION_FIELDS, DIMENSION_COLUMNS, strict=True)
        }
        if "provider_name" in table and "ServiceProviderName" in self._interners:
            # FOCUS 1.4 has ServiceProviderName only; readers look in one place.
            table["provider_name"] = pc.coalesce(
                table["provider_name"], table["service_provider_name"]
            )
        hashes = content_hashes(table)
        ids = self._stored(set(hashes))
        fresh = [position for position, each in enumerate(hashes) if each not in ids]
        if fresh:
            texts = pa.array([f"\\x{hashes[position].hex()}" for position in fresh])
            ids |= self._inserted(
                pa.table(
                    {
                        "content_hash": texts,
                        **{n: a.take(pa.array(fresh)) for n, a in table.items()},
                    }
                )
            )
            # Another load was first.
            ids |= self._stored({each for each in hashes if each not in ids})
        return [ids[each] for each in hashes]

    def _stored(self, hashes: set[bytes]) -> dict[bytes, int]:
        if not hashes:
            return {}
        with self._connection.cursor() as cursor:
            cursor.execute(FIND, [list(hashes)])
            return {bytes(content_hash): number for content_hash, number in cursor.fetchall()}

    def _inserted(self, payload: pa.Table) -> dict[bytes, int]:
        """Inserts what is not there; ids of the rows that this made."""
        sink = io.BytesIO()
        pa.csv.write_csv(payload, sink, pa.csv.WriteOptions(include_header=False))
        with self._connection.cursor() as cursor:
            cursor.execute("BEGIN")
            copy_csv(
                cursor,
                f"COPY newcomer (content_hash, {NAMES}) FROM STDIN WITH (FORMAT csv)",
                sink.getbuffer(),
            )
            cursor.execute(INSERT_NEWCOMERS)
            made = {bytes(content_hash): number for content_hash, number in cursor.fetchall()}
            cursor.execute("COMMIT")
        return made


def content_hashes(table: dict[str, pa.Array]) -> list[bytes]:
    """16 bytes over every column. Texts hold no NUL and are never empty: NUL between them, nothing
    for null.
    """
    parts = [each.fill_null("") for each in table.values()]
    joined = pc.binary_join_element_wise(*parts, "\0")
    return [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in joined.to_pylist()]


def copy_csv(cursor: Any, statement: str, data: memoryview) -> None:
    with cursor.copy(statement) as copy:
        for start in range(0, len(data), 1 << 18):
            copy.write(data[start : start + (1 << 18)])
