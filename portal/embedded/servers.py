"""Using the embedded servers: start what is needed, share what runs, leave things as they were
found.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from portal.embedded import places
from portal.embedded.keeper import SERVERS
from portal.embedded.places import HomePaths
from portal.embedded.processes import EmbeddedError, can, command_line, server_account

START_SECONDS = 900  # a crash recovery may replay gigabytes
KEEPER = "portal.embedded.keeper"
CODE = Path(__file__).resolve().parents[2]


def quiet(text: str) -> None:
    """Say nothing."""


@contextlib.contextmanager
def embedded_servers(
    layout: HomePaths, names: list[str], say: Callable[[str], None] = quiet
) -> Iterator[None]:
    """The named servers ("postgres", "redis") answer inside the block; afterwards those nobody else
    uses are gone.
    """
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(in_use(layout, name, say))
        yield


@contextlib.contextmanager
def in_use(layout: HomePaths, name: str, say: Callable[[str], None]) -> Iterator[None]:
    places.make_home(layout)
    with (layout.locks / f"{name}.users").open("wb") as users:
        fcntl.flock(users, fcntl.LOCK_SH)  # waits while a keeper that saw no users is leaving
        start_keeper(layout, name, say)
        try:
            yield
        finally:
            leave(layout, name, users)


def start_keeper(layout: HomePaths, name: str, say: Callable[[str], None]) -> None:
    """Return once the server answers; start its keeper if there is none."""
    failed = layout.logs / f"{name}.failed"
    began, spoken = time.monotonic(), 0.0
    keeper: subprocess.Popen[bytes] | None = None
    while not SERVERS[name].answers(layout):
        if (keeper is None or keeper.poll() == 0) and not is_kept(layout, name):
            failed.unlink(missing_ok=True)
            keeper = spawn(layout, name)
        if keeper is not None and keeper.poll() not in (None, 0):
            reason = (
                failed.read_text(encoding="utf-8")
                if failed.exists()
                else f"see {layout.logs / name}.log"
            )
            raise EmbeddedError(f"{name} can't be started: {reason}")
        waited = time.monotonic() - began
        if waited > START_SECONDS:
            raise EmbeddedError(
                f"{name} did not answer within {START_SECONDS} s: see {layout.logs / name}.log"
            )
        if waited - spoken >= 10:
            spoken = waited
            say(
                f"Waiting for {name} ({waited:.0f} s); after a crash it first recovers. Log: "
                f"{layout.logs / name}.log"
            )
        time.sleep(0.05)


def revive(layout: HomePaths, names: list[str], say: Callable[[str], None]) -> None:
    """For a long-lived user: start the keepers that were killed. Returns at once."""
    for name in names:
        if not is_kept(layout, name):
            say(f"The keeper of {name} ended; starting it again (log: {layout.logs / name}.log)")
            spawn(layout, name)
            time.sleep(1)  # until it holds its lock


def spawn(layout: HomePaths, name: str) -> subprocess.Popen[bytes]:
    """A keeper on its own: not a child to be ended with this process, and deaf to the terminal's
    Ctrl-C.
    """
    with (layout.logs / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", KEEPER, name, str(layout.home)],
            cwd=CODE,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def is_kept(layout: HomePaths, name: str) -> bool:
    """Whether a keeper of this server runs."""
    with (layout.locks / f"{name}.keeper").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def leave(layout: HomePaths, name: str, users: IO[bytes]) -> None:
    """Give up the server; if nobody else uses it, wait until it is down."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        last = True
    except BlockingIOError:
        last = False
    pid = (layout.locks / f"{name}.keeper").read_text(encoding="ascii")
    fcntl.flock(users, fcntl.LOCK_UN)
    began = time.monotonic()
    while last and pid and KEEPER in command_line(int(pid)) and time.monotonic() - began < 90:
        time.sleep(0.02)


def where(layout: HomePaths) -> str | None:
    """The place of the database when it is not in the home, else None."""
    account = server_account()
    if account.is_other and not can(account, layout.home, os.X_OK):
        return str(places.data_folder(layout, account))
    return None
