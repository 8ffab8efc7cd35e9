"""Holding a job: a claim has a lease, and a fencing number that its last write is checked by.

Another worker that took the job over makes `finish_guard` raise LostLease, so that the loser's
write is rolled back. All times are the database's, so that hosts with wrong clocks agree.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import psycopg
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

from portal.jobs.models import Job, JobStatus


class LostLease(Exception):
    """Another worker has the job; nothing may be written any more."""


class Temporary(Exception):
    """Raised by a handler for what will pass by itself; the job is tried again after a wait."""


# A COPY raises the driver's own errors, which Django does not wrap.
TEMPORARY = (
    Temporary,
    OperationalError,
    InterfaceError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    ConnectionError,
    TimeoutError,
)

CLAIM = """
UPDATE jobs_job
SET status = 'running', fence = fence + 1, attempts = attempts + 1, worker = %(worker)s,
    error = NULL, lease_until = now() + make_interval(secs => %(lease)s),
    started_at = coalesce(started_at, now())
WHERE id = %(job)s AND (
    (status = 'queued' AND coalesce(run_after, created_at) <= now())
    OR (status = 'running' AND lease_until < now() AND attempts < max_attempts))
RETURNING kind, payload, fence, attempts, max_attempts
"""

# What a claim writes holds only while the job is still the claim's.
STILL_HELD = " WHERE id = %(job)s AND fence = %(fence)s AND status = 'running'"
PROGRESS = """
    progress_done = coalesce(%(done)s, progress_done),
    progress_total = coalesce(%(total)s, progress_total),
    progress_note = coalesce(%(note)s, progress_note)"""
RENEW = f"""
UPDATE jobs_job SET lease_until = now() + make_interval(secs => %(lease)s), {PROGRESS}
{STILL_HELD}"""  # noqa: S608 - constants of this module
FINISH = f"""
UPDATE jobs_job SET lease_until = NULL, status = 'succeeded', finished_at = now(),
    result = %(result)s, {PROGRESS}
{STILL_HELD}"""  # noqa: S608 - constants of this module
FAIL = f"""
UPDATE jobs_job SET lease_until = NULL, status = 'failed', finished_at = now(), error = %(error)s
{STILL_HELD}"""  # noqa: S608 - constants of this module
PUT_BACK = f"""
UPDATE jobs_job SET lease_until = NULL, status = 'queued', dispatched_at = NULL,
    run_after = now() + make_interval(secs => %(delay)s), error = %(error)s
{STILL_HELD}"""  # noqa: S608 - constants of this module


@dataclass
class JobContext:
    """One claim of one job, in the worker that holds it."""

    job_id: int
    kind: str
    payload: dict[str, Any]
    fence: int
    attempt: int
    max_attempts: int
    lost: Event = field(default_factory=Event)
    reported: tuple[int, int | None, str] | None = None  # written by the heartbeat

    def progress(self, done: int, total: int | None = None, note: str = "") -> None:
        """Say how far the work is; shown within a second or so. Raises LostLease once another
        worker has the job.
        """
        if self.lost.is_set():
            raise LostLease(f"job {self.job_id}")
        self.reported = (done, total, note)

    def finish_guard(self) -> None:
        """Hold the job until the surrounding transaction ends, or raise LostLease. Call it before
        the final write.
        """
        if not connection.in_atomic_block:
            raise transaction.TransactionManagementError(
                "finish_guard needs the transaction of the final write"
            )
        held = (
            Job.objects.select_for_update()
            .filter(pk=self.job_id, fence=self.fence, status=JobStatus.RUNNING)
            .values_list("pk", flat=True)
        )
        if not list(held):
            self.lost.set()
            raise LostLease(f"job {self.job_id}")


def claim(job_id: int, *, worker: str) -> JobContext | None:
    """The claim, or None: some other worker has it, it is done, or it is not due."""
    with connection.cursor() as cursor:
        cursor.execute(
            CLAIM, {"job": job_id, "worker": worker, "lease": settings.JOB_LEASE_SECONDS}
        )
        row = cursor.fetchone()
    if row is None:
        return None
    kind, payload, fence, attempts, max_attempts = row
    payload = json.loads(payload) if isinstance(payload, str) else payload
    return JobContext(job_id, kind, payload, fence, attempts, max_attempts)


def renew(context: JobContext) -> None:
    """Extend the lease and write the latest progress; LostLease as for `write`."""
    write(context, RENEW, lease=settings.JOB_LEASE_SECONDS, **latest_progress(context))


def finish(context: JobContext, result: dict[str, Any]) -> None:
    """Record success; LostLease as for `write`."""
    write(context, FINISH, result=json.dumps(result), **latest_progress(context))


def fail(context: JobContext, error: str) -> None:
    """Record why the job is given up; LostLease as for `write`."""
    write(context, FAIL, error=error)


def put_back(context: JobContext, error: str) -> int:
    """Queue the job again after a wait that doubles; the wait in seconds."""
    delay: int = min(2**context.attempt, 300)
    write(context, PUT_BACK, delay=delay, error=error)
    return delay


def latest_progress(context: JobContext) -> dict[str, Any]:
    """What the handler reported last; NULL, which keeps what stands there, where it did not."""
    done, total, note = context.reported or (None, None, None)
    return {"done": done, "total": total, "note": note}


def write(context: JobContext, statement: str, **values: Any) -> None:
    """Change the row of the claimed job; LostLease when it is no longer this claim's."""
    with connection.cursor() as cursor:
        cursor.execute(statement, {**values, "job": context.job_id, "fence": context.fence})
        if cursor.rowcount != 1:
            raise LostLease(f"job {context.job_id}")
