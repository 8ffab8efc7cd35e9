"""COPY's text format, read back as it was written."""

from __future__ import annotations

import pytest
from django.db import connection
from hypothesis import example, given
from hypothesis import strategies as st

from allocation.storage.rows import copy_cell, copy_cells

CELLS = st.lists(
    st.none() | st.text(alphabet="N\\\t\n\r a€", max_size=5) | st.text(max_size=5),
    min_size=1,
    max_size=6,
)


@given(CELLS)
@example(["\\N", None, "\\", "N"])
@example([None, "a\\"])
@example(["\\N"])
@example([""])
def test_cells_are_read_as_they_were_written(cells: list[str | None]) -> None:
    assert copy_cells("\t".join(map(copy_cell, cells))) == cells


@pytest.mark.django_db
def test_cells_are_read_as_postgresql_writes_them() -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(
            r"COPY (SELECT '\N', NULL, E'\\', 'N', E'a\tb\n\r\b\f\v', '', 'C:\new') TO STDOUT"
        ) as copy,
    ):
        line = b"".join(map(bytes, copy)).decode().removesuffix("\n")

    assert copy_cells(line) == ["\\N", None, "\\", "N", "a\tb\n\r\b\f\v", "", "C:\\new"]
    assert copy_cells("a\t\\N\tb") == ["a", None, "b"]
