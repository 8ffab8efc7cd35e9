"""The imports pages, the upload, and the job behind it."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection, connections
from django.http import FileResponse, StreamingHttpResponse
from django.test import Client
from django.utils import timezone

from allocation.models import ChargeScope, Import, ImportStatus, Source
from portal.accounts.models import Membership, Role, User
from portal.ingest.bills.delivery import close_abandoned
from portal.ingest.bills.uploads import accept_upload, plain_name, upload_folder
from portal.jobs import worker
from portal.jobs.models import Job, JobStatus
from tests.portal.bills import deliver, published, row, rows, text
from tests.portal.pages.words import text_of
from tests.portals import CHECKOUT

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def uploads_of_their_own(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "uploads"


def client_of(role: Role) -> Client:
    user = User.objects.create_user(username=role.value)
    Membership.objects.create(user=user, role=role)
    client = Client()
    client.force_login(user)
    return client


def bill(content: str, name: str = "bill.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content.encode())


def test_fault_008_a_month_named_with_an_upload_is_checked_by_its_job() -> None:
    client = client_of(Role.FINOPS_ADMIN)
    form = {"source": "openai", "delivery": ""}

    not_a_month = client.post(
        "/imports/upload/", {**form, "file": bill(text(row())), "month": "Sept"}
    )
    other_month = client.post(
        "/imports/upload/", {**form, "file": bill(text(row())), "month": "2026-10"}
    )
    worker.run(Job.objects.get(kind="import_bill").pk)

    assert not_a_month.status_code == 400
    assert b"is not a month" in not_a_month.content
    assert other_month.status_code == 302
    assert "the bill of 2026-10" in str(Import.objects.get().refusal)
    assert published() == {}


def test_an_upload_becomes_a_job_and_the_job_an_import() -> None:
    client = client_of(Role.FINOPS_ADMIN)

    answer = client.post(
        "/imports/upload/", {"source": "openai", "file": bill(text(row())), "delivery": ""}
    )
    assert answer.status_code == 302
    job = Job.objects.get(kind="import_bill")
    page = client.get("/imports/").content.decode()
    assert "What is being loaded?" in page
    worker.run(job.pk)

    job.refresh_from_db()
    assert (job.status, (job.result or {})["rows_loaded"]) == (JobStatus.SUCCEEDED, 1)
    assert published() == {"USD": (1, Decimal("1.25"), Decimal("1.00"))}
    loaded = Import.objects.get()
    assert (loaded.file_name, loaded.created_by) == ("bill.csv", "finops_admin")
    after = client.get("/imports/", headers={"HX-Request": "true"}).content.decode()
    assert "What is being loaded?" not in after
    assert "openai" in after
    assert "Sep 2026" in after


def test_a_refused_upload_fails_the_job_with_the_reason() -> None:
    job = accept_upload(
        files=[ContentFile(text().replace("BilledCost", "Cost").encode(), "b.csv")],
        source_name="x",
        created_by="me",
    )

    worker.run(job.pk)

    job.refresh_from_db()
    assert job.status == JobStatus.FAILED
    assert "lacks BilledCost" in (job.error or "")
    assert Import.objects.get().status == ImportStatus.REFUSED


@pytest.mark.parametrize(
    ("content", "fact"),
    [(b"PK\x03\x04...", "report.xlsx: this is a ZIP archive"), (b"\x7fELF", "a program")],
)
def test_fault_031_an_upload_of_another_kind_is_told_at_once(content: bytes, fact: str) -> None:
    client = client_of(Role.FINANCE)
    file = SimpleUploadedFile("report.xlsx", content)

    answer = client.post("/imports/upload/", {"source": "openai", "file": file})

    assert answer.status_code == 400
    assert fact in answer.content.decode()
    assert not Job.objects.exists()
    assert list(upload_folder().iterdir()) == []


def test_fault_030_a_delivered_file_name_never_becomes_a_path() -> None:
    for name in ("../../etc/passwd", "/etc/passwd", "C:\\bills\\..\\x.csv", "a\0b.csv", ""):
        accept_upload(
            files=[ContentFile(text(row()).encode(), name)], source_name="openai", created_by="me"
        )
        assert "/" not in plain_name(name)
        assert "\\" not in plain_name(name)

    (stored,) = upload_folder().iterdir()
    assert len(stored.name) == 64
    assert stored.stat().st_mode & 0o777 == 0o600


def test_fault_002_twenty_uploads_at_one_instant_are_one_job_and_one_import() -> None:
    Source.objects.create(name="openai")

    def send(number: int) -> int:
        try:
            file = ContentFile(text(*rows(30)).encode(), f"copy {number}.csv")
            return accept_upload(files=[file], source_name="openai", created_by="me").pk
        finally:
            connections.close_all()

    with ThreadPoolExecutor(20) as pool:
        jobs = set(pool.map(send, range(20)))

    (job,) = jobs
    worker.run(job)
    assert published()["USD"][0] == 30
    assert Import.objects.count() == 1


def test_one_import_shows_totals_changes_and_rejected_rows(tmp_path: Path) -> None:
    client = client_of(Role.FINANCE)
    first = deliver(tmp_path, text(*rows(100)))
    second = deliver(
        tmp_path, text(*rows(100), row(BilledCost="x", ServiceName="<b>"), row(BilledCost="2.5"))
    )

    page = text_of(client.get(f"/imports/{second.import_id}/").content)

    for fact in (
        "127.50",
        "2.50",
        f"import {first.import_id}",
        "102",
        "BilledCost",
        "x",
        "not a number",
        "100",
    ):
        assert fact in page
    assert client.get("/imports/999/").status_code == 404
    assert client_of(Role.ON_CALL).get(f"/imports/{second.import_id}/").status_code == 404


def test_fault_110_rejected_rows_download_without_formulas(tmp_path: Path) -> None:
    values = ["=1+1", "@SUM(A1)", "-2+3", "\t=1", " =1", "＝1", 'a "b", c']
    outcome = deliver(tmp_path, text(*rows(200), *(row(BillingCurrency=value) for value in values)))

    answer = client_of(Role.FINANCE).get(f"/imports/{outcome.import_id}/rejected.csv")

    assert isinstance(answer, StreamingHttpResponse)
    assert not isinstance(answer, FileResponse)
    lines = list(csv.reader(io.StringIO(answer.getvalue().decode(), newline="")))
    assert lines[0] == ["line", "column", "value", "reason"]
    assert [line[2] for line in lines[1:]] == [*(f"'{value}" for value in values[:-1]), values[-1]]
    assert lines[1][0] == "202"


KILLED = """
import os, sys, django
django.setup()
from portal.jobs.claims import claim
from portal.jobs.kinds import job_kinds
django.conf.settings.MEDIA_ROOT = sys.argv[2]
context = claim(int(sys.argv[1]), worker="doomed")
context.progress = lambda done, total, note: os.kill(os.getpid(), 9)
job_kinds()[context.kind].handler(context)
"""


def test_a_worker_killed_while_loading_leaves_nothing_and_the_retry_is_exact(settings: Any) -> None:
    settings.JOB_LEASE_SECONDS = 1
    content = text(*rows(30_000))
    job = accept_upload(
        files=[ContentFile(content.encode(), "bill.csv")], source_name="openai", created_by="me"
    )

    died = subprocess.run(
        [sys.executable, "-c", KILLED, str(job.pk), str(settings.MEDIA_ROOT)],
        cwd=CHECKOUT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "JOB_LEASE_SECONDS": "1",
        },
        capture_output=True,
    )
    assert died.returncode == -9, died.stderr
    assert published() == {}
    assert not ChargeScope.objects.exists()

    deadline = time.monotonic() + 20
    while worker.run(job.pk) is None and time.monotonic() < deadline:
        time.sleep(0.2)

    job.refresh_from_db()
    assert job.status == JobStatus.SUCCEEDED
    assert published() == {"USD": (30_000, Decimal("37500.00"), Decimal("30000.00"))}
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM charge")
        assert cursor.fetchone() == (30_000,)
    Import.objects.filter(status=ImportStatus.LOADING).update(
        created_at=timezone.now() - timedelta(minutes=2)
    )
    assert close_abandoned() == 1


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_the_command_prints_one_object_and_refuses_with_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(text(row()))
    bad.write_text(text(row(BilledCost="x")))

    call_command("import_bill", str(good), "--source", "openai", "--json")
    assert '"status": "loaded"' in capsys.readouterr().out

    with pytest.raises(SystemExit) as left:
        call_command("import_bill", str(bad), "--source", "openai", "--json")
    assert left.value.code == 1
    assert '"status": "refused"' in capsys.readouterr().out

    with pytest.raises(SystemExit) as left:
        call_command("import_bill", str(tmp_path / "none.csv"), "--source", "openai")
    assert left.value.code == 1
    assert "No such file" in capsys.readouterr().err
