"""/jobs/: work in progress and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from portal.jobs.lists import OPEN, ended_jobs, open_jobs
from portal.jobs.models import Job, JobStatus
from portal.pages.frame.durations import seconds
from portal.pages.frame.render import render_page
from portal.pages.frame.state import PageState
from reports.readable import ago, grouped

PAGE_SIZE = 50
STATUS_WORDS = {
    JobStatus.QUEUED: "waiting",
    JobStatus.RUNNING: "running",
    JobStatus.SUCCEEDED: "done",
    JobStatus.FAILED: "failed",
}


@dataclass(frozen=True)
class JobLine:
    """One job in words."""

    id: int
    what: str
    about: str
    status: str
    is_open: bool
    is_failed: bool
    note: str
    done: int
    total: int | None
    progress: str  # "1,200 of 4,000 (30%)", "1,200"
    pace: str  # "310 a second, 9 s left"
    attempts: str
    asked: str
    asked_at: datetime
    took: str
    error: str | None
    created_by: str | None


@require_safe
def show_jobs(request: HttpRequest) -> HttpResponse:
    """The page; for htmx only the lists, which refresh themselves while something is open."""
    state = PageState.from_request(request)
    now = timezone.now()
    before = page_key(request.GET.get("before"))
    under_way = open_jobs(limit=PAGE_SIZE + 1)
    with_regular = request.GET.get("regular") == "1"
    ended = ended_jobs(before=before, with_regular=with_regular, limit=PAGE_SIZE + 1)
    regular = "1" if with_regular else None
    last = str(ended[PAGE_SIZE - 1].pk) if len(ended) > PAGE_SIZE else None
    context: dict[str, Any] = {
        "open_jobs": [line(job, now) for job in under_way[:PAGE_SIZE]],
        "more_open": len(under_way) > PAGE_SIZE,
        "ended_jobs": [line(job, now) for job in ended[:PAGE_SIZE]],
        "older_query": state.query_string(before=last, regular=regular) if last else None,
        "first_query": state.query_string(regular=regular) if before else None,
        "own_query": state.query_string(before=str(before) if before else None, regular=regular),
        "with_regular": with_regular,
        "other_query": state.query_string(regular=None if with_regular else "1"),
        "looked_at": now,
    }
    if request.headers.get("HX-Request") and not request.headers.get("HX-Boosted"):
        return render(request, "operate/jobs/lists.html", {"state": state, **context})
    return render_page(
        request, "operate/jobs/page.html", context, page="jobs", title="Jobs", state=state
    )


def page_key(text: str | None) -> int | None:
    """The job id after which the page goes on; None for the newest."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None


def line(job: Job, now: datetime) -> JobLine:
    return JobLine(
        id=job.pk,
        what=job.kind.replace("_", " ").replace(".", ": ").capitalize(),
        about=about(job),
        status=status_word(job, now),
        is_open=job.status in OPEN,
        is_failed=job.status == JobStatus.FAILED,
        note=job.progress_note,
        done=job.progress_done,
        total=job.progress_total,
        progress=progress_words(job),
        pace=pace_words(job, now),
        attempts=f"{job.attempts} of {job.max_attempts}",
        asked=ago(job.created_at, now),
        asked_at=job.created_at,
        took=seconds((job.finished_at - job.started_at).total_seconds())
        if job.finished_at and job.started_at
        else "",
        error=job.error,
        created_by=job.created_by,
    )


def about(job: Job) -> str:
    """What the job was asked to do, but for choices left alone, stored files and who asked."""
    told = [
        (key, value)
        for key, value in sorted(job.payload.items())
        if key not in ("created_by", "uploads")
    ]
    return ", ".join(
        f"{key.replace('_', ' ')} {value}"
        for key, value in told
        if value is not None and value is not False
    )


def status_word(job: Job, now: datetime) -> str:
    if job.status == JobStatus.RUNNING and job.lease_until and job.lease_until < now:
        return "stopped reporting; another worker will take it over"
    if job.status == JobStatus.QUEUED and job.attempts:
        return "waiting to try again"
    return STATUS_WORDS[JobStatus(job.status)]


def progress_words(job: Job) -> str:
    if not job.progress_total:
        return grouped(job.progress_done) if job.progress_done else ""
    share = min(job.progress_done * 100 // job.progress_total, 100)
    return f"{grouped(job.progress_done)} of {grouped(job.progress_total)} ({share}%)"


def pace_words(job: Job, now: datetime) -> str:
    """Rate and time left; nothing where too little is done to tell."""
    if job.status != JobStatus.RUNNING or not job.started_at or not job.progress_done:
        return ""
    gone = (now - job.started_at).total_seconds()
    if gone < 1:
        return ""
    rate = job.progress_done / gone
    words = (
        f"{grouped(round(rate))} a second" if rate >= 1 else f"{grouped(round(rate * 60))} a minute"
    )
    if job.progress_total and job.progress_total > job.progress_done:
        words += f", about {seconds((job.progress_total - job.progress_done) / rate)} left"
    return words
