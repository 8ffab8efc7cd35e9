"""Work that outlives a request. The job row is the truth; a broker message is only a hint to look
at it.

Ask for work:      enqueue("import_bill", {"upload": 7}, dedupe_key="upload 7")    # in the caller's transaction
Do work:           @handles("import_bill")
                   def import_bill(context: JobContext) -> dict[str, Any]: ...     # in a module of registry.MODULES
Do it regularly:   @every(seconds=60) above @handles(...)

A handler may run twice: it loads what it likes, and calls `context.finish_guard()` inside the
transaction of its final write. Another worker that took the job over makes that raise LostLease, so
that the loser's write is rolled back. It raises `Refused` for bad input (never retried); errors
known to be temporary are retried, with growing waits. All times are the database's, so that hosts
with wrong clocks agree.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import Any, TypeVar

import psycopg
from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction

from portal.celery import app as celery
from portal.errors import Refused
from portal.jobs.models import Job, JobStatus

log = logging.getLogger(__name__)

Handler = Callable[["JobContext"], dict[str, Any]]
Function = TypeVar("Function", bound=Handler)

SEND_AGAIN_SECONDS = 60  # a message may be lost with the broker's memory
UNSENT_SECONDS = 5  # leave the request that wrote the row this long to send its own message
SWEEP_ROWS = 500
SCHEDULE = "schedule"  # `created_by` of periodic work
KEEP_PERIODIC_HOURS = 6


class LostLease(Exception):
    """Another worker has the job; nothing may be written any more."""


class Temporary(Exception):
    """Raised by a handler for what will pass by itself."""


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


@dataclass(frozen=True)
class Periodic:
    """Work due once in each slot of so many seconds."""

    kind: str
    seconds: int


HANDLERS: dict[str, Handler] = {}
PERIODIC: dict[str, Periodic] = {}


def handles(kind: str) -> Callable[[Function], Function]:
    """Register the function that does this kind of work; what it returns is kept as the job's
    result.
    """

    def register(function: Function) -> Function:
        if kind in HANDLERS and HANDLERS[kind].__qualname__ != function.__qualname__:
            raise ValueError(f"two handlers for {kind}")
        HANDLERS[kind] = function
        function.job_kind = kind  # type: ignore[attr-defined]
        return function

    return register


def every(*, seconds: int) -> Callable[[Function], Function]:
    """Have the handled work done once in each slot of this length, counted from 1970 in UTC."""

    def register(function: Function) -> Function:
        kind: str = function.job_kind  # type: ignore[attr-defined]
        PERIODIC[kind] = Periodic(kind, seconds)
        return function

    return register


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


def enqueue(
    kind: str,
    payload: dict[str, Any],
    *,
    dedupe_key: str | None = None,
    created_by: str | None = None,
) -> Job:
    """A queued job, kept if and only if the caller's transaction is; with a key, the open job of
    that key if any.

    The payload holds ids and ISO dates. The message is sent after the commit; a sweep sends it if
    that fails.
    """
    json.dumps(payload)  # a value that JSON can't hold fails here, not in a worker
    while True:
        open_jobs = Job.objects.filter(
            dedupe_key=dedupe_key, status__in=[JobStatus.QUEUED, JobStatus.RUNNING]
        )
        if dedupe_key is not None and (found := open_jobs.first()) is not None:
            return found
        try:
            with transaction.atomic():
                job = Job.objects.create(
                    kind=kind, payload=payload, dedupe_key=dedupe_key, created_by=created_by
                )
        except IntegrityError:
            if dedupe_key is None:
                raise
            continue  # another transaction wrote one at the same moment
        transaction.on_commit(partial(nudge, job.pk), robust=True)
        return job


def publishing() -> dict[str, object]:
    """Options of a connection that gives up soon; a worker's, which waits for as long as it takes,
    has none of them.
    """
    options: dict[str, object] = {"max_retries": 1, "interval_start": 0, "interval_max": 0.2}
    if "redis" in settings.CELERY_BROKER_URL:
        options |= {"socket_connect_timeout": 1, "socket_timeout": 1, "retry_on_timeout": False}
    return options


def nudge(job_id: int, *, delay: int = 0) -> bool:
    """Send the hint; False, and a line in the log, when the broker is away. Returns within a second
    or two.
    """
    from portal.jobs.tasks import run_job

    try:
        with celery.connection_for_write(
            connect_timeout=1, transport_options=publishing()
        ) as broker:
            run_job.apply_async((job_id,), countdown=delay, retry=False, connection=broker)  # type: ignore[call-arg]
    except Exception as error:  # whatever the transport raises: the sweep will send it
        log.warning("job %s waits for the sweep: the broker can't be reached (%s)", job_id, error)
        return False
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_job SET dispatched_at = now() WHERE id = %s AND status = 'queued'",
            [job_id],
        )
    return True


CLAIM = """
UPDATE jobs_job
SET status = 'running', fence = fence + 1, attempts = attempts + 1, worker = %(worker)s,
    error = NULL,
    lease_until = now() + make_interval(secs => %(lease)s), started_at = coalesce(started_at, now())
WHERE id = %(job)s AND (
    (status = 'queued' AND coalesce(run_after, created_at) <= now())
    OR (status = 'running' AND lease_until < now() AND attempts < max_attempts))
RETURNING kind, payload, fence, attempts, max_attempts
"""


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
    """Extend the lease and write the latest progress; LostLease when the job is no longer this
    claim's.
    """
    done, total, note = context.reported or (None, None, None)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE jobs_job
            SET lease_until = now() + make_interval(secs => %s),
                progress_done = coalesce(%s, progress_done),
                progress_total = coalesce(%s, progress_total),
                    progress_note = coalesce(%s, progress_note)
            WHERE id = %s AND fence = %s AND status = 'running'
            """,
            [settings.JOB_LEASE_SECONDS, done, total, note, context.job_id, context.fence],
        )
        if cursor.rowcount != 1:
            raise LostLease(f"job {context.job_id}")


def finish(context: JobContext, result: dict[str, Any]) -> None:
    """Record success, if the job is still this claim's."""
    done, total, note = context.reported or (None, None, None)
    end(
        context,
        "status = 'succeeded', finished_at = now(), result = %s, progress_done = coalesce(%s, progress_done),"
        " progress_total = coalesce(%s, progress_total), progress_note = coalesce(%s, progress_note)",
        [json.dumps(result), done, total, note],
    )


def fail(context: JobContext, error: str) -> None:
    end(context, "status = 'failed', finished_at = now(), error = %s", [error])


def put_back(context: JobContext, error: str) -> int:
    """Queue the job again after a wait that doubles; the wait in seconds."""
    delay: int = min(2**context.attempt, 300)
    end(
        context,
        "status = 'queued', run_after = now() + make_interval(secs => %s), dispatched_at = NULL, error = %s",
        [delay, error],
    )
    return delay


def end(context: JobContext, assignments: str, values: list[Any]) -> None:
    """Give the claim up with these constant assignments; LostLease when it is no longer this
    claim's.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE jobs_job SET lease_until = NULL, {assignments}"  # noqa: S608 - constants of this module
            " WHERE id = %s AND fence = %s AND status = 'running'",
            [*values, context.job_id, context.fence],
        )
        if cursor.rowcount != 1:
            raise LostLease(f"job {context.job_id}")


def describe(error: BaseException) -> str:
    """A refusal as it is; anything else with its kind."""
    return str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}".strip()
