"""The Celery doors to jobs. Arguments are ids; everything else is read from the job's row."""

from __future__ import annotations

import signal

from celery import shared_task
from celery.signals import worker_process_init, worker_ready

from portal.embedded.processes import end_with_parent
from portal.jobs import sweep as sweeping
from portal.jobs import worker
from portal.jobs.queue import RUN_JOB


@shared_task(name=RUN_JOB, ignore_result=True)
def run_job(job_id: int) -> None:
    """Do one job. Harmless when delivered twice: the claim is refused."""
    worker.run(job_id)


@shared_task(name="portal.jobs.sweep", ignore_result=True)
def sweep() -> None:
    """Find what a crash left behind and what is due. Harmless when run twice or by two workers."""
    worker.patiently(sweeping.sweep)
    worker.patiently(sweeping.enqueue_due)


@worker_ready.connect
def sweep_at_start(**_: object) -> None:
    """What a stopped worker left need not wait for the clock."""
    sweep.apply_async(retry=False)


@worker_process_init.connect
def end_with_the_worker(**_: object) -> None:
    """A pool process whose worker was killed can't be told to stop, and would go on with a job that
    is lost.
    """
    end_with_parent(signal.SIGKILL)
