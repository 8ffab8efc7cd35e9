"""Jobs as pages list them: what is under way, and what has ended."""

from __future__ import annotations

from django.db.models import Q

from portal.jobs.models import SCHEDULE, Job, JobStatus

OPEN = [JobStatus.QUEUED, JobStatus.RUNNING]


def open_jobs(*, limit: int, kind: str | None = None) -> list[Job]:
    """In the order in which they were asked for."""
    found = Job.objects.filter(status__in=OPEN, **({"kind": kind} if kind else {}))
    return list(found.order_by("created_at", "pk")[:limit])


def ended_jobs(*, before: int | None, with_regular: bool, limit: int) -> list[Job]:
    """Newest first; those with a lower id than `before`, where given. Regular ones that went well
    are left out unless asked for: every ten seconds one ends, which would hide everything else.
    """
    shown = ~Q(status__in=OPEN)
    if before:
        shown &= Q(pk__lt=before)
    if not with_regular:
        shown &= Q(created_by__isnull=True) | ~Q(created_by=SCHEDULE, status=JobStatus.SUCCEEDED)
    return list(Job.objects.filter(shown).order_by("-pk")[:limit])
