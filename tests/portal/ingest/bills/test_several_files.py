"""Deliveries of several files: paths, folders, archives and uploads, each one delivery."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from allocation.models import Import, RejectedRow, RunSplitKey, Source
from allocation.runs.month import allocate_period
from allocation.values.periods import Period
from portal.accounts.keys import create_key
from portal.accounts.models import Role
from portal.ingest.bills.delivery import load_bill
from portal.ingest.bills.files.gathering import MOST_FILES, files_at
from portal.ingest.bills.files.stream import BillFile
from portal.ingest.bills.uploads import upload_folder
from portal.jobs.models import Job
from portal.jobs.worker import run_due
from reports.asking import TeamScope
from reports.queries.explain.evidence import BEFORE_ALL, bill_rows
from tests.factories import client_of
from tests.portal.bills import deliver, deliver_files, published, row, rows, text
from tests.portal.pages.words import text_of

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

# One export of a month in three parts, as Azure writes them.
PARTS = (
    text(row(BilledCost="60", Tags='{"team": "alpha"}'), row(BilledCost="40", ResourceId="a2")),
    text(row(BilledCost="55", Tags='{"team": "beta"}'), row(BilledCost="35", ResourceId="b2")),
    text(row(BilledCost="5", ResourceId="c")),
)


def import_bill(*arguments: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("import_bill", *arguments, "--source", "azure", "--json", stdout=out)
    told: dict[str, Any] = json.loads(out.getvalue())
    return told


def archive(path: Path, members: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return path


# ---------------------------------------------------------------- one delivery


def test_several_files_are_one_delivery(tmp_path: Path) -> None:
    outcome = deliver_files(tmp_path, *PARTS)

    assert (outcome.status, outcome.rows_loaded) == ("loaded", 5)
    assert published()["USD"][:2] == (5, Decimal("195"))
    assert [(each["name"], each["rows_loaded"]) for each in outcome.files] == [
        ("part0.csv", 2),
        ("part1.csv", 2),
        ("part2.csv", 1),
    ]
    stored = Import.objects.get()
    assert (stored.file_name, stored.files) == ("part0.csv and 2 more", outcome.files)
    with connection.cursor() as cursor:
        cursor.execute("SELECT file_number, line FROM charge ORDER BY file_number, line")
        assert cursor.fetchall() == [(0, 2), (0, 3), (1, 2), (1, 3), (2, 2)]


def test_a_delivery_is_the_same_in_any_order_of_its_files(tmp_path: Path) -> None:
    first = deliver_files(tmp_path, *PARTS)

    again = [deliver_files(tmp_path, *parts) for parts in permutations(PARTS)]

    assert {(each.status, each.same_as) for each in again} == {("unchanged", first.import_id)}


def test_what_was_replaced_is_said(tmp_path: Path) -> None:
    deliver_files(tmp_path, *PARTS)

    second = deliver_files(tmp_path, *PARTS[:2])

    assert second.replaced == [
        {
            "account": "acct-1",
            "period": "2026-09",
            "currency": "USD",
            "rows_before": 5,
            "rows_after": 4,
            "billed_before": "195",
            "billed_after": "190",
        }
    ]
    out = io.StringIO()
    part = tmp_path / "part0.csv"
    call_command("import_bill", str(part), "--source", "openai", "--confirm-shrink", stdout=out)
    assert (
        "replaced acct-1, 2026-09: 4 rows and 190 USD billed before, 2 rows and 100 now"
        in out.getvalue()
    )


def test_columns_of_some_files_are_null_in_the_others(tmp_path: Path) -> None:
    outcome = deliver_files(
        tmp_path,
        text(row(InvoiceId="i-1", x_a="1")),
        text({name: value for name, value in row(x_b="2").items() if name != "ListCost"}),
    )

    assert (outcome.status, outcome.reason) == ("loaded", None)
    assert outcome.repairs == {"missing_column_ListCost": 1}
    assert Import.objects.get().focus_version == "1.2"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.invoice_id, c.extra, trim_scale(c.list_cost) FROM charge c"
            " JOIN allocation_chargedimension d ON d.id = c.dimension_id ORDER BY c.file_number"
        )
        assert cursor.fetchall() == [
            ("i-1", '{"x_a": "1"}', Decimal("1.25")),
            (None, '{"x_b": "2"}', None),
        ]


def test_files_of_several_kinds_are_read_together(tmp_path: Path) -> None:
    table = pa.csv.read_csv(
        io.BytesIO(PARTS[2].encode()),
        convert_options=pa.csv.ConvertOptions(
            column_types={name: pa.string() for name in row()}, strings_can_be_null=True
        ),
    )
    pq.write_table(table, tmp_path / "c.parquet")
    (tmp_path / "a.csv").write_text(PARTS[0])
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(PARTS[1].encode()))

    told = import_bill(str(tmp_path))

    assert [each["name"] for each in told["files"]] == ["a.csv", "b.csv.gz", "c.parquet"]
    assert published()["USD"][:2] == (5, Decimal("195"))


def test_a_problem_names_its_file_and_the_line_in_it(tmp_path: Path) -> None:
    outcome = deliver_files(
        tmp_path, text(*rows(40)), text(*rows(40, SkuId="b"), row(BilledCost="x"))
    )

    (problem,) = outcome.rejected
    assert (problem.file, problem.line, problem.column) == ("part1.csv", 42, "BilledCost")
    assert outcome.to_json()["rejected"][0]["file"] == "part1.csv"
    assert [each["rows_rejected"] for each in outcome.files] == [0, 1]
    assert RejectedRow.objects.get().file == "part1.csv"
    finance = client_of(Role.FINANCE)
    page = text_of(finance.get(f"/imports/{outcome.import_id}/").content)
    listed = finance.get(f"/imports/{outcome.import_id}/rejected.csv")
    assert "Which files was it?" in page
    assert "42 part1.csv" in page
    assert b"".join(listed).startswith(b"file,line,column,value,reason\r\npart1.csv,42,")


def test_explanations_name_the_file_of_each_line(tmp_path: Path) -> None:
    deliver_files(tmp_path, *PARTS)
    allocate_period(period=Period.parse("2026-09"), now=timezone.now())

    found = [
        (line.file_name, line.line)
        for key in RunSplitKey.objects.all()
        for line in bill_rows(
            run=key.run_id,
            split_key_id=key.split_key_id,
            after=BEFORE_ALL,
            teams=TeamScope.everything(),
        )
    ]

    assert sorted(found) == [
        ("part0.csv", 2),
        ("part0.csv", 3),
        ("part1.csv", 2),
        ("part1.csv", 3),
        ("part2.csv", 2),
    ]


@pytest.mark.parametrize("damaged", [0, 1, 2])
def test_a_refusal_of_one_file_names_it_and_refuses_all(tmp_path: Path, damaged: int) -> None:
    parts: list[str] = [*PARTS]
    parts[damaged] = parts[damaged].replace("BilledCost", "Cost")

    outcome = deliver_files(tmp_path, *parts)

    assert outcome.status == "refused"
    assert f"part{damaged}.csv, line 1: the header lacks BilledCost" in (outcome.reason or "")
    assert published() == {}


def test_two_files_of_one_content_are_refused(tmp_path: Path) -> None:
    outcome = deliver_files(tmp_path, PARTS[0], PARTS[1], PARTS[0])

    assert outcome.status == "refused"
    assert "part0.csv and part2.csv hold the same content" in (outcome.reason or "")
    assert published() == {}


def test_headers_without_rows_may_be_there_twice(tmp_path: Path) -> None:
    assert deliver_files(tmp_path, PARTS[0], text(), text()).rows_loaded == 2


# ---------------------------------------------------------------- folders and archives


def test_a_folder_is_its_files_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    for name, part in zip(("b.csv", "a.csv", "c.csv"), PARTS, strict=True):
        (folder / name).write_text(part)
    (folder / ".hidden").write_text("nothing of the bill")
    (folder / "manifest.json").write_text("{}")
    (folder / "older").mkdir()

    told = import_bill(str(folder))

    assert [each["name"] for each in told["files"]] == ["a.csv", "b.csv", "c.csv"]
    assert told["rows_loaded"] == 5


def test_an_archive_is_what_it_holds(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "export.zip",
        {
            "run/b.csv": PARTS[1],
            "run/a.csv": PARTS[0],
            "../../c.csv": PARTS[2],
            "__MACOSX/run/._a.csv": b"\0",
            "run/manifest.json": "{}",
        },
    )

    told = import_bill(str(path))

    assert [each["name"] for each in told["files"]] == ["../../c.csv", "run/a.csv", "run/b.csv"]
    assert published()["USD"][:2] == (5, Decimal("195"))
    assert not (tmp_path.parent / "c.csv").exists()
    assert deliver_files(tmp_path, *PARTS, source="azure").status == "unchanged"


def test_an_archive_of_one_file_is_that_file(tmp_path: Path) -> None:
    deliver(tmp_path, PARTS[0])
    packed = archive(tmp_path / "export.zip", {"bill.csv": PARTS[0]}).read_bytes()

    assert deliver(tmp_path, packed, name="export.zip").status == "unchanged"


@pytest.mark.parametrize(
    ("members", "fact"),
    [
        ({"[Content_Types].xml": "", "xl/workbook.xml": ""}, "an Excel workbook"),
        ({".hidden": "x"}, "holds no files"),
        ({f"{number}.csv": "x" for number in range(MOST_FILES + 1)}, "at most 1,000"),
        ({"a.csv": PARTS[0], "b.zip": b"PK\x03\x04 more"}, "b.zip: this is a ZIP archive inside"),
        ({"a.csv": PARTS[0], "b.html": "<html>"}, "b.html: this is HTML"),
        ({"a.csv": ""}, "a.csv: the file is empty"),
    ],
)
def test_fault_031_an_archive_of_other_things_is_refused(
    tmp_path: Path, members: dict[str, bytes | str], fact: str
) -> None:
    path = archive(tmp_path / "export.zip", members)

    outcome = load_bill(files=[BillFile.at(path)], source_name="azure")

    assert outcome.status == "refused"
    assert fact in (outcome.reason or "")


def test_fault_011_an_archive_that_unpacks_without_end_is_refused(
    tmp_path: Path, settings: Any
) -> None:
    bomb = archive(tmp_path / "bomb.zip", {"a.csv": b"\0" * (64 << 20)})
    long_list = tmp_path / "list.zip"
    with zipfile.ZipFile(long_list, "w") as packed:
        for number in range(20_000):
            packed.writestr(f"{number:06}.csv", "")

    compressed = load_bill(files=[BillFile.at(bomb)], source_name="azure")
    listed = load_bill(files=[BillFile.at(long_list)], source_name="azure")
    settings.IMPORT_MAX_BYTES = 1 << 20
    large = load_bill(files=[BillFile.at(bomb)], source_name="azure")

    assert "more than 200 times its size" in (compressed.reason or "")
    assert "list of its files is longer" in (listed.reason or "")
    assert "IMPORT_MAX_BYTES" in (large.reason or "")
    assert {compressed.status, listed.status, large.status} == {"refused"}


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    packed = bytearray(archive(tmp_path / "export.zip", {"a.csv": PARTS[0]}).read_bytes())
    cut = deliver(tmp_path, bytes(packed[:-30]), name="cut.zip")
    packed[60] ^= 0xFF
    changed = deliver(tmp_path, bytes(packed), name="changed.zip")

    assert (cut.status, changed.status) == ("refused", "refused")
    assert "cut.zip: this is a ZIP archive or an Excel workbook that can't be unpacked" in (
        cut.reason or ""
    )


# ---------------------------------------------------------------- mistyped


@pytest.mark.parametrize("name", ["nowhere.csv", "empty"])
def test_a_mistyped_path_leaves_no_import_no_source_and_no_alarm(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bill.csv").write_text(PARTS[0])

    with pytest.raises(SystemExit) as left:
        import_bill(str(tmp_path / "bill.csv"), str(tmp_path / name))

    assert left.value.code == 1
    assert name in capsys.readouterr().err
    assert not Import.objects.exists()
    assert not Source.objects.exists()
    assert not Job.objects.exists()


def test_files_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    for folder, part in zip(("one", "two"), PARTS, strict=False):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "bill.csv").write_text(part)

    files = files_at([tmp_path / "one" / "bill.csv", tmp_path / "two"])

    assert [file.name for file in files] == [
        str(tmp_path / "one" / "bill.csv"),
        str(tmp_path / "two" / "bill.csv"),
    ]


# ---------------------------------------------------------------- page and API


def uploads(*contents: str | bytes) -> list[SimpleUploadedFile]:
    return [
        SimpleUploadedFile(
            f"part{number}.csv", content.encode() if isinstance(content, str) else content
        )
        for number, content in enumerate(contents)
    ]


def test_page_and_api_take_several_files_as_one_delivery(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "uploads"
    _, secret = create_key("pipeline", "admin", None, None)
    form = {"source": "azure"}

    posted = client_of(Role.FINANCE).post(
        "/imports/upload/", {**form, "file": uploads(*PARTS)}, follow=True
    )
    run_due("import_bill")
    sent = Client().post(
        "/api/v1/bills/",
        {**form, "file": uploads(*PARTS)},
        headers={"authorization": f"Bearer {secret}"},
    )
    run_due("import_bill")

    assert "part0.csv and 2 more is being loaded" in text_of(posted.content)
    assert sent.status_code == 202
    assert list(Import.objects.order_by("pk").values_list("status", "rows_read")) == [
        ("loaded", 5),
        ("unchanged", 5),
    ]
    assert len(list(upload_folder().iterdir())) == 3


def test_an_uploaded_archive_is_unpacked_and_its_files_named(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "uploads"
    packed = archive(tmp_path / "x.zip", {"a.csv": PARTS[0], "b.csv": "no bill"}).read_bytes()
    client = client_of(Role.FINANCE)

    client.post(
        "/imports/upload/", {"source": "azure", "file": SimpleUploadedFile("export.zip", packed)}
    )
    run_due("import_bill")

    refused = Import.objects.get()
    assert (refused.status, refused.file_name) == ("refused", "export.zip")
    assert "b.csv, line 1: the header lacks" in str(refused.refusal)


def test_a_refused_upload_is_named_as_its_owner_knows_it(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "uploads"
    content = text(row()).replace("BilledCost", "Cost")
    client = client_of(Role.FINANCE)

    client.post(
        "/imports/upload/",
        {"source": "azure", "file": SimpleUploadedFile("may.csv", content.encode())},
    )
    run_due("import_bill")

    assert str(Import.objects.get().refusal).startswith("may.csv, line 1: the header lacks")
