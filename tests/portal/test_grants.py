"""The two database roles: the application reads and writes rows, and owns nothing."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection, transaction

from portal.jobs.models import Job


@pytest.mark.django_db
def test_application_role_writes_rows_but_can_neither_truncate_nor_create() -> None:
    Job.objects.create(kind="greet")

    for statement in (
        "TRUNCATE jobs_job",
        "CREATE TABLE mine (id int)",
        "DROP TABLE jobs_job",
    ):
        with (
            pytest.raises(DatabaseError, match=r"permission denied|must be owner"),
            transaction.atomic(),
        ):
            connection.cursor().execute(statement)

    assert Job.objects.count() == 1


@pytest.mark.django_db
def test_application_role_owns_nothing() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE pg_get_userbyid(relowner) = current_user"
        )
        owned = cursor.fetchall()
        cursor.execute(
            "SELECT current_user, has_table_privilege(current_user, 'charge', 'TRUNCATE')"
        )
        user, may_truncate = cursor.fetchone()

    assert owned == []
    assert (user, may_truncate) == ("apportion_app", False)


@pytest.mark.django_db(transaction=True)
def test_transactional_tests_leave_an_empty_database_behind_1() -> None:
    assert Job.objects.count() == 0
    Job.objects.create(kind="greet")
    get_user_model().objects.create_user("someone")


@pytest.mark.django_db(transaction=True)
def test_transactional_tests_leave_an_empty_database_behind_2() -> None:
    assert Job.objects.count() == 0
    Job.objects.create(kind="greet")


@pytest.mark.django_db
def test_partitions_are_made_through_a_function_and_written_directly() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT ensure_span_partition('2026-10-01')")
        cursor.execute("SELECT has_table_privilege(current_user, 'span_20261001', 'INSERT')")

        assert cursor.fetchone() == (True,)
