"""COPY's text format, and reading whole months by it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from queue import Queue
from threading import Thread
from typing import Any, TypeVar

from django.db import connection, models, transaction
from psycopg import Copy, sql

NULL = "\\N"
_TO_TEXT = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

# Whole-month reads join tables that were filled a moment ago, of which the planner knows nothing
# yet: hashing is right at every size, a nested loop never is; and sums of a million rows are worth
# a second process, however many groups the planner expects.
WHOLE_MONTH = {
    "enable_nestloop": "off",
    "work_mem": "'128MB'",
    "hash_mem_multiplier": "1",
    "parallel_tuple_cost": "0.001",
    "parallel_setup_cost": "100",
    "enable_gathermerge": "off",
}
SET = "; ".join(f"SET LOCAL {name} = {value}" for name, value in WHOLE_MONTH.items())
RESET = "; ".join(f"RESET {name}" for name in WHOLE_MONTH)


@contextmanager
def whole_month_plans() -> Iterator[None]:
    """A transaction whose queries are planned for reading a whole month."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(SET)
        yield
        cursor.execute(RESET)


def copy_lines(sql: str, values: Mapping[str, Any] | None = None) -> Iterator[str]:
    """Lines of a COPY ... TO STDOUT in text format, with these values bound where it names any."""
    with whole_month_plans(), connection.cursor() as cursor, cursor.copy(sql, values) as copy:
        rest = b""
        for block in copy:
            lines = (rest + bytes(block)).split(b"\n")
            rest = lines.pop()
            for line in lines:
                yield line.decode()


QUEUED = 8  # blocks that wait to be taken


@contextmanager
def fed_copy(cursor: Any, sql: str) -> Iterator[Callable[[str], None]]:
    """Feeds a COPY ... FROM STDIN from a thread of its own: what comes next is made while the
    database takes what came.

    The connection must not be used for anything else inside the block. What the database refuses is
    raised by a later call, or at the block's end.
    """
    blocks: Queue[str | None] = Queue(QUEUED)
    failed: list[BaseException] = []

    def feed(copy: Copy) -> None:
        while (block := blocks.get()) is not None:
            if failed:
                continue  # so that nobody waits for a place in the queue
            try:
                copy.write(block)
            except BaseException as error:
                failed.append(error)

    def put(block: str) -> None:
        if failed:
            raise failed[0]
        blocks.put(block)

    with cursor.copy(sql) as copy:
        thread = Thread(target=feed, args=(copy,), name="copy", daemon=True)
        thread.start()
        try:
            yield put
        finally:
            blocks.put(None)
            thread.join()
        if failed:
            raise failed[0]


def copy_cell(text: str | None) -> str:
    """A value as a cell."""
    return NULL if text is None else text.translate(_TO_TEXT)


_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def copy_cells(line: str) -> list[str | None]:
    """Cells of a line in COPY's text format."""
    cells = line.split("\t")
    if line.count("\\") == cells.count(NULL):
        return [None if cell == NULL else cell for cell in cells]
    return [None if cell == NULL else _unescaped(cell) for cell in cells]


def _unescaped(cell: str) -> str:
    """COPY text format back to plain text."""
    if "\\" not in cell:
        return cell
    out, escaped = [], False
    for character in cell:
        if escaped:
            out.append(_ESCAPES.get(character, character))
        elif character != "\\":
            out.append(character)
        escaped = character == "\\" and not escaped
    return "".join(out)


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
