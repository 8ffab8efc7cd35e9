"""The jobs page: work in progress and how it ended."""

from __future__ import annotations

from django.urls import path

from portal.accounts.models import Role
from portal.pages.operate.jobs.views import show_jobs
from portal.pages.registry import PageSpec

JOBS = PageSpec(
    name="jobs",
    label="Jobs",
    position=120,
    group="set_up",
    roles=frozenset({Role.FINANCE, Role.FINOPS_ADMIN}),
    urls=(path("jobs/", show_jobs, name="jobs"),),
)
