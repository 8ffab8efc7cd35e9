"""Batches of rows of a Parquet file, read by a child process that a malicious file may kill."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from threading import Timer
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from portal.ingest.bills.files import parquet_child
from portal.ingest.bills.files.csv_rows import LONGEST_FIELD, CsvRows, Understand
from portal.ingest.bills.files.stream import (
    PARQUET,
    BillFile,
    first_bytes,
    refuse_too_much,
)
from portal.ingest.bills.formats import NUMBERS, Header, RowBatch, Rows, without_blank_lines
from portal.ingest.problems import BillRefused


def table_rows(file: BillFile, understand: Understand) -> Rows:
    """The reader that the file's first bytes ask for."""
    if first_bytes(file).startswith(PARQUET):
        return ParquetRows(file, understand)
    return CsvRows(file, understand)


MEMORY_BYTES = 2 << 30  # of address space, libraries included
CPU_SECONDS = 1800
WALL_SECONDS = 3600
HEADER_LINES = 1  # rows are counted as if the file were a CSV with a header


class ParquetRows:
    """Iterates over the batches of one Parquet file. Raises BillRefused where the child gives up or
    dies.
    """

    def __init__(self, file: BillFile, understand: Understand) -> None:
        self.file = file
        self.content_bytes = file.path.stat().st_size
        with file.path.open("rb") as opened:
            self.file_hashes = [hashlib.file_digest(opened, "sha256").hexdigest()]
        self.bytes_read = 0
        self._nuls = 0
        self._floats = 0
        self._received = 0
        limits = [str(MEMORY_BYTES), str(CPU_SECONDS)]
        self._child = subprocess.Popen(
            [sys.executable, "-I", str(parquet_child.__file__), str(file.path.absolute()), *limits],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"ARROW_DEFAULT_MEMORY_POOL": "system", "PATH": os.defpath, "OMP_NUM_THREADS": "1"},
        )
        self._timer = Timer(WALL_SECONDS, self._child.kill)
        self._timer.daemon = True
        self._timer.start()
        try:
            self._reader = pa.ipc.open_stream(_pipe(self._child.stdout))
            self._float_names = json.loads(
                (self._reader.schema.metadata or {}).get(b"floats", b"[]")
            )
            self.header: Header = understand(self._reader.schema.names, file.name)
        except (pa.ArrowException, OSError) as error:
            raise self._end(error) from error
        except BillRefused:
            self.close()
            raise

    @property
    def repairs(self) -> dict[str, int]:
        found = {**self.header.repairs, "nul_replaced": self._nuls, "binary_float": self._floats}
        return {rule: count for rule, count in found.items() if count}

    def __iter__(self) -> Iterator[RowBatch]:
        line = HEADER_LINES + 1
        try:
            while True:
                try:
                    batch, metadata = self._reader.read_next_batch_with_custom_metadata()
                except StopIteration:
                    break
                batch.validate(full=True)
                self._count(batch, metadata)
                lines = np.arange(line, line + batch.num_rows, dtype=np.int64)
                line += batch.num_rows
                arrays = dict(zip(self.header.names, batch.columns, strict=True))
                yield without_blank_lines(
                    RowBatch({name: _encoded(name, each) for name, each in arrays.items()}, lines)
                )
        except (pa.ArrowException, OSError) as error:
            raise self._end(error) from error
        if self._child.wait(timeout=60):
            raise self._end(None)
        self.bytes_read = self.content_bytes

    def _count(self, batch: pa.RecordBatch, metadata: pa.KeyValueMetadata | None) -> None:
        self._received += batch.nbytes
        refuse_too_much(self.file.name, self._received, self.content_bytes)
        self._nuls += int((metadata or {}).get(b"nuls", b"0"))
        for name, array in zip(self.header.names, batch.columns, strict=True):
            self._refuse_long_fields(name, array)
            if name in NUMBERS and name in self._float_names:
                self._floats += len(array) - array.null_count

    def _refuse_long_fields(self, name: str, texts: pa.Array) -> None:
        if texts.nbytes > LONGEST_FIELD and pc.max(pc.binary_length(texts)).as_py() > LONGEST_FIELD:
            raise BillRefused(
                f"{self.file.name}, column {name}: a field longer than {LONGEST_FIELD:,} bytes; no "
                "bill has one"
            )

    def _end(self, error: BaseException | None) -> BillRefused:
        """Why the child stopped, as a refusal."""
        if self._child.stdout:
            self._child.stdout.close()  # a child that still writes ends by it
        try:
            status = self._child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            status = self._child.wait()
        said = (
            (self._child.stderr.read() if self._child.stderr else b"")
            .decode(errors="replace")
            .strip()
        )
        self.close()
        if status == parquet_child.BAD_FILE:
            why = said
        elif status < 0:
            why = (
                f"reading it ended with signal {-status}: it asks for too much memory or time, or "
                "is forged"
            )
        else:
            why = f"reading it failed ({said.splitlines()[-1] if said else error})"
        return BillRefused(
            f"{self.file.name}: not readable as Parquet: {why}. Deliver it again, or as CSV"
        )

    def close(self) -> None:
        self._timer.cancel()
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdout, self._child.stderr):
            if pipe:
                pipe.close()


def _pipe(pipe: IO[bytes] | None) -> pa.PythonFile:
    return pa.PythonFile(pipe, mode="r")


def _encoded(name: str, texts: pa.Array) -> pa.Array:
    return texts if name in NUMBERS else texts.dictionary_encode()
