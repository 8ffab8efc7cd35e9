"""Real servers for every test: one embedded PostgreSQL and Redis per run, one database per worker.

Tests connect as the application's role (alias "default"), so its grants are tested all the time. A
test that needs the owner says `@pytest.mark.django_db(databases=["default", "owner"])`. Whole
portals: `embedded_portal`, `new_portal`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import TransactionTestCase
from psycopg import sql

from portal.celery import app as celery
from portal.embedded.places import OWNER_ROLE
from portal.embedded.servers import embedded_servers
from tests.portals import Portal

# Rows that migrations and Django itself put there; emptying them would break the tests that follow.
KEPT_TABLES = ("django_migrations", "django_content_type", "auth_permission")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The longest first, a quarter of a minute and more, so that no worker of a run is left alone with
# one at the end.
LONG_FILES = (
    "test_browser_walk.py",
    "test_demo_load.py",
    "test_up.py",
    "test_receiver_live.py",
    "test_job_faults.py",
    "test_import_kills.py",
    "test_hostile_text.py",
    "test_split_properties.py",
    "test_month_properties.py",
    "test_shared_properties.py",
    "test_changing_months.py",
    "test_named_servers.py",
    "test_access_matrix.py",
    "test_import_files.py",
    "test_rule_editor_in_browser.py",
    "test_reconciliation_page.py",
    "test_money_and_periods.py",
    "test_ownership_page.py",
    "test_demo_files.py",
    "test_charts_in_browser.py",
    "test_gap.py",
)
FAST = (
    "fsync = off\n"
    "full_page_writes = off\n"
    "synchronous_commit = off\n"
    "shared_buffers = 128MB\n"
    "max_wal_size = 1GB\n"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-snapshots",
        action="store_true",
        help="write the reviewed texts under tests/**/snapshots anew",
    )


@pytest.fixture
def update_snapshots(request: pytest.FixtureRequest) -> bool:
    """Whether reviewed texts are written instead of compared."""
    return bool(request.config.getoption("--update-snapshots"))


def pytest_unconfigure(config: pytest.Config) -> None:
    """The process that made the home takes it away, once the servers have left it."""
    home = Path(os.environ["APPORTION_TEST_HOME"])
    if os.environ.get("APPORTION_TEST_CONTROLLER") == str(os.getpid()):
        with ExitStack() as stack:
            if (
                home / "locks"
            ).exists():  # take part, so as to be the last to leave and wait for their end
                stack.enter_context(embedded_servers(settings.EMBEDDED, ["postgres", "redis"]))
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(settings.EMBEDDED.sockets, ignore_errors=True)


def chromium() -> str | None:
    """The browser's program, if any is installed."""
    return next((found for name in CHROMIUM if (found := shutil.which(name))), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(
        key=lambda item: (
            LONG_FILES.index(item.path.name) if item.path.name in LONG_FILES else len(LONG_FILES)
        )
    )
    if chromium():
        return
    skip = pytest.mark.skip(
        reason="no Chromium found: install the package chromium to run browser tests"
    )
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


def worker_number() -> int:
    """1, 2 ... for the workers of pytest-xdist, 0 without."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw-1").removeprefix("gw")) + 1


def owner_connection(database: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=str(settings.EMBEDDED.postgres_socket_dir),
        user=OWNER_ROLE,
        dbname=database,
        autocommit=True,
    )


@pytest.fixture(scope="session")
def django_db_setup(servers: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """A migrated database for this worker, under both aliases."""
    name = f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with owner_connection("apportion") as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    broker = f"{settings.CELERY_BROKER_URL}?virtual_host={worker_number()}"
    os.environ |= {"APPORTION_TEST_DATABASE": name, "APPORTION_TEST_BROKER": broker}
    settings.CELERY_BROKER_URL = broker
    celery.conf.update(broker_url=broker)
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
    """Empty every table as the owner: the application's role has no TRUNCATE, and gets none for the
    tests.
    """
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


@pytest.fixture(autouse=True)
def forget_dimensions() -> None:
    """The OTLP store and the checks of rules remember ids of a database that tests empty and roll
    back.
    """
    from allocation.preview import rule_test_data as rule_world
    from portal.ingest.otlp.traces import known

    known.forget()
    rule_world.forget()


@pytest.fixture
def new_portal() -> Iterator[Callable[..., Portal]]:
    """Makes portals on homes of their own, not yet started; each is ended and removed after the
    test.
    """
    made: list[Portal] = []

    def make(**environment: str) -> Portal:
        home = Path(tempfile.mkdtemp(prefix="apportion-portal-"))
        home.chmod(0o755)
        made.append(Portal(home, **environment))
        return made[-1]

    yield make
    for portal in made:
        remove(portal)


@pytest.fixture(scope="module")
def embedded_portal() -> Iterator[Portal]:
    """A running portal, one per test file: `manage.py up` with web, worker, beat, PostgreSQL and
    Redis.
    """
    home = Path(tempfile.mkdtemp(prefix="apportion-portal-"))
    home.chmod(0o755)
    # So that tests of killed workers need not wait half a minute.
    portal = Portal(home, JOB_LEASE_SECONDS="4")
    try:
        yield portal.start()
    finally:
        remove(portal)


def remove(portal: Portal) -> None:
    portal.clean_up()
    shutil.rmtree(portal.home)
    shutil.rmtree(portal.layout.sockets, ignore_errors=True)
    portal.output.unlink(missing_ok=True)
