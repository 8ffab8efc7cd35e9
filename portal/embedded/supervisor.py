"""Runs a whole portal: embedded servers, migrations, web, worker and beat, until told to stop.

    run_portal(port=8000, say=print, before=load_demo, on_ready=lambda address: ...)

`before` runs once the servers answer and the schema is current, before the web server starts;
`on_ready` gets the address when /readyz first answers 200. Both `manage.py up` and `manage.py demo`
call this. It returns 0 after SIGINT, SIGTERM or SIGHUP, with every process it started gone; it
raises Refused when it can't start.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, connections

from portal.embedded.places import make_home
from portal.embedded.processes import start
from portal.embedded.servers import embedded_servers, revive, where
from portal.embedded.static import collect_static
from portal.errors import Refused

POLL_SECONDS = 0.2
PORT_WAIT_SECONDS = 6  # what a killed portal left behind lets go of the port by then
QUICK_SECONDS = 10  # a child that lives shorter may be one that can't start
QUICK_ENDS = 5
LONGEST_PAUSE_SECONDS = 5  # between the end of a child and its next start
STOP_SECONDS = 5
Say = Callable[[str], None]


@dataclass(frozen=True)
class Program:
    """One child: how to run it, and the signals that end it gently and at once."""

    name: str
    arguments: tuple[str, ...]
    gentle: signal.Signals
    prompt: signal.Signals


def programs(host: str, port: int) -> list[Program]:
    celery = (sys.executable, "-m", "celery", "-A", "portal.celery")
    web = [
        sys.executable,
        "-m",
        "gunicorn",
        "portal.wsgi:application",
        "--bind",
        f"{host}:{port}",
        "--preload",
    ]
    web += ["--workers", str(settings.WEB_WORKERS), "--worker-class", "gthread", "--threads", "4"]
    web += [
        "--timeout",
        "120",
        "--graceful-timeout",
        "4",
        "--keep-alive",
        "15",
        "--no-control-socket",
    ]
    worker = [
        *celery,
        "worker",
        "--pool",
        "prefork",
        "--concurrency",
        str(settings.WORKER_PROCESSES),
    ]
    worker += ["--without-gossip", "--without-mingle", "--loglevel", settings.LOG_LEVEL]
    beat = [*celery, "beat", "--pidfile=", "--loglevel", settings.LOG_LEVEL]
    return [
        Program("web", tuple(web), signal.SIGTERM, signal.SIGQUIT),
        # Its cold shutdown was seen to hang; its pool ends with it (portal/jobs/tasks.py).
        Program("worker", tuple(worker), signal.SIGTERM, signal.SIGKILL),
        Program("beat", tuple(beat), signal.SIGTERM, signal.SIGTERM),
    ]


class Child:
    """A program that is started again when it ends."""

    def __init__(self, program: Program, say: Say) -> None:
        self.program = program
        self.say = say
        self.log = settings.EMBEDDED.logs / f"{program.name}.log"
        self.quick_ends = 0
        self.has_worked = False
        self.not_before = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        with self.log.open("ab") as log:
            self.process = start(
                self.program.arguments,
                log=log,
                environment=os.environ
                | {"APPORTION_HOME": str(settings.APPORTION_HOME), "C_FORCE_ROOT": "1"},
                directory=settings.BASE_DIR,
                last_signal=self.program.prompt,
            )
        self.began = time.monotonic()

    def look_after(self) -> None:
        """Start it if it is not running; Refused when it never worked and won't stay.

        One that has worked is started again for as long as the portal runs: what ends it over and
        over (a machine short of memory, someone's kill) passes, and must not take the portal along.
        """
        if self.process is None:
            if time.monotonic() >= self.not_before:
                self.begin()
            return
        status = self.process.poll()
        if status is None:
            return
        self.end_group()
        self.process = None
        if time.monotonic() - self.began < QUICK_SECONDS:
            self.quick_ends += 1
        else:
            self.quick_ends, self.has_worked = 0, True
        if self.quick_ends >= QUICK_ENDS and not self.has_worked:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])
            raise Refused(
                f"{self.program.name} ended {QUICK_ENDS} times right after its start. {self.log} "
                "says:\n"
                f"{tail}"
            )
        self.not_before = time.monotonic() + min(0.5 * self.quick_ends, LONGEST_PAUSE_SECONDS)
        self.say(
            f"{self.program.name} ended with status {status}; starting it again (log: {self.log})"
        )

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def gone(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def end_group(self) -> None:
        """End what the child left behind in its session, if anything."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


class Stopped(BaseException):
    """The portal was told to stop. Like KeyboardInterrupt, not to be caught as an error by what it
    interrupts.
    """


def run_portal(
    *,
    port: int,
    host: str = "127.0.0.1",
    say: Say,
    before: Callable[[], None] | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> int:
    """Serve until told to stop; see the module's docstring."""
    from portal.commands import servers_needed

    address = f"http://{host}:{port}"
    with only_portal(address), stop_signals():
        try:
            check_port(host, port)
            with embedded_servers(settings.EMBEDDED, servers_needed(), say):
                try:
                    set_up(say)
                except OperationalError as error:
                    raise Refused(f"the database can't be used: {str(error).strip()}") from error
                if before is not None:
                    before()
                connections.close_all()  # the supervisor itself asks nothing more
                supervise(host, port, say, on_ready)
        except Stopped:
            say("Stopped.")
    return 0


@contextlib.contextmanager
def only_portal(address: str) -> Iterator[None]:
    """Hold this home, or say who does."""
    make_home(settings.EMBEDDED)
    with (settings.EMBEDDED.locks / "portal").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Refused(
                f"a portal already runs on {settings.APPORTION_HOME} ({lock.read().strip()}): stop "
                "it first, or set another APPORTION_HOME and --port"
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()}, {address}\n")
        lock.flush()
        yield


@contextlib.contextmanager
def stop_signals() -> Iterator[None]:
    """Inside the block the first signal to stop raises Stopped; later ones are not heard, as all is
    on its way down.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(number: int, frame: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped

    previous = [(number, signal.signal(number, stop)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in previous:
            signal.signal(number, handler)


def check_port(host: str, port: int) -> None:
    """Refused when something else listens there."""
    began = time.monotonic()
    while True:
        try:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((host, port))
            return
        except OSError as error:
            if time.monotonic() - began > PORT_WAIT_SECONDS:
                raise Refused(
                    f"can't listen on {host}:{port}: {error.strerror}. Choose another with --port"
                ) from None
            time.sleep(POLL_SECONDS)


def set_up(say: Say) -> None:
    """Migrate as the owner, collect static files, and say what the operator should know."""
    from portal.commands import migrate_if_needed

    elsewhere = where(settings.EMBEDDED) if settings.EMBEDDED_POSTGRES else None
    if elsewhere:
        say(
            f"The database is kept in {elsewhere}, as its account can't reach "
            f"{settings.APPORTION_HOME}."
        )
    if not settings.EMBEDDED_POSTGRES and not settings.DATABASE_OWNER_URL:
        say(
            "Warning: without DATABASE_OWNER_URL the web server's role owns the tables. See "
            "docs/settings.md."
        )
    migrate_if_needed()
    call_command("check", stdout=io.StringIO())
    collect_static()


def supervise(host: str, port: int, say: Say, on_ready: Callable[[str], None] | None) -> None:
    """Keep everything running until a signal stops the portal; no child is left, however this
    ends.
    """
    from portal.commands import servers_needed

    children = [Child(program, say) for program in programs(host, port)]
    announced = False
    try:
        while True:
            revive(settings.EMBEDDED, servers_needed(), say)
            for child in children:
                child.look_after()
            if not announced and is_ready(host, port):
                announced = children[0].has_worked = True  # it is the web server that answered
                if on_ready is not None:
                    on_ready(f"http://{host}:{port}")
            time.sleep(POLL_SECONDS)
    finally:
        end(children)


def is_ready(host: str, port: int) -> bool:
    local = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - compared, not bound
    name = next((name for name in settings.ALLOWED_HOSTS if not name.startswith((".", "*"))), local)
    request = urllib.request.Request(f"http://{local}:{port}/readyz", headers={"Host": name})
    try:
        with urllib.request.urlopen(request, timeout=3) as response:  # noqa: S310 - this portal's own address
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def end(children: list[Child]) -> None:
    """Stop gently, then at once, then by force. A job that is cut short resumes when its lease
    ends.
    """
    for numbers in ("gentle", "prompt"):
        for child in children:
            child.signal(getattr(child.program, numbers))
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline and not all(child.gone() for child in children):
            time.sleep(0.05)
    for child in children:
        child.end_group()
        if child.process is not None:
            child.process.wait()
