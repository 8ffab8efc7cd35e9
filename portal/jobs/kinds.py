"""The kinds of work there are. Adding one is adding a function to a module called `job_kinds.py`:

    @job_kind("merge_usage", every_seconds=10)
    def merge_usage(context: JobContext) -> dict[str, Any]:
        ...

Such a module may lie in any package below `settings.JOB_PACKAGES`; nothing else lists it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings

from portal.jobs.claims import JobContext
from portal.registry import BadRegistration, modules_called

Handler = Callable[[JobContext], dict[str, Any]]
MODULE = "job_kinds"


@dataclass(frozen=True)
class JobKind:
    """One kind of work: what carries it out, and how often it is due where nobody asks for it.

    `handler` returns what is kept as the job's result. It may run twice, so it loads what it likes
    and calls `context.finish_guard()` in the transaction of its final write. It raises `Refused`
    for bad input, which is never retried, and `Temporary` for what will pass by itself.
    """

    name: str
    handler: Handler
    every_seconds: int | None = None  # once in each slot of this length, counted from 1970 in UTC


def job_kind(name: str, *, every_seconds: int | None = None) -> Callable[[Handler], JobKind]:
    """Makes a kind of job of the function that does the work."""
    return lambda handler: JobKind(name, handler, every_seconds)


def job_kinds() -> dict[str, JobKind]:
    """Every kind by its name. Raises BadRegistration where two have one name."""
    found: dict[str, JobKind] = {}
    for package in settings.JOB_PACKAGES:
        for module in modules_called(MODULE, package):
            for kind in vars(import_module(module)).values():
                if not isinstance(kind, JobKind):
                    continue
                if found.setdefault(kind.name, kind) != kind:
                    raise BadRegistration(f"{module}: there is another {kind.name}")
    return found
