"""A portal of its own for a benchmark: a home that goes away afterwards, its database migrated and
empty.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def set_up() -> Path:
    """Point Django at a new home and load it; call before importing anything that needs
    settings.
    """
    home = Path(tempfile.mkdtemp(prefix="apportion-bench-"))
    home.chmod(0o755)
    sys.path.insert(0, str(CHECKOUT))
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "CELERY_BROKER_URL"):
        os.environ.pop(name, None)
    os.environ |= {"APPORTION_HOME": str(home), "DJANGO_SETTINGS_MODULE": "portal.settings"}

    import django

    django.setup()
    return home


@contextmanager
def servers(home: Path) -> Iterator[None]:
    """The database answers inside the block; the home is gone after it."""
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connections

    from portal.embedded.servers import embedded_servers

    try:
        with embedded_servers(settings.EMBEDDED, ["postgres"]):
            call_command("migrate", database="owner", verbosity=0)
            yield
            connections.close_all()
    finally:
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(settings.EMBEDDED.sockets, ignore_errors=True)
