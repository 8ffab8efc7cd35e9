"""Two sizes of a portal side by side: each in a process and a home of its own, asked by turns on
its standard input.

A machine whose speed drifts then drifts for both. In the child, `answering` prints one JSON line
per line it reads.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
READY = "[]"


@contextmanager
def child_of(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The script in a home of its own, once it is ready; settings are read once, so a process has
    one home.
    """
    home = Path(tempfile.mkdtemp(prefix="apportion-bench-"))
    home.chmod(0o755)
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DATABASE_URL", "CELERY_BROKER_URL")
    }
    environment |= {
        "APPORTION_HOME": str(home),
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "PYTHONPATH": str(ROOT),
    }
    child = subprocess.Popen(
        [sys.executable, script, *arguments],
        env=environment,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        answer(child)
        yield child
    finally:
        child.communicate()  # its standard input ends, so it stops its servers
        shutil.rmtree(home, ignore_errors=True)


def ask(child: subprocess.Popen[str], question: str) -> list[float]:
    """Numbers that the child answers with."""
    if child.stdin is None:
        raise SystemExit("the measuring process has no standard input")
    child.stdin.write(question + "\n")
    child.stdin.flush()
    return answer(child)


def answer(child: subprocess.Popen[str]) -> list[float]:
    for line in child.stdout or ():
        if line.startswith("["):
            found: list[float] = json.loads(line)
            return found
    raise SystemExit("the measuring process ended")


@contextmanager
def servers() -> Iterator[None]:
    """In the child: Django and an empty, migrated database inside the block."""
    import django
    from django.conf import settings

    django.setup()
    from django.core.management import call_command

    from portal.embedded.servers import embedded_servers

    with embedded_servers(settings.EMBEDDED, ["postgres"]):
        call_command("migrate", database="owner", verbosity=0)
        yield


def answering(measured: Callable[[str], list[Any]]) -> None:
    """In the child: say that it is ready, and answer each line of standard input until that
    ends.
    """
    print(READY, flush=True)
    for line in sys.stdin:
        print(json.dumps(measured(line.strip())), flush=True)
