"""The jobs page: progress, rate, time left, errors and attempts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client

from portal.accounts.models import Role
from portal.jobs.models import Job
from tests.factories import make_user
from tests.portal.pages.words import text_of

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def frozen_clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def reader() -> Client:
    client = Client()
    client.force_login(make_user(Role.FINANCE))
    return client


def make_job(**values: Any) -> Job:
    return Job.objects.create(
        **{"kind": "import_bill", "payload": {"import": 7}, "created_by": "ana", **values}
    )


def test_nothing_yet(reader: Client) -> None:
    assert "No jobs yet" in text_of(reader.get("/jobs/").content)


def test_a_running_job_shows_rate_and_time_left(reader: Client) -> None:
    make_job(
        status="running",
        attempts=2,
        max_attempts=3,
        started_at=NOW - timedelta(seconds=10),
        lease_until=NOW + timedelta(seconds=30),
        progress_done=1200,
        progress_total=4800,
        progress_note="reading rows",
    )

    response = reader.get("/jobs/")
    page = text_of(response.content)

    assert "1,200 of 4,800 (25%)" in page
    assert "120 a second, about 30 s left; reading rows" in page
    assert "2 of 3" in page
    assert re.search(rb'<progress\s+class="progress"\s+max="4800"\s+value="1200"', response.content)
    assert b'hx-trigger="every 2s"' in response.content


def test_a_job_tells_what_it_is_about_in_words(reader: Client) -> None:
    make_job(
        payload={
            "file_name": "may.csv",
            "confirm_shrink": False,
            "created_by": "ana",
            "uploads": [{"sha256": "2db5", "name": "may.csv"}],
            "rows": 0,
        }
    )

    page = text_of(reader.get("/jobs/").content)

    assert "file name may.csv, rows 0" in page
    assert "confirm" not in page
    assert "2db5" not in page


def test_a_worker_that_died_is_told(reader: Client) -> None:
    make_job(status="running", attempts=1, started_at=NOW, lease_until=NOW - timedelta(seconds=1))

    assert "stopped reporting; another worker will take it over" in text_of(
        reader.get("/jobs/").content
    )


def test_a_failure_shows_its_words_and_a_retry_waits(reader: Client) -> None:
    make_job(
        status="failed",
        attempts=3,
        error="bill.csv, line 7: BilledCost 'x' is no number",
        finished_at=NOW,
    )
    make_job(status="queued", attempts=1, error="the database went away")

    page = text_of(reader.get("/jobs/").content)

    assert "bill.csv, line 7: BilledCost &#x27;x&#x27; is no number" in page
    assert "waiting to try again" in page
    assert "Last attempt: the database went away" in page


def test_ended_jobs_page_by_key(reader: Client, django_assert_max_num_queries: Any) -> None:
    for _ in range(120):
        make_job(status="succeeded", attempts=1, started_at=NOW, finished_at=NOW)
    oldest = Job.objects.order_by("pk").values_list("pk", flat=True)[0]

    with django_assert_max_num_queries(20):
        first = reader.get("/jobs/").content.decode()
    last = reader.get(f"/jobs/?before={oldest + 30}").content.decode()

    assert f"before={oldest + 70}" in first
    assert f"no. {oldest}<" in last
    assert f"no. {oldest}<" not in first


def test_regular_work_that_went_well_is_shown_on_request(reader: Client) -> None:
    make_job(kind="merge_usage", status="succeeded", created_by="schedule")
    make_job(kind="retain_spans", status="failed", created_by="schedule", error="no room on disk")
    make_job(kind="allocate", status="succeeded", created_by=None)

    page = text_of(reader.get("/jobs/").content)
    everything = text_of(reader.get("/jobs/?regular=1").content)

    assert "Merge usage" not in page
    assert "no room on disk" in page
    assert "Allocate" in page
    assert "Merge usage" in everything


def test_strange_keys_mean_the_newest(reader: Client) -> None:
    for before in ("x", "-1", "9" * 40, "²"):
        assert reader.get("/jobs/", {"before": before}).status_code == 200
