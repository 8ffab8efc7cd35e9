"""Kinds of jobs: those of this portal, and one more by one file alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from portal.jobs import sweep, worker
from portal.jobs.kinds import job_kinds
from portal.jobs.models import Job
from portal.jobs.queue import enqueue
from portal.registry import BadRegistration

GREETER = """
from portal.jobs.kinds import job_kind


@job_kind("greet", every_seconds=86_400)
def greet(context):
    return {"hello": context.payload.get("name", "everybody")}
"""


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Any:
    """Writes a module `job_kinds` into a package that is searched beside the portal's own."""
    monkeypatch.syspath_prepend(tmp_path)
    settings.JOB_PACKAGES = list(settings.JOB_PACKAGES)

    def write(package: str, text: str) -> None:
        (tmp_path / package / "deeper").mkdir(parents=True)
        for folder in (tmp_path / package, tmp_path / package / "deeper"):
            (folder / "__init__.py").touch()
        (tmp_path / package / "deeper" / "job_kinds.py").write_text(text, encoding="utf-8")
        settings.JOB_PACKAGES.append(package)

    return write


def test_the_portals_own_kinds() -> None:
    assert {name: kind.every_seconds for name, kind in job_kinds().items()} == {
        "allocate": None,
        "preview_rules": None,
        "import_bill": None,
        "close_abandoned_imports": 300,
        "merge_usage": 10,
        "retain_spans": 3600,
        "import_prices": 600,
        "reprice_usage": None,
    }


@pytest.mark.django_db(transaction=True)
def test_a_kind_is_added_by_one_file_alone(put: Any) -> None:
    put("one_more_kind", GREETER)

    asked = enqueue("greet", {"name": "Ada"})
    worker.run(asked.pk)
    due = Job.objects.filter(pk__in=sweep.enqueue_due(), kind="greet")

    asked.refresh_from_db()
    assert (asked.status, asked.result) == ("succeeded", {"hello": "Ada"})
    assert [worker.run(job.pk) for job in due] == ["succeeded"]


def test_two_kinds_of_one_name_are_refused(put: Any) -> None:
    put("another_allocate", GREETER.replace('"greet"', '"allocate"'))

    with pytest.raises(BadRegistration, match=r"another_allocate.*there is another allocate"):
        job_kinds()
