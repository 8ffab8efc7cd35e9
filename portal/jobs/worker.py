"""Doing jobs: claim, keep the lease alive, call the handler, record how it ended."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import TypeVar

from django.conf import settings
from django.db import (
    InterfaceError,
    OperationalError,
    close_old_connections,
    connection,
    connections,
)

from portal.errors import Refused
from portal.jobs import claims, queue
from portal.jobs.claims import JobContext, LostLease
from portal.jobs.kinds import job_kinds
from portal.jobs.models import Job, JobStatus

log = logging.getLogger(__name__)

T = TypeVar("T")
TICK_SECONDS = 1.0
PATIENCE_SECONDS = 60  # a crash recovery is often shorter; what is not waits for the sweep


def patiently(call: Callable[[], T]) -> T:
    """The call's result; tried again, with growing waits, while the database is away."""
    began, wait = time.monotonic(), 0.25
    while True:
        try:
            return call()
        except (OperationalError, InterfaceError):
            if connection.in_atomic_block or time.monotonic() - began > PATIENCE_SECONDS:
                raise
            connections.close_all()
            time.sleep(wait)
            wait = min(wait * 2, 5.0)


class Heartbeat:
    """Renews a claim's lease and writes its progress from a thread with a connection of its own.

    Progress inside the handler's transaction would be invisible until the end and hold the row's
    lock.
    """

    def __init__(self, context: JobContext) -> None:
        self.context = context
        self.stopping = Event()
        self.thread = Thread(target=self.beat, name=f"heartbeat-{context.job_id}", daemon=True)

    def __enter__(self) -> Heartbeat:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.thread.join(timeout=settings.JOB_LEASE_SECONDS)

    def beat(self) -> None:
        renewed, written = time.monotonic(), self.context.reported
        while not self.stopping.wait(min(TICK_SECONDS, settings.JOB_LEASE_SECONDS / 4)):
            late = time.monotonic() - renewed
            if late < settings.JOB_LEASE_SECONDS / 4 and self.context.reported == written:
                continue
            written = self.context.reported
            try:
                claims.renew(self.context)
                renewed = time.monotonic()
            except LostLease:
                self.context.lost.set()
                break
            except (OperationalError, InterfaceError) as error:
                log.warning("job %s: the lease can't be renewed: %s", self.context.job_id, error)
                connection.close()
        connection.close()


def run(job_id: int) -> JobStatus | None:
    """Do one job, if it is there to be done. What became of it, or None when it is not this
    worker's to do.
    """
    close_old_connections()
    worker = f"{socket.gethostname()}:{os.getpid()}"
    context = patiently(lambda: claims.claim(job_id, worker=worker))
    if context is None:
        return None
    try:
        return attempt(context)
    except LostLease:
        log.warning(
            "job %s (%s): lost to another worker; nothing written", context.job_id, context.kind
        )
        return None


def attempt(context: JobContext) -> JobStatus:
    """Call the handler under a heartbeat and record the outcome; LostLease when the job went to
    another worker.
    """
    try:
        kind = job_kinds().get(context.kind)
        if kind is None:
            raise Refused(
                f"no handler for jobs of kind {context.kind!r} is installed in this worker"
            )
        with Heartbeat(context):
            result = kind.handler(context)
    except LostLease:
        raise
    except claims.TEMPORARY as error:
        return retry_or_fail(context, error)
    except Refused as refusal:
        reason = str(refusal)
        patiently(lambda: claims.fail(context, reason))
        return JobStatus.FAILED
    except Exception as error:
        log.exception("job %s (%s) failed", context.job_id, context.kind)
        reason = describe(error)
        patiently(lambda: claims.fail(context, reason))
        return JobStatus.FAILED
    patiently(lambda: claims.finish(context, result))
    return JobStatus.SUCCEEDED


def retry_or_fail(context: JobContext, error: Exception) -> JobStatus:
    """Queue the job again, unless this was its last attempt."""
    reason = describe(error)
    if context.attempt >= context.max_attempts:
        log.error(
            "job %s (%s) failed at its last attempt: %s", context.job_id, context.kind, reason
        )
        patiently(lambda: claims.fail(context, f"{reason} (after {context.attempt} attempts)"))
        return JobStatus.FAILED
    log.warning("job %s (%s) will be tried again: %s", context.job_id, context.kind, reason)
    delay = patiently(lambda: claims.put_back(context, reason))
    queue.nudge(context.job_id, delay=delay)
    return JobStatus.QUEUED


def run_due(kind: str | None = None) -> int:
    """Do every queued job that is due, here and now, as a command does that has no worker beside
    it. How many.
    """
    count = 0
    while True:
        open_jobs = Job.objects.filter(status=JobStatus.QUEUED, run_after=None)
        job = (
            (open_jobs.filter(kind=kind) if kind else open_jobs)
            .order_by("created_at", "pk")
            .first()
        )
        if job is None:
            return count
        run(job.pk)
        count += 1


def describe(error: BaseException) -> str:
    """A refusal as it is; anything else with its kind."""
    return str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}".strip()
