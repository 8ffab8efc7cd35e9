"""Asking for work. The job row is the truth; a broker message is only a hint to look at it."""

from __future__ import annotations

import json
import logging
from functools import partial
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction

from portal.celery import app as celery
from portal.jobs.models import Job, JobStatus

log = logging.getLogger(__name__)

RUN_JOB = "portal.jobs.run_job"  # the task's name; its module runs jobs and is not needed to ask
DISPATCHED = "UPDATE jobs_job SET dispatched_at = now() WHERE id = %s AND status = 'queued'"


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


def nudge(job_id: int, *, delay: int = 0) -> bool:
    """Whether the hint was sent; a line in the log where the broker is away. Returns within a
    second or two.
    """
    try:
        with celery.connection_for_write(
            connect_timeout=1, transport_options=publishing()
        ) as broker:
            celery.send_task(RUN_JOB, (job_id,), countdown=delay, retry=False, connection=broker)
    except Exception as error:  # whatever the transport raises: the sweep will send it
        log.warning("job %s waits for the sweep: the broker can't be reached (%s)", job_id, error)
        return False
    with connection.cursor() as cursor:
        cursor.execute(DISPATCHED, [job_id])
    return True


def publishing() -> dict[str, object]:
    """Options of a connection that gives up soon; a worker's, which waits for as long as it takes,
    has none of them.
    """
    options: dict[str, object] = {"max_retries": 1, "interval_start": 0, "interval_max": 0.2}
    if "redis" in settings.CELERY_BROKER_URL:
        options |= {"socket_connect_timeout": 1, "socket_timeout": 1, "retry_on_timeout": False}
    return options
