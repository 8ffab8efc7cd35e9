"""With servers named in the environment nothing embedded is started, and less is taken for
granted.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

from django.conf import settings

from portal.embedded.places import APP_ROLE, OWNER_ROLE
from tests.portals import CHECKOUT, Portal


def test_named_servers_are_used_and_a_missing_owner_is_warned_of(
    servers: None, new_portal: Callable[..., Portal]
) -> None:
    portal = new_portal(
        DATABASE_URL=settings.EMBEDDED.database_url(OWNER_ROLE),
        CELERY_BROKER_URL=settings.EMBEDDED.broker_url() + "?virtual_host=9",
        SECRET_KEY="a key for a test",
    ).start()

    assert "Warning: without DATABASE_OWNER_URL" in portal.output.read_text()
    assert not portal.processes("bin/postgres -D")
    assert not (portal.home / "postgres").exists()
    assert portal.stop() == 0


def test_a_named_database_needs_a_secret_key_and_an_owner_that_migrates() -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("APPORTION_")
    } | {
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DATABASE_URL": f"postgresql://{APP_ROLE}@localhost:1/x",
    }
    command = [sys.executable, "manage.py", "up", "--port", "1"]

    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "SECRET_KEY must be set when DATABASE_URL is" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_named_database_that_does_not_answer_is_told_in_one_line(
    new_portal: Callable[..., Portal],
) -> None:
    portal = new_portal(
        DATABASE_URL="postgresql://someone@127.0.0.1:1/x", SECRET_KEY="a key for a test"
    )

    done = portal.manage("up", "--port", str(portal.port))

    assert done.returncode == 1
    assert "the database can't be used: connection failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_commands_that_start_at_once_share_one_start_and_one_migration(
    new_portal: Callable[..., Portal],
) -> None:
    portal = new_portal(DJANGO_SETTINGS_MODULE="portal.settings")
    command = [sys.executable, "manage.py", "reconcile", "2026-09", "--json"]
    running = [
        subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env=portal.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]

    ends = [(process.communicate(timeout=240), process.returncode) for process in running]

    assert {status for _, status in ends} <= {0, 1}
    assert [errors.decode() for (_, errors), _ in ends if b"Traceback" in errors] == []
    assert {"postgres"} == {
        path.name
        for path in portal.home.iterdir()
        if path.name.startswith("postgres") and path.is_dir()
    }
    assert portal.processes("") == []
