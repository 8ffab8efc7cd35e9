"""Jobs when things die: a worker, a database backend, the broker, the process that asked. Over a
whole portal.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests.portals import CHECKOUT, Portal, wait_until

SESSION = "sessionid=abcdefghijklmnopqrstuvwxyz123456"  # to be looked up in the database


def start_load(portal: Portal, mark: str, *, rows: int = 60, seconds: float = 3) -> int:
    return portal.enqueue("staged_load", mark=mark, rows=rows, seconds=seconds)


def loaded(portal: Portal, mark: str) -> Any:
    return portal.value("SELECT count(*) FROM auth_group WHERE name LIKE %s", f"{mark} %")


def wait_progress(portal: Portal, job: int, least: int) -> None:
    wait_until(
        lambda: portal.value(
            "SELECT status = 'running' AND progress_done >= %s FROM jobs_job WHERE id = %s",
            least,
            job,
        ),
        seconds=60,
        what=f"progress {least} of job {job}",
    )


def holder(portal: Portal, job: int) -> psutil.Process:
    """The pool process that has the job."""
    worker: str = portal.value("SELECT worker FROM jobs_job WHERE id = %s", job)
    return psutil.Process(int(worker.rpartition(":")[2]))


@pytest.mark.parametrize("whole_worker", [False, True], ids=["pool process", "whole worker"])
@pytest.mark.parametrize("least", [20])
def test_fault_055_a_killed_worker_leaves_nothing_and_the_job_resumes(
    embedded_portal: Portal, least: int, whole_worker: bool
) -> None:
    mark = f"kill {least} {whole_worker}"
    job = start_load(embedded_portal, mark)
    wait_progress(embedded_portal, job, least)

    victim = holder(embedded_portal, job)
    if whole_worker:
        victim = victim.parent() or victim
    victim.kill()
    assert loaded(embedded_portal, mark) == 0

    assert embedded_portal.job_ends(job, seconds=60) == ("succeeded", {"rows": 60}, 2)
    assert loaded(embedded_portal, mark) == 60


def test_fault_056_a_killed_database_backend_costs_a_retry_and_no_manual_step(
    embedded_portal: Portal,
) -> None:
    """PostgreSQL ends every session and recovers; web answers 503 or waits, the worker reconnects
    and tries again.
    """
    job = start_load(embedded_portal, "backend")
    wait_progress(embedded_portal, job, 10)
    (backend,) = embedded_portal.rows(
        "SELECT pid FROM pg_stat_activity"
        " WHERE state LIKE '%%in transaction%%' OR query LIKE '%%auth_group%%'"
        " AND pid <> pg_backend_pid()"
    )[0]
    os.kill(backend, signal.SIGKILL)

    statuses = set()
    for _ in range(30):
        status, headers, _ = embedded_portal.get("/api/v1/teams/", Cookie=SESSION)
        statuses.add(status)
        assert status != 503 or headers["Retry-After"] == "5"
        time.sleep(0.05)

    assert statuses <= {401, 403, 503}
    assert embedded_portal.job_ends(job, seconds=90) == ("succeeded", {"rows": 60}, 2)
    assert loaded(embedded_portal, "backend") == 60


def test_fault_056_while_the_database_is_away_pages_and_api_answer_503_and_jobs_wait(
    embedded_portal: Portal,
) -> None:
    job = start_load(embedded_portal, "away")
    wait_progress(embedded_portal, job, 10)

    embedded_portal.stop_postgres()
    try:
        page, api = (
            embedded_portal.get(path, Cookie=SESSION) for path in ("/executive/", "/api/v1/teams/")
        )
        ready, alive = embedded_portal.get("/readyz"), embedded_portal.get("/healthz")
        time.sleep(3)
    finally:
        embedded_portal.start_postgres()

    assert [answer[0] for answer in (page, api, ready, alive)] == [503, 503, 503, 200]
    assert {answer[1]["Retry-After"] for answer in (page, api, ready)} == {"5"}
    assert "<h1>" in page[2]
    assert api[2].startswith("{")
    assert '"database": "does not answer"' in ready[2]
    assert embedded_portal.job_ends(job, seconds=90)[0] == "succeeded"
    assert loaded(embedded_portal, "away") == 60
    embedded_portal.wait_ready(30)


def enqueue_with_broker(portal: Portal, broker: str, mark: str) -> tuple[int, float]:
    """(job, seconds that asking for it took) in a process that knows the broker by this address."""
    payload = {"rows": 2, "mark": mark, "seconds": 0}
    done = subprocess.run(
        [sys.executable, "manage.py", "enqueue", "staged_load", json.dumps(payload), "--time"],
        cwd=CHECKOUT,
        env=portal.environment | {"CELERY_BROKER_URL": broker},
        capture_output=True,
        text=True,
        check=True,
    )
    job, seconds = done.stdout.split()
    return int(job), float(seconds)


def test_fault_058_with_the_broker_down_asking_is_fast_and_the_job_runs_when_it_is_back(
    embedded_portal: Portal, tmp_path: Path
) -> None:
    redis = embedded_portal.main_process("redis-server")
    redis.suspend()  # it accepts connections and never answers: worse than refusing them
    try:
        hung, hung_seconds = enqueue_with_broker(
            embedded_portal, embedded_portal.layout.broker_url(), "hung"
        )
        gone, gone_seconds = enqueue_with_broker(
            embedded_portal, f"redis+socket://{tmp_path}/none.sock", "gone"
        )
        refused, refused_seconds = enqueue_with_broker(
            embedded_portal, "amqp://guest@127.0.0.1:1//", "refused"
        )
    finally:
        redis.resume()

    assert max(hung_seconds, gone_seconds, refused_seconds) < 3
    for job in (hung, gone, refused):
        assert embedded_portal.job_ends(job, seconds=60)[0] == "succeeded"


def test_fault_058_jobs_run_after_the_broker_was_killed(embedded_portal: Portal) -> None:
    """Everything the broker held is lost with it; the sweep sends it again."""
    embedded_portal.main_process("redis-server").kill()

    job = start_load(embedded_portal, "after", rows=1, seconds=0)

    assert embedded_portal.job_ends(job, seconds=90)[0] == "succeeded"


def test_fault_059_a_crash_between_commit_and_publish_loses_no_job(embedded_portal: Portal) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "enqueue", "staged_load",
         '{"rows": 1, "mark": "crash", "seconds": 0}', "--crash-before-publish"],
        cwd=CHECKOUT, env=embedded_portal.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 9
    began = time.monotonic()
    job = int(done.stdout)
    assert (
        embedded_portal.value("SELECT dispatched_at IS NULL FROM jobs_job WHERE id = %s", job)
        is True
    )

    assert embedded_portal.job_ends(job, seconds=60)[0] == "succeeded"
    assert time.monotonic() - began < 60
    assert loaded(embedded_portal, "crash") == 1


def test_fault_060_nothing_but_hints_is_in_the_broker(embedded_portal: Portal) -> None:
    """Emptied in the middle of a job, the broker costs nothing."""
    job = start_load(embedded_portal, "flush")
    wait_progress(embedded_portal, job, 10)
    redis_cli(embedded_portal, "FLUSHALL")
    later = start_load(embedded_portal, "later", rows=1, seconds=0)

    assert embedded_portal.job_ends(job, seconds=60) == ("succeeded", {"rows": 60}, 1)
    assert embedded_portal.job_ends(later, seconds=60)[0] == "succeeded"
    assert "noeviction" in redis_cli(embedded_portal, "CONFIG GET maxmemory-policy")


def redis_cli(portal: Portal, command: str) -> str:
    import redis

    with redis.Redis(unix_socket_path=str(portal.layout.redis_socket)) as client:
        return str(client.execute_command(*command.split()))


def test_no_session_is_left_in_a_transaction(embedded_portal: Portal) -> None:
    """After all of the above: nothing holds a lock or a snapshot."""
    try:
        left = embedded_portal.value(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
        )
    except psycopg.OperationalError as error:  # pragma: no cover
        pytest.fail(str(error))

    assert left == 0
