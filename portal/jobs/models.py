"""Jobs: the truth about work in progress. A broker message is only a hint that a row is here."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

SCHEDULE = "schedule"  # `created_by` of periodic work


class JobStatus(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # bad input, or every attempt used up


class Job(models.Model):
    """One unit of work; written in the transaction of the change that asks for it (the outbox row,
    too).

    `fence` grows by one with each claim; the final write names the fence it was claimed with and is
    refused if it moved.
    """

    kind = models.TextField()
    payload = models.JSONField(default=dict)  # ids and ISO dates only
    dedupe_key = models.TextField(null=True)  # at most one open job of a key
    status = models.TextField(choices=JobStatus.choices, default=JobStatus.QUEUED)
    attempts = models.IntegerField(default=0)
    max_attempts = models.IntegerField(default=5)
    fence = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    worker = models.TextField(null=True)
    run_after = models.DateTimeField(null=True)
    dispatched_at = models.DateTimeField(null=True)  # when a broker message was last sent
    progress_done = models.BigIntegerField(default=0)
    progress_total = models.BigIntegerField(null=True)
    progress_note = models.TextField(default="")
    result = models.JSONField(null=True)
    error = models.TextField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    created_by = models.TextField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dedupe_key"],
                condition=Q(status__in=["queued", "running"]),
                name="one_open_job_per_key",
            )
        ]
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=Q(status__in=["queued", "running"]),
                name="job_open",
            ),
        ]
