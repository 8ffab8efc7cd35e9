"""Jobs over the real database and broker: leases, fences, retries, the sweep, periodic work."""

from __future__ import annotations

import time
from typing import Any, Protocol

import pytest
from django.db import OperationalError, connection, transaction
from pytest_django import DjangoCaptureOnCommitCallbacks

from portal.errors import Refused
from portal.jobs import claims, sweep, worker
from portal.jobs.claims import JobContext, LostLease, Temporary
from portal.jobs.kinds import Handler, JobKind
from portal.jobs.models import Job, JobStatus
from portal.jobs.queue import enqueue

pytestmark = pytest.mark.django_db(transaction=True)


class AddKind(Protocol):
    def __call__(
        self, name: str, handler: Handler, every_seconds: int | None = None, /
    ) -> None: ...


@pytest.fixture(autouse=True)
def add_kind(monkeypatch: pytest.MonkeyPatch) -> AddKind:
    """Adds a kind of job. There is no other in these tests."""
    added: dict[str, JobKind] = {}
    monkeypatch.setattr(worker, "job_kinds", lambda: added)
    monkeypatch.setattr(sweep, "job_kinds", lambda: added)

    def add(name: str, handler: Handler, every_seconds: int | None = None, /) -> None:
        added[name] = JobKind(name, handler, every_seconds)

    return add


def age(job_id: int, column: str, seconds: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE jobs_job SET {column} = now() - make_interval(secs => %s) WHERE id = %s",
            [seconds, job_id],
        )


def test_a_job_runs_once_and_keeps_its_result(add_kind: AddKind) -> None:
    def greet(context: JobContext) -> dict[str, Any]:
        context.progress(3, 4, "nearly")
        return {"hello": context.payload["name"]}

    add_kind("greet", greet)
    job = enqueue("greet", {"name": "Ada"})

    assert worker.run(job.pk) == JobStatus.SUCCEEDED
    assert worker.run(job.pk) is None

    job.refresh_from_db()
    assert (job.status, job.attempts, job.result) == ("succeeded", 1, {"hello": "Ada"})
    assert (job.progress_done, job.progress_total, job.progress_note) == (3, 4, "nearly")
    assert job.finished_at is not None


def test_progress_is_seen_while_the_handlers_transaction_is_open(add_kind: AddKind) -> None:
    seen = []

    def load(context: JobContext) -> dict[str, Any]:
        with transaction.atomic():
            Job.objects.count()
            context.progress(10, 20, "rows")
            time.sleep(1.6)
            seen.append(Job.objects.get(pk=context.job_id).progress_done)
        return {}

    add_kind("load", load)
    worker.run(enqueue("load", {}).pk)

    assert seen == [10]


def test_job_is_not_kept_when_its_transaction_is_not() -> None:
    with transaction.atomic():
        enqueue("greet", {})
        transaction.set_rollback(True)

    assert Job.objects.count() == 0


def test_one_open_job_per_key(add_kind: AddKind) -> None:
    add_kind("greet", lambda context: {})
    first = enqueue("greet", {"n": 1}, dedupe_key="door")
    second = enqueue("greet", {"n": 2}, dedupe_key="door")
    worker.run(first.pk)
    third = enqueue("greet", {"n": 3}, dedupe_key="door")

    assert second.pk == first.pk
    assert third.pk != first.pk


def test_refusal_is_recorded_and_not_retried_but_a_temporary_error_is(
    add_kind: AddKind,
) -> None:
    def refuse(context: JobContext) -> dict[str, Any]:
        raise Refused("bill.csv, line 7: no BilledCost. Deliver the column.")

    def pass_by(context: JobContext) -> dict[str, Any]:
        raise Temporary("busy")

    add_kind("refuse", refuse)
    add_kind("pass", pass_by)
    refused, retried = enqueue("refuse", {}), enqueue("pass", {})

    assert worker.run(refused.pk) == JobStatus.FAILED
    assert worker.run(retried.pk) == JobStatus.QUEUED

    refused.refresh_from_db()
    retried.refresh_from_db()
    assert refused.error == "bill.csv, line 7: no BilledCost. Deliver the column."
    assert retried.run_after is not None
    assert worker.run(retried.pk) is None  # not due yet


def test_temporary_errors_end_at_the_last_attempt(add_kind: AddKind) -> None:
    def deadlock(context: JobContext) -> dict[str, Any]:
        raise OperationalError("deadlock detected")

    add_kind("deadlock", deadlock)
    job = enqueue("deadlock", {})
    statuses = []
    for _ in range(job.max_attempts):
        Job.objects.filter(pk=job.pk).update(run_after=None)
        statuses.append(worker.run(job.pk))

    job.refresh_from_db()
    assert statuses == [JobStatus.QUEUED] * 4 + [JobStatus.FAILED]
    assert job.error == "OperationalError: deadlock detected (after 5 attempts)"


def test_fault_057_the_worker_that_lost_its_lease_cannot_write(add_kind: AddKind) -> None:
    """Two workers get one job: the first stalls past its lease, the second finishes, the first's
    write is refused.
    """
    job = enqueue("write", {})
    slow = claims.claim(job.pk, worker="slow")
    assert slow is not None
    assert claims.claim(job.pk, worker="early") is None

    age(job.pk, "lease_until", 1)
    quick = claims.claim(job.pk, worker="quick")
    assert quick is not None
    assert quick.fence == slow.fence + 1

    def last_write(context: JobContext, kind: str) -> None:
        with transaction.atomic():
            Job.objects.create(kind=kind)
            context.finish_guard()

    with pytest.raises(LostLease):
        last_write(slow, "written by the loser")
    with pytest.raises(LostLease):
        claims.finish(slow, {})
    with pytest.raises(LostLease):
        claims.fail(slow, "late")
    with pytest.raises(LostLease):
        claims.renew(slow)
    last_write(quick, "written by the winner")
    claims.finish(quick, {"by": "quick"})

    job.refresh_from_db()
    assert (job.status, job.result, job.worker) == ("succeeded", {"by": "quick"}, "quick")
    assert set(Job.objects.exclude(pk=job.pk).values_list("kind", flat=True)) == {
        "written by the winner"
    }


def test_a_stalled_handler_learns_that_its_lease_is_lost(add_kind: AddKind, settings: Any) -> None:
    settings.JOB_LEASE_SECONDS = 2

    def stall(context: JobContext) -> dict[str, Any]:
        Job.objects.filter(pk=context.job_id).update(fence=99)
        for _ in range(50):
            time.sleep(0.1)
            context.progress(1)
        return {}

    add_kind("stall", stall)
    job = enqueue("stall", {})

    assert worker.run(job.pk) is None
    job.refresh_from_db()
    assert job.status == "running"  # as the other worker left it


def test_the_lease_is_renewed_while_the_handler_works(add_kind: AddKind, settings: Any) -> None:
    settings.JOB_LEASE_SECONDS = 2

    def work_long(context: JobContext) -> dict[str, Any]:
        time.sleep(3)
        return {"others": claims.claim(context.job_id, worker="other") is not None}

    add_kind("long", work_long)
    job = enqueue("long", {})

    assert worker.run(job.pk) == JobStatus.SUCCEEDED
    job.refresh_from_db()
    assert job.result == {"others": False}


def test_fault_059_a_job_whose_message_was_never_sent_is_found_by_the_sweep() -> None:
    """A crash between COMMIT and publish leaves a row without a message."""
    lost = Job.objects.create(kind="greet")  # as enqueue writes it, without the nudge
    assert sweep.sweep() == []  # the request that wrote it may still be about to send

    age(lost.pk, "created_at", 6)

    assert sweep.sweep() == [lost.pk]
    assert sweep.sweep() == []  # sent once


def test_fault_060_a_message_that_the_broker_forgot_is_sent_again(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    job = enqueue("greet", {})
    job.refresh_from_db()
    assert job.dispatched_at is not None

    age(job.pk, "dispatched_at", 61)
    age(job.pk, "created_at", 61)

    assert sweep.sweep() == [job.pk]


def test_an_expired_lease_is_taken_back_and_the_last_attempt_fails() -> None:
    again, dead = Job.objects.create(kind="greet"), Job.objects.create(kind="greet", attempts=4)
    for job in (again, dead):
        assert claims.claim(job.pk, worker="host:1") is not None
        age(job.pk, "lease_until", 1)
        age(job.pk, "created_at", 60)

    assert sweep.sweep() == [again.pk]

    dead.refresh_from_db()
    assert (dead.status, dead.error) == (
        "failed",
        "The worker host:1 stopped reporting at the last of 5 attempts",
    )


def test_periodic_work_is_queued_once_per_slot(add_kind: AddKind) -> None:
    add_kind("merge", lambda context: {}, 3600)

    first = sweep.enqueue_due()
    assert sweep.enqueue_due() == []  # open
    worker.run(first[0])
    assert sweep.enqueue_due() == []  # done in this slot
    Job.objects.filter(pk=first[0]).update(dedupe_key="merge@0")

    assert len(sweep.enqueue_due()) == 1  # another slot


def test_old_periodic_jobs_are_tidied_away_and_others_kept() -> None:
    for created_by in ("schedule", "someone"):
        job = Job.objects.create(kind="merge", created_by=created_by, status="succeeded")
        age(job.pk, "finished_at", 7 * 3600)

    sweep.enqueue_due()

    assert list(Job.objects.values_list("created_by", flat=True)) == ["someone"]


def test_run_due_does_everything_that_is_queued(add_kind: AddKind) -> None:
    add_kind("greet", lambda context: {})
    for _ in range(3):
        enqueue("greet", {})

    assert worker.run_due() == 3
    assert set(Job.objects.values_list("status", flat=True)) == {"succeeded"}
