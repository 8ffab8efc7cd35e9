"""What holds of every bill format, and that one is added by one folder alone."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from allocation.models import Import, RejectedRow
from portal.accounts.keys import create_key
from portal.accounts.models import Role
from portal.ingest.bills.files.stream import BillFile
from portal.ingest.bills.formats import (
    AUTO,
    KNOWN,
    READERS,
    BillFormat,
    FileHead,
    bill_formats,
    format_of,
    start_of,
)
from portal.ingest.bills.load.validation import REQUIRED_NUMBERS, REQUIRED_TEXTS
from portal.jobs.worker import run_due
from tests.factories import client_of
from tests.folders import one_more_folder
from tests.portal.bills import deliver, published

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

EXAMPLES = Path(__file__).parent / "examples"  # for each format a bill of it, named after it

# A provider's cost report as JSON lines. Each row is translated as it is read; what can't be
# translated is a problem of its line.
TALLY = """
import hashlib
import json

import numpy as np
import pyarrow as pa

from portal.ingest.bills.formats import BillFormat, Header, RowBatch, only_file
from portal.ingest.problems import Problem

FIXED = {
    "BillingCurrency": "USD", "ChargeCategory": "Usage", "ServiceName": "Tally",
    "ProviderName": "Tally", "BillingPeriodStart": "2026-09-01T00:00:00Z",
    "BillingPeriodEnd": "2026-10-01T00:00:00Z",
}
NAMES = (*FIXED, "BilledCost", "EffectiveCost", "BillingAccountId", "ChargePeriodStart",
         "ChargePeriodEnd", "ChargeDescription")


class TallyRows:
    header = Header(names=NAMES, version=None, unknown=(), missing=())
    repairs = {}

    def __init__(self, file):
        self.content = file.path.read_bytes()
        self.content_bytes = self.bytes_read = len(self.content)
        self.file_hashes = [hashlib.sha256(self.content).hexdigest()]

    def __iter__(self):
        for number, line in enumerate(self.content.splitlines(), start=1):
            yield batch_of(number, json.loads(line))

    def close(self):
        pass


def batch_of(number, told):
    if "usd" not in told:
        nothing = {name: pa.nulls(0, pa.string()) for name in NAMES}
        problem = Problem(number, "usd", None, "missing: a line has an amount")
        return RowBatch(nothing, np.array([], dtype=np.int64), [problem])
    day = told["day"]
    row = FIXED | {
        "BilledCost": told["usd"], "EffectiveCost": told["usd"], "BillingAccountId": told["org"],
        "ChargePeriodStart": f"{day}T00:00:00Z", "ChargePeriodEnd": f"{day}T23:00:00Z",
        "ChargeDescription": told["what"],
    }
    columns = {name: pa.array([row[name]], pa.string()) for name in NAMES}
    return RowBatch(columns, np.array([number], dtype=np.int64))


FORMAT = BillFormat(
    name="tally",
    label="Tally",
    files="JSON lines",
    recognises=lambda head: head.first_line.startswith('{"org"'),
    read=lambda files: TallyRows(only_file(files)),
)
"""
BILL = "\n".join(
    json.dumps({"org": "org-1", "day": "2026-09-02", "what": "gpt-5 input", "usd": f"1.{number}"})
    for number in range(21)
)


@pytest.fixture
def tally(tmp_path: Path) -> Iterator[None]:
    with one_more_folder(READERS, "tally", TALLY, beside=tmp_path):
        yield


def example_of(name: str) -> Path:
    (path,) = EXAMPLES.glob(f"{name}.*")
    return path


def import_bill(path: Path, *options: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("import_bill", str(path), "--source", "tally", "--json", *options, stdout=out)
    told: dict[str, Any] = json.loads(out.getvalue())
    return told


def uploaded(path: Path) -> dict[str, Any]:
    file = SimpleUploadedFile(path.name, path.read_bytes())
    return {"file": file, "source": "tally", "format": "tally"}


def key_of(scope: str) -> dict[str, str]:
    _, secret = create_key("pipeline", scope, None, None)
    return {"authorization": f"Bearer {secret}"}


# ---------------------------------------------------------------- of every format


@pytest.mark.parametrize("spec", bill_formats().values(), ids=lambda spec: spec.name)
def test_a_format_says_what_it_is(spec: BillFormat) -> None:
    assert spec.name.isidentifier()
    assert spec.name.islower()
    assert spec.name != AUTO
    assert spec.label
    assert spec.files


@pytest.mark.parametrize("spec", bill_formats().values(), ids=lambda spec: spec.name)
def test_a_format_recognises_its_own_bill_and_no_other_does(spec: BillFormat) -> None:
    path = example_of(spec.name)
    head = FileHead(path.name, start_of(BillFile.at(path)))

    assert [each.name for each in bill_formats().values() if each.recognises(head)] == [spec.name]
    assert format_of([BillFile.at(path)], asked=AUTO) == spec


@pytest.mark.parametrize("spec", bill_formats().values(), ids=lambda spec: spec.name)
def test_a_format_hands_over_focus_columns_on_counted_lines(spec: BillFormat) -> None:
    rows = spec.read([BillFile.at(example_of(spec.name))])
    batches = list(rows)
    rows.close()

    lines = [line for batch in batches for line in batch.lines]
    assert lines == sorted(set(lines))
    assert {*REQUIRED_NUMBERS, *REQUIRED_TEXTS} <= set(rows.header.names)
    assert set(rows.header.names) <= {*KNOWN, *rows.header.unknown}
    assert all(list(batch.columns) == list(rows.header.names) for batch in batches)


@pytest.mark.parametrize("spec", bill_formats().values(), ids=lambda spec: spec.name)
def test_a_format_s_bill_is_loaded_whole_and_once(spec: BillFormat, tmp_path: Path) -> None:
    path = example_of(spec.name)

    first = deliver(tmp_path, path.read_bytes(), name=path.name, format=spec.name)
    again = deliver(tmp_path, path.read_bytes(), name=path.name, format=spec.name)

    assert (first.status, first.rows_rejected) == ("loaded", 0)
    assert first.rows_loaded == sum(count for count, _, _ in published().values()) > 0
    assert (again.status, again.same_as) == ("unchanged", first.import_id)


# ---------------------------------------------------------------- one folder more


def test_a_format_is_added_by_one_folder(tally: None, tmp_path: Path) -> None:
    path = tmp_path / "costs.jsonl"
    path.write_text(BILL + '\n{"org": "org-1", "day": "2026-09-03"}\n', encoding="utf-8")

    told = import_bill(path)

    billed = sum(Decimal(f"1.{number}") for number in range(21))
    assert (told["status"], told["rows_loaded"], told["rows_rejected"]) == ("loaded", 21, 1)
    assert told["rejected"] == [
        {
            "line": 22,
            "column": "usd",
            "value": None,
            "reason": "missing: a line has an amount",
        }
    ]
    assert published() == {"USD": (21, billed, billed)}
    assert Import.objects.get(pk=told["import"]).focus_version is None
    assert RejectedRow.objects.get().line == 22


def test_an_added_format_is_taken_by_command_page_and_api(tally: None, tmp_path: Path) -> None:
    path = tmp_path / "costs.jsonl"
    path.write_text(BILL, encoding="utf-8")
    finance = client_of(Role.FINANCE)

    page = finance.get("/imports/").content.decode()
    posted = finance.post("/imports/upload/", uploaded(path))
    run_due("import_bill")
    sent = Client().post("/api/v1/bills/", uploaded(path), headers=key_of("admin"))
    run_due("import_bill")
    import_bill(path, "--format", "tally")

    assert '<option value="tally">Tally</option>' in page
    assert "Tally as JSON lines" in page
    assert (posted.status_code, sent.status_code) == (302, 202)
    statuses = Import.objects.order_by("pk").values_list("status", flat=True)
    assert list(statuses) == ["loaded", "unchanged", "unchanged"]


def test_a_format_that_no_folder_registers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "costs.jsonl"
    path.write_text(BILL, encoding="utf-8")

    with pytest.raises(CommandError, match="invalid choice: 'tally'"):
        import_bill(path, "--format", "tally")
    posted = client_of(Role.FINANCE).post("/imports/upload/", uploaded(path))
    sent = Client().post("/api/v1/bills/", uploaded(path), headers=key_of("admin"))

    assert (posted.status_code, sent.status_code) == (400, 400)
    assert list(sent.json()) == ["format"]
    assert not Import.objects.exists()
