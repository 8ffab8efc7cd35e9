"""Keeps one embedded server running for as long as any process uses it: `python -m
portal.embedded.keeper NAME HOME`.

Users hold a shared lock on `locks/NAME.users`; the kernel frees it however a user ends. The keeper
restarts its server when that dies, and stops it and leaves once it can take the lock for itself.
One keeper runs per server and home, by an exclusive lock on `locks/NAME.keeper`, so there are no
pid files to be stale.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import IO

from portal.embedded import postgres, redis
from portal.embedded.places import HomePaths
from portal.embedded.processes import EmbeddedError, start

SERVERS: dict[str, ModuleType] = {"postgres": postgres, "redis": redis}
POLL_SECONDS = 0.2
LOG_MAX_BYTES = 10 * 1024**2


def say(log: IO[bytes], text: str) -> None:
    log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} keeper: {text}\n".encode())


def open_log(layout: HomePaths, name: str) -> IO[bytes]:
    """The server's log, unbuffered; a large one is put aside once."""
    path = layout.logs / f"{name}.log"
    if path.exists() and path.stat().st_size > LOG_MAX_BYTES:
        path.rename(path.with_suffix(".log.old"))
    return path.open("ab", buffering=0)


def stop(child: subprocess.Popen[bytes], server: ModuleType) -> None:
    """End the server as it likes best, then by force."""
    child.send_signal(server.STOP)
    try:
        child.wait(timeout=60)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGQUIT)
        child.wait()


def keep(layout: HomePaths, name: str, users: IO[bytes], log: IO[bytes]) -> None:
    """Run the server, again and again, until nobody uses it."""
    server = SERVERS[name]
    child: subprocess.Popen[bytes] | None = None
    wait = 0.0
    while not unused(users):
        if child is None:
            command, account = server.prepare(layout)
            child = start(
                command, account=account, log=log, directory=Path("/"), last_signal=server.STOP
            )
            began = time.monotonic()
        try:
            status = child.wait(timeout=POLL_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        wait = 0.0 if time.monotonic() - began > 10 else min(wait + 0.5, 5.0)
        say(log, f"{name} ended with status {status}; starting it again")
        child = None
        time.sleep(wait)
    if child is not None:
        stop(child, server)


def unused(users: IO[bytes]) -> bool:
    """Whether this keeper now holds the users' lock alone; then newcomers wait until it is gone."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def taken(mine: IO[bytes]) -> bool:
    """Whether this is the one keeper now. Patient for a moment: others look at the lock by taking
    it.
    """
    deadline = time.monotonic() + 1
    while True:
        try:
            fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def main(name: str, home: str) -> int:
    layout = HomePaths(home=Path(home))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it leaves when its last user does
    with (
        (layout.locks / f"{name}.keeper").open("ab") as mine,
        (layout.locks / f"{name}.users").open("wb") as users,
        open_log(layout, name) as log,
    ):
        if not taken(mine):
            return 0  # another keeper was quicker
        mine.truncate(0)
        mine.write(str(os.getpid()).encode())
        mine.flush()
        say(log, f"keeping {name}, process {os.getpid()}")
        try:
            keep(layout, name, users, log)
        except (EmbeddedError, OSError) as error:
            say(log, f"can't run {name}: {error}")
            (layout.logs / f"{name}.failed").write_text(str(error), encoding="utf-8")
            return 1
        say(log, f"{name} stopped, as nobody uses it")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
