"""The embedded PostgreSQL: making its folder, and the command that runs it in the foreground."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import psycopg

from portal.embedded import places
from portal.embedded.places import APP_ROLE, DATABASE_NAME, OWNER_ROLE, HomePaths
from portal.embedded.processes import (
    EmbeddedError,
    ServerUser,
    command_line,
    run_as,
    server_account,
    this_user,
)

STOP = signal.SIGINT  # a fast shutdown: sessions are ended, data is checkpointed
KILL_AFTER_SECONDS = 60

# Only the two roles, only over the socket, only from this user. There is no way in as the
# superuser.
HBA = f"local all {OWNER_ROLE},{APP_ROLE} peer map=apportion\n"
BOOTSTRAP = (
    f"CREATE ROLE {OWNER_ROLE} LOGIN CREATEDB;",
    f"CREATE ROLE {APP_ROLE} LOGIN;",
    f"CREATE DATABASE {DATABASE_NAME} OWNER {OWNER_ROLE};",
)


def tuning() -> dict[str, str]:
    """Settings for a small machine that loads in bulk; durability stays as PostgreSQL ships it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024**2
    return {
        "shared_buffers": f"{min(1024, max(128, memory // 8))}MB",
        "effective_cache_size": f"{max(256, memory // 2)}MB",
        "work_mem": "32MB",
        "maintenance_work_mem": "256MB",
        "max_connections": "100",
        "max_wal_size": "4GB",
        "min_wal_size": "512MB",
        "wal_compression": "on",
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",
        "jit": "off",
        "fsync": "on",
        "synchronous_commit": "on",
        "timezone": "UTC",
    }


def own_options(layout: HomePaths) -> dict[str, str]:
    """What the operator adds: lines `name = value` in postgres.options in the home."""
    file = layout.home / "postgres.options"
    if not file.exists():
        return {}
    lines = (
        line.split("#")[0].partition("=") for line in file.read_text(encoding="utf-8").splitlines()
    )
    return {name.strip(): value.strip() for name, _, value in lines if name.strip()}


def prepare(layout: HomePaths) -> tuple[list[str | Path], ServerUser]:
    """Make the database folder at the first start; the command that serves it, and whom it runs
    as.
    """
    account = server_account()
    programs = places.postgres_programs(account) / "bin"
    data = places.data_folder(layout, account)
    sockets = places.socket_folder(layout, "pg", account)
    if not (data / "PG_VERSION").exists():
        initialise(programs, data, account)
    if data.stat().st_uid != account.uid:
        raise EmbeddedError(
            f"the database in {data} was made by another user: start as that user, or as root did"
        )
    (data / "pg_hba.conf").write_text(HBA, encoding="ascii")
    (data / "pg_ident.conf").write_text(
        "".join(f'apportion "{this_user()}" {role}\n' for role in (OWNER_ROLE, APP_ROLE)),
        encoding="utf-8",
    )
    end_orphan(data)
    for lock in sockets.glob(".s.PGSQL.*"):
        lock.unlink()
    options = (
        tuning()
        | {"listen_addresses": "", "unix_socket_directories": str(sockets)}
        | own_options(layout)
    )
    command: list[str | Path] = [programs / "postgres", "-D", data]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    return command, account


def initialise(programs: Path, data: Path, account: ServerUser) -> None:
    """Make the folder under another name and rename it when whole, so that a crash here leaves
    nothing to mistake.
    """
    draft = data.with_name("postgres.new")
    if draft.exists():
        shutil.rmtree(draft)
    places.make_folder(draft, mode=0o700, account=account)
    run_as(
        account,
        [
            programs / "initdb",
            "-D",
            draft,
            "-U",
            "postgres",
            "--locale=C",
            "--encoding=UTF8",
            "--auth=peer",
        ],
    )
    # Single-user mode: each line is one statement, and no server listens meanwhile.
    printed = run_as(
        account,
        [
            programs / "postgres",
            "--single",
            "-D",
            draft,
            "-c",
            "log_min_messages=error",
            "postgres",
        ],
        text="\n".join(BOOTSTRAP) + "\n",
    )
    if "ERROR:" in printed:
        raise EmbeddedError(f"the database roles can't be made: {printed.strip()}")
    draft.rename(data)


def end_orphan(data: Path) -> None:
    """End a server that a killed keeper left, and drop a pid file whose number is some other
    process's by now.
    """
    file = data / "postmaster.pid"
    try:
        pid = int(file.read_text(encoding="ascii").splitlines()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return
    began = time.monotonic()
    while str(data) in command_line(pid):
        late = time.monotonic() - began > KILL_AFTER_SECONDS
        os.kill(pid, signal.SIGQUIT if late else STOP)
        time.sleep(0.5)
    file.unlink(missing_ok=True)


def answers(layout: HomePaths) -> bool:
    """Whether a session of the application's role gets an answer."""
    try:
        with psycopg.connect(layout.database_url(APP_ROLE), connect_timeout=5) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True
