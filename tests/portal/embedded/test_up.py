"""`manage.py up`: starting, stopping, and what dies in between."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable

import pytest

from tests.portals import Portal, wait_until

CHILDREN = {
    "web": "gunicorn portal.wsgi",
    "worker": "portal.celery worker",
    "beat": "portal.celery beat",
    "postgres": "bin/postgres -D",
    "postgres keeper": "embedded.keeper postgres",
    "redis": "redis-server",
}


def test_up_serves_and_ctrl_c_leaves_nothing(new_portal: Callable[..., Portal]) -> None:
    portal = new_portal().start()
    assert all(portal.processes(mark) for name, mark in CHILDREN.items() if name != "redis")
    ready = f"Apportion is ready: {portal.address}"
    wait_until(lambda: ready in portal.output.read_text(), seconds=30, what="the line that says so")

    began = time.monotonic()
    status = portal.stop(signal.SIGINT)

    assert status == 0
    assert time.monotonic() - began < 15
    assert portal.processes("") == []
    assert oct((portal.home / "secret_key").stat().st_mode & 0o777) == "0o600"


def test_data_outlives_a_stop_and_a_start(new_portal: Callable[..., Portal]) -> None:
    portal = new_portal().start()
    job = portal.enqueue("staged_load", rows=1, mark="kept", seconds=0)
    assert portal.job_ends(job, seconds=20)[0] == "succeeded"
    assert portal.stop(signal.SIGTERM) == 0

    portal.start()

    assert portal.value("SELECT count(*) FROM auth_group WHERE name = 'kept 0'") == 1


def test_a_second_up_says_so_and_a_taken_port_too(embedded_portal: Portal) -> None:
    second = embedded_portal.manage("up", "--port", "1")

    assert second.returncode == 1
    assert second.stderr.startswith(f"a portal already runs on {embedded_portal.home} (process ")
    assert embedded_portal.address in second.stderr
    assert embedded_portal.get("/readyz")[0] == 200


def test_a_taken_port_is_named(new_portal: Callable[..., Portal]) -> None:
    portal = new_portal()
    with socket.socket() as other:
        other.bind(("127.0.0.1", portal.port))
        other.listen()
        done = portal.manage("up", "--port", str(portal.port))

    assert done.returncode == 1
    assert done.stderr == (
        f"can't listen on 127.0.0.1:{portal.port}: Address already in use. Choose another with "
        "--port\n"
    )


@pytest.mark.parametrize("name", ["web", "worker", "beat", "postgres", "postgres keeper"])
def test_a_killed_child_is_started_again(embedded_portal: Portal, name: str) -> None:
    killed = embedded_portal.main_process(CHILDREN[name])
    killed.kill()

    def back() -> bool:
        return any(each.pid != killed.pid for each in embedded_portal.processes(CHILDREN[name]))

    wait_until(back, seconds=20, what=f"a new {name}")
    embedded_portal.wait_ready(60)
    job = embedded_portal.enqueue("staged_load", rows=1, mark=f"after {name}", seconds=0)
    assert embedded_portal.job_ends(job, seconds=60)[0] == "succeeded"


def test_after_a_killed_parent_nothing_is_left_and_the_next_up_recovers(
    new_portal: Callable[..., Portal],
) -> None:
    portal = new_portal().start()
    job = portal.enqueue("staged_load", rows=100, mark="cut", seconds=5)
    wait_until(
        lambda: portal.value("SELECT status FROM jobs_job WHERE id = %s", job) == "running",
        seconds=20,
        what="a start",
    )
    assert portal.process is not None
    portal.process.kill()
    portal.process.wait()
    portal.start()

    assert portal.job_ends(job, seconds=90) == ("succeeded", {"rows": 100}, 2)
    assert portal.value("SELECT count(*) FROM auth_group") == 100
    assert portal.stop() == 0
    assert portal.processes("") == []
