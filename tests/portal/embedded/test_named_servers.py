"""With servers named in the environment nothing embedded is started, and less is taken for granted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

from django.conf import settings

from portal.embedded.layout import APP_ROLE, OWNER_ROLE
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
    environment = {name: value for name, value in os.environ.items() if not name.startswith("APPORTION_")} | {
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DATABASE_URL": f"postgresql://{APP_ROLE}@localhost:1/x",
    }
    command = [sys.executable, "manage.py", "up", "--port", "1"]

    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "SECRET_KEY must be set when DATABASE_URL is" in done.stderr
    assert "Traceback" not in done.stderr
