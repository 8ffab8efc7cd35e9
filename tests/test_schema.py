"""Partitioned tables are made by hand-written SQL: their columns must be those of their models."""

from __future__ import annotations

from io import StringIO

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection, models

ALIASES = {
    "timestamptz": "timestamp with time zone",
    "varchar": "character varying",
    "time": "time without time zone",
}
COLUMNS = """
SELECT a.attname, format_type(a.atttypid, NULL), NOT a.attnotnull
FROM pg_attribute a
WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
"""


def declared(model: type[models.Model]) -> dict[str, tuple[str, bool]]:
    """{column: (type without its size, nullable)} as the model says it."""
    columns: dict[str, tuple[str, bool]] = {}
    for field in model._meta.concrete_fields:
        kind = field.db_type(connection)
        if kind is None:  # a composite primary key has no column
            continue
        name = kind.partition("(")[0].strip()
        columns[str(field.column)] = (ALIASES.get(name, name), field.null)
    return columns


def found(table: str) -> dict[str, tuple[str, bool]]:
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS, [table])
        return {name: (kind, nullable) for name, kind, nullable in cursor.fetchall()}


@pytest.mark.django_db
def test_every_table_has_the_columns_types_and_nullability_of_its_model() -> None:
    managed = [model for model in apps.get_models() if model._meta.managed]

    differing = {
        model._meta.label: (declared(model), found(model._meta.db_table))
        for model in managed
        if declared(model) != found(model._meta.db_table)
    }

    assert differing == {}
    assert {"charge", "span", "slice_share"} <= {model._meta.db_table for model in managed}


@pytest.mark.django_db
def test_partitions_have_their_parents_primary_keys_and_checks() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ensure_charge_partition('2026-10-01'), ensure_span_partition('2026-10-01')"
        )
        cursor.execute("SELECT ensure_slice_share_partition('2026-10-01')")
        cursor.execute(
            """
            SELECT inhparent::regclass::text, inhrelid::regclass::text,
                (SELECT count(*) FROM pg_constraint WHERE conrelid = inhparent
                    AND contype IN ('p', 'c')),
                (SELECT count(*) FROM pg_constraint
                 WHERE conrelid = inhrelid AND contype IN ('p', 'c') AND coninhcount > 0)
            FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE c.relkind = 'r'
            """
        )
        rows = cursor.fetchall()

    assert {"charge", "span", "slice_share"} == {row[0] for row in rows}
    assert [row for row in rows if row[2] != row[3]] == []


@pytest.mark.django_db(databases=["default", "owner"])
def test_no_model_lacks_a_migration() -> None:
    said = StringIO()

    # Exits where one is missing.
    call_command("makemigrations", check=True, dry_run=True, stdout=said)

    assert said.getvalue() == "No changes detected\n"
