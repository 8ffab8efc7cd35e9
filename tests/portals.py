"""A whole portal for tests: `manage.py up` in processes of its own, on a home, port and database of
its own.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg

from portal.embedded.places import APP_ROLE, HomePaths

CHECKOUT = Path(__file__).resolve().parents[1]
STAGED = "tests.staged.settings"  # the portal's settings and a few handlers that tests steer


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until(holds: Callable[[], Any], *, seconds: float, what: str) -> Any:
    """The first true value; AssertionError, saying what was awaited, when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.1)
    return value


class Portal:
    """One home and the portal that runs on it."""

    def __init__(self, home: Path, *, settings: str = STAGED, **environment: str) -> None:
        self.home = home
        self.layout = HomePaths(home=home)
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("APPORTION_TEST_")
        } | {"APPORTION_HOME": str(home), "DJANGO_SETTINGS_MODULE": settings, **environment}
        self.output = home.with_name(f"{home.name}.output")
        self.process: subprocess.Popen[str] | None = None

    def start(self, *, wait: bool = True) -> Portal:
        with self.output.open("a") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--port", str(self.port)],
                cwd=CHECKOUT, env=self.environment, stdout=output, stderr=output, text=True,
            )  # fmt: skip
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds: float = 90) -> None:
        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.output.read_text()
            return self.get("/readyz")[0] == 200

        wait_until(ready, seconds=seconds, what=f"/readyz; {self.output.read_text()[-2000:]}")

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Tell `up` to end; its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=45)

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        """(status, headers, body); status 0 when nothing answers."""
        request = urllib.request.Request(self.address + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, dict(response.headers), response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read().decode()
        except (urllib.error.URLError, OSError):
            return 0, {}, ""

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=CHECKOUT, env=self.environment, capture_output=True, text=True, timeout=300,
                check=False,
        )  # fmt: skip

    def enqueue(self, kind: str, **payload: Any) -> int:
        """The id of a job asked for by a process of its own, as a web request would."""
        done = self.manage("enqueue", kind, json.dumps(payload))
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What the application's role sees."""
        address = self.layout.database_url(APP_ROLE)
        with psycopg.connect(address, autocommit=True, connect_timeout=5) as connection:
            return connection.execute(statement.encode(), values).fetchall()

    def value(self, statement: str, *values: object) -> Any:
        return self.rows(statement, *values)[0][0]

    def job_ends(self, job: int, *, seconds: float) -> tuple[str, dict[str, Any] | None, int]:
        """(status, result, attempts) once the job has ended."""

        def ended() -> tuple[Any, ...] | None:
            try:
                row = self.rows("SELECT status, result, attempts FROM jobs_job WHERE id = %s", job)[
                    0
                ]
            except psycopg.OperationalError:
                return None
            return row if row[0] in ("succeeded", "failed") else None

        return wait_until(ended, seconds=seconds, what=f"the end of job {job}")  # type: ignore[no-any-return]

    def processes(self, mark: str) -> list[psutil.Process]:
        """Processes of this portal whose command line holds the mark."""
        return [
            process
            for process in psutil.process_iter()
            if mark in command_of(process)
            and (
                str(self.home) in environment_of(process)
                or str(self.layout.sockets) in command_of(process)
            )
        ]

    def main_process(self, mark: str) -> psutil.Process:
        """The oldest of them: the one that the supervisor or keeper started."""
        return min(self.processes(mark), key=lambda process: process.create_time())

    def stop_postgres(self) -> None:
        """Take the database away: its keeper is suspended, so that nothing starts it again."""
        self.main_process("embedded.keeper postgres").suspend()
        server = self.main_process("bin/postgres -D")
        server.send_signal(signal.SIGINT)
        wait_until(
            lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE,
            seconds=30,
            what="its end",
        )

    def start_postgres(self) -> None:
        self.main_process("embedded.keeper postgres").resume()
        wait_until(self.database_answers, seconds=60, what="the database")

    def database_answers(self) -> bool:
        try:
            return bool(self.value("SELECT true"))
        except psycopg.OperationalError:
            return False

    def clean_up(self) -> None:
        """End whatever is left, whatever a test did."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        wait_until(
            lambda: not self.processes(""),
            seconds=60,
            what="the end of every process of the portal",
        )


def command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def environment_of(process: psutil.Process) -> str:
    """The home a process works on: in its environment, or among its arguments."""
    try:
        return process.environ().get("APPORTION_HOME", "") + " " + command_of(process)
    except psutil.Error:
        return command_of(process)
