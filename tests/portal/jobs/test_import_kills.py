"""A real bill through a real portal, while its worker or the database is killed again and again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.portal.bills import ROW, row, text
from tests.portals import Portal, wait_until

ROWS = 60_000
POINTS = int(os.environ.get("KILL_POINTS", "5"))  # 50 is the fault list's number
VISIBLE = """
SELECT count(*), coalesce(sum(billed_cost), 0)
FROM charge JOIN allocation_chargescope scope ON scope.id = charge.scope_id
JOIN allocation_source source ON source.id = scope.source_id
WHERE scope.state = 'current' AND source.name = %s
"""


@pytest.fixture(scope="module")
def bill() -> tuple[str, Decimal]:
    """(CSV, exact sum of its BilledCost)."""
    lines = [
        row(ResourceId=f"r-{number % 500}", BilledCost=f"{number % 97}.{number % 89:02}0000001")
        for number in range(ROWS)
    ]
    return text(*lines), sum((Decimal(line["BilledCost"]) for line in lines), Decimal(0))


def load(portal: Portal, content: str, source: str) -> int:
    """Ask for the import of an upload; each source gets a billing account of its own, so that none
    overlap.
    """
    delivered = content.replace(ROW["BillingAccountId"], source).encode()
    digest = hashlib.sha256(delivered).hexdigest()
    folder = portal.home / "uploads" / "bills"
    folder.mkdir(parents=True, exist_ok=True)
    Path(folder / digest).write_bytes(delivered)
    return portal.enqueue(
        "import_bill",
        uploads=[{"sha256": digest, "name": "bill.csv"}],
        source=source,
        created_by="a test",
    )


def started(portal: Portal, job: int) -> None:
    wait_until(
        lambda: portal.value("SELECT status <> 'queued' FROM jobs_job WHERE id = %s", job),
        seconds=60,
        what=f"a start of job {job}",
    )


def seconds_of(portal: Portal, job: int) -> float:
    return float(
        portal.value(
            "SELECT extract(epoch FROM finished_at - started_at) FROM jobs_job WHERE id = %s",
            job,
        )
    )


@pytest.fixture(scope="module")
def undisturbed(embedded_portal: Portal, bill: tuple[str, Decimal]) -> float:
    """Seconds of a load that nobody disturbs."""
    job = load(embedded_portal, bill[0], "undisturbed")
    assert embedded_portal.job_ends(job, seconds=120)[0] == "succeeded"
    assert embedded_portal.rows(VISIBLE, "undisturbed") == [(ROWS, bill[1])]
    return seconds_of(embedded_portal, job)


def kill_holder(portal: Portal, job: int, *, whole_worker: bool) -> None:
    found = portal.rows("SELECT worker FROM jobs_job WHERE id = %s AND status = 'running'", job)
    if not found:
        return  # it was quicker
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(int(found[0][0].rpartition(":")[2]))
        ((process.parent() or process) if whole_worker else process).kill()


def test_fault_055_a_bill_survives_kills_at_random_points(
    embedded_portal: Portal, bill: tuple[str, Decimal], undisturbed: float
) -> None:
    chance = random.Random(55)
    attempts: list[int] = []
    point = 0
    # How fast the machine is changes while other tests run: where every kill came too late, further
    # ones come sooner.
    while point < POINTS or (max(attempts) == 1 and point < 4 * POINTS):
        source = f"killed {point}"
        job = load(embedded_portal, bill[0], source)
        started(embedded_portal, job)
        time.sleep(chance.uniform(0, undisturbed * 0.7) / (1 + point // POINTS))

        kill_holder(embedded_portal, job, whole_worker=point % 2 == 0)
        seen = embedded_portal.rows(VISIBLE, source)

        assert seen in ([(0, Decimal(0))], [(ROWS, bill[1])])
        status, _, tries = embedded_portal.job_ends(job, seconds=120)
        assert status == "succeeded"
        assert embedded_portal.rows(VISIBLE, source) == [(ROWS, bill[1])]
        attempts.append(tries)
        point += 1

    assert max(attempts) == 2  # some kill did hit


def kill_copying_backend(portal: Portal, job: int) -> bool:
    """Whether a backend was killed while the job's rows went through it; False when the job was
    quicker.
    """

    def found() -> list[Any]:
        return portal.rows(
            "SELECT pid, query FROM pg_stat_activity"
            " WHERE query ILIKE 'COPY%%' AND state IN ('active', 'idle in transaction')"
            " UNION ALL SELECT 0, status FROM jobs_job"
            " WHERE id = %s AND status IN ('succeeded', 'failed')",
            job,
        )

    backend = wait_until(found, seconds=60, what="a COPY")[0][0]
    if backend == 0:
        return False
    os.kill(backend, signal.SIGKILL)
    return True


def test_fault_056_a_bill_survives_a_killed_database_backend(
    embedded_portal: Portal, bill: tuple[str, Decimal], undisturbed: float
) -> None:
    for attempt in range(10):
        source = f"crashed {attempt}"
        job = load(embedded_portal, bill[0], source)
        if kill_copying_backend(embedded_portal, job):
            break
    began = time.monotonic()

    wait_until(embedded_portal.database_answers, seconds=60, what="the end of crash recovery")
    outage = time.monotonic() - began
    status, _, tries = embedded_portal.job_ends(job, seconds=120)
    assert (status, tries) == ("succeeded", 2), embedded_portal.rows(
        "SELECT error FROM jobs_job WHERE id = %s", job
    )
    assert embedded_portal.rows(VISIBLE, source) == [(ROWS, bill[1])]
    assert outage < 60
    embedded_portal.wait_ready(60)
