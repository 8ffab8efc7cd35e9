"""Real servers for every test: one embedded PostgreSQL and Redis per run, one database per worker.

Tests connect as the application's role (alias "default"), so its grants are tested all the time. A test that needs the
owner says `@pytest.mark.django_db(databases=["default", "owner"])`. Whole portals of their own: `embedded_portal`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import TransactionTestCase
from psycopg import sql

from portal.embedded.layout import OWNER_ROLE
from portal.embedded.servers import embedded_servers

# Rows that migrations and Django itself put there; emptying them would break the tests that follow.
KEPT_TABLES = ("django_migrations", "django_content_type", "auth_permission")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FAST = "fsync = off\nfull_page_writes = off\nsynchronous_commit = off\nshared_buffers = 128MB\nmax_wal_size = 1GB\n"


def pytest_unconfigure(config: pytest.Config) -> None:
    """The process that made the home takes it away, once the servers have left it."""
    home = Path(os.environ["APPORTION_TEST_HOME"])
    if os.environ.get("APPORTION_TEST_CONTROLLER") == str(os.getpid()):
        with ExitStack() as stack:
            if (home / "locks").exists():  # take part, so as to be the last to leave and wait for their end
                stack.enter_context(embedded_servers(settings.EMBEDDED, ["postgres", "redis"]))
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(settings.EMBEDDED.sockets, ignore_errors=True)


def chromium() -> str | None:
    """The browser's program, if any is installed."""
    return next((found for name in CHROMIUM if (found := shutil.which(name))), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if chromium():
        return
    skip = pytest.mark.skip(reason="no Chromium found: install the package chromium to run browser tests")
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    found = chromium()
    assert found is not None
    return found


@pytest.fixture(scope="session")
def servers() -> Iterator[None]:
    """PostgreSQL and Redis of this run; shared by its workers, gone with the last of them."""
    (settings.APPORTION_HOME / "postgres.options").write_text(FAST, encoding="ascii")
    with embedded_servers(settings.EMBEDDED, ["postgres", "redis"]):
        yield


def owner_connection(database: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=str(settings.EMBEDDED.postgres_socket_dir), user=OWNER_ROLE, dbname=database, autocommit=True
    )


@pytest.fixture(scope="session")
def django_db_setup(servers: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """A migrated database for this worker, under both aliases."""
    name = f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with owner_connection("apportion") as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    os.environ["APPORTION_TEST_DATABASE"] = name
    for alias in connections:
        connections[alias].close()
        connections[alias].settings_dict["NAME"] = name
        settings.DATABASES[alias]["NAME"] = name
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        call_command("migrate", database="owner", verbosity=0)
        connections["owner"].close()
    yield
    for alias in connections:
        connections[alias].close()


def empty_tables(self: TransactionTestCase) -> None:
    """Empty every table as the owner: the application's role has no TRUNCATE, and gets none for the tests."""
    name = str(connections["default"].settings_dict["NAME"])
    with owner_connection(name) as connection:
        rows = connection.execute(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace"
            " AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> ALL (%s)",
            [list(KEPT_TABLES)],
        ).fetchall()
        tables = sql.SQL(", ").join(sql.Identifier(str(row[0])) for row in rows)
        connection.execute("SET lock_timeout = '20s'")
        connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(tables))


TransactionTestCase._fixture_teardown = empty_tables  # type: ignore[attr-defined]


def manage(*arguments: str) -> list[str]:
    """The command line of a management command, for tests that start processes."""
    return [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments]
