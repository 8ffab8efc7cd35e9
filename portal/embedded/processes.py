"""Starting child processes that end with their parent, and the accounts they run as."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
UNPRIVILEGED = ("nobody", "daemon")  # accounts that every Linux has; none is made
LIBC = ctypes.CDLL(None, use_errno=True)


class EmbeddedError(Exception):
    """An embedded server can't run: what, where, and what to do."""


@dataclass(frozen=True)
class ServerUser:
    """Whom a server runs as."""

    name: str
    uid: int
    gid: int

    @property
    def is_other(self) -> bool:
        return self.uid != os.geteuid()


def server_account() -> ServerUser:
    """This user, or, for root, an unprivileged account: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        try:
            entry = pwd.getpwuid(os.geteuid())
        except KeyError:
            raise EmbeddedError(
                f"user id {os.geteuid()} has no name in /etc/passwd, which PostgreSQL needs: "
                "add one, or name a server with DATABASE_URL"
            ) from None
        return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid)
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(
        "run as a user other than root: no account named nobody or daemon exists to run PostgreSQL "
        "as"
    )


def this_user() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def can(account: ServerUser, path: Path, mode: int) -> bool:
    """Whether the account may use the path so (os.R_OK, os.X_OK ...); asked of the kernel, as that
    account.
    """
    if not account.is_other:
        return os.access(path, mode)
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(account.gid)
            os.setuid(account.uid)
            os._exit(0 if os.access(path, mode) else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def end_with_parent(number: signal.Signals) -> None:
    """Ask the kernel to send the signal to this process when the parent is gone, however it
    went.
    """
    parent = os.getppid()
    LIBC.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def start(
    arguments: Sequence[str | Path],
    *,
    account: ServerUser | None = None,
    log: IO[bytes] | None = None,
    environment: dict[str, str] | None = None,
    directory: Path | None = None,
    last_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """The running child, in a session of its own; gets `last_signal` should this process die.

    The parent's thread that calls this must outlive the child: the kernel watches the thread, not
    the process.
    """
    parent = os.getpid()

    def tie() -> None:
        # After subprocess has changed the user: a change of user clears the setting.
        LIBC.prctl(PR_SET_PDEATHSIG, int(last_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    other = account is not None and account.is_other
    return subprocess.Popen(
        [str(argument) for argument in arguments],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT if log else None,
        env=environment,
        cwd=directory,
        start_new_session=True,
        preexec_fn=tie,
        user=account.uid if other and account else None,
        group=account.gid if other and account else None,
        extra_groups=[] if other else None,
    )


def run_as(account: ServerUser, arguments: Sequence[str | Path], *, text: str = "") -> str:
    """What the program printed; EmbeddedError with its last lines when it fails."""
    other = account.is_other
    done = subprocess.run(
        [str(argument) for argument in arguments],
        input=text,
        capture_output=True,
        text=True,
        cwd="/",
        user=account.uid if other else None,
        group=account.gid if other else None,
        extra_groups=[] if other else None,
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise EmbeddedError(
            f"{Path(str(arguments[0])).name} ended with status {done.returncode}:\n{tail}"
        )
    return done.stdout + done.stderr


def command_line(pid: int) -> str:
    """The process's arguments joined by blanks; empty when there is none."""
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except OSError:
        return ""
