"""Damaged, foreign and hostile files: refused as a whole, with the place named, and nothing that
was there is lost.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import random
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from allocation.models import ChargeDimension, Import
from portal.ingest.bills.files.csv_rows import CsvRows, misquoted
from portal.ingest.bills.files.stream import BillFile, BillStream
from portal.ingest.bills.readers.focus.header import understand_header
from tests.portal.bills import ROW, SHARED, deliver, published, reasons, row, rows, text
from tests.portals import CHECKOUT

database = pytest.mark.django_db(transaction=True)


@database
def test_fault_009_truncated_gzip_is_refused_whole(tmp_path: Path) -> None:
    deliver(tmp_path, text(row(BilledCost="7")))
    before = published()
    numbers = random.Random(9)
    packed = gzip.compress(
        text(*(row(ResourceId=str(numbers.random())) for _ in range(400))).encode()
    )

    for twentieth in range(1, 20):
        outcome = deliver(tmp_path, packed[: len(packed) * twentieth // 20], name="bill.csv.gz")
        assert outcome.status == "refused"
        assert "ends in the middle" in (outcome.reason or "")
    one_byte_short = deliver(tmp_path, packed[:-1], name="bill.csv.gz")

    assert one_byte_short.status == "refused"
    assert published() == before
    assert deliver(tmp_path, packed, name="bill.csv.gz").rows_loaded == 400


@database
def test_fault_010_every_gzip_member_is_read_and_trailing_bytes_are_refused(tmp_path: Path) -> None:
    lines = text(*rows(4)).splitlines(keepends=True)
    packed = b"".join(
        gzip.compress("".join(part).encode()) for part in (lines[:2], lines[2:4], lines[4:])
    )

    refused = deliver(tmp_path, packed + b"garbage", name="bill.csv.gz")
    loaded = deliver(tmp_path, packed, name="bill.csv.gz")

    assert refused.status == "refused"
    assert "follow the end of the gzip data" in (refused.reason or "")
    assert loaded.rows_loaded == 4
    # The hash is over the content, not the packing.
    assert deliver(tmp_path, text(*rows(4))).status == "unchanged"


@database
def test_fault_010_damage_inside_gzip_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(text(*rows(50)).encode()))
    packed[-6] ^= 0xFF  # of the checksum

    outcome = deliver(tmp_path, bytes(packed), name="bill.csv.gz")

    assert outcome.status == "refused"
    assert "damaged" in (outcome.reason or "")


MEASURED = """
import resource, sys, django
django.setup()
from pathlib import Path
from django.db import connection
from portal.ingest.bills.delivery import load_bill
from portal.ingest.bills.files.stream import BillFile
connection.ensure_connection()
import pyarrow.csv, pyarrow.compute
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
outcome = load_bill(files=[BillFile.at(Path(sys.argv[1]))], source_name="bomb")
print(outcome.status, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, outcome.reason)
"""


def load_in_a_process(path: Path) -> tuple[str, int, str]:
    """Status, growth of the peak memory in kB, and reason."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path)],
        cwd=CHECKOUT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    status, grown, reason = done.stdout.split(maxsplit=2)
    return status, int(grown), reason


@database
@pytest.mark.parametrize("filler", [b"\0", b"x,\n"])
def test_fault_011_a_decompression_bomb_is_refused_in_bounded_memory(
    tmp_path: Path, filler: bytes
) -> None:
    path = tmp_path / "bomb.csv.gz"
    with gzip.open(path, "wb") as out:
        out.write(text(row()).encode())
        for _ in range(200):
            out.write(filler * ((1 << 20) // len(filler)))

    status, grown_kb, reason = load_in_a_process(path)

    assert status == "refused"
    assert "times its size" in reason or "blank or nearly so" in reason
    assert grown_kb < 200 * 1024


@database
def test_fault_011_content_above_the_limit_is_refused(tmp_path: Path, settings: Any) -> None:
    settings.IMPORT_MAX_BYTES = 10_000

    outcome = deliver(tmp_path, text(*rows(100)))

    assert outcome.status == "refused"
    assert "IMPORT_MAX_BYTES" in (outcome.reason or "")


@database
def test_fault_022_a_byte_order_mark_is_no_part_of_the_first_header(tmp_path: Path) -> None:
    columns = ["BilledCost", *(name for name in ROW if name != "BilledCost")]

    outcome = deliver(tmp_path, b"\xef\xbb\xbf" + text(row(), columns=columns).encode())

    assert outcome.rows_loaded == 1


# Arrow warns beside the refusal.
@database
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (text(row(SubAccountName="Küche")).encode("latin-1"), "byte offset"),
        (text(row(SubAccountName="Küche")).encode("utf-16"), "UTF-16"),
        (text(row()).encode() + b"\xed\xa0\x80", "byte offset"),
    ],
)
def test_fault_022_other_encodings_are_refused_with_the_place(
    tmp_path: Path, content: bytes, fact: str
) -> None:
    outcome = deliver(tmp_path, content)

    assert outcome.status == "refused"
    assert fact in (outcome.reason or "")


@database
def test_fault_022_the_byte_offset_is_exact(tmp_path: Path) -> None:
    content = text(*rows(2000, SubAccountName="Müller")).encode()
    at = content.rindex(b"Example")

    outcome = deliver(tmp_path, content[:at] + b"\xfc" + content[at:])

    assert f"byte offset {at:,} " in (outcome.reason or "")


@database
def test_fault_024_columns_may_be_reordered_added_and_recased(tmp_path: Path) -> None:
    columns = ["x_team", *reversed(ROW), "Project"]
    content = text(row(x_team='a "b"', Project=""), row(x_team="", Project=""), columns=columns)

    outcome = deliver(tmp_path, content.replace("SkuPriceId", "SkuPriceid", 1))

    assert (outcome.rows_loaded, outcome.repairs) == (2, {"header_name": 1})
    with connection.cursor() as cursor:
        cursor.execute("SELECT extra ->> 'x_team' FROM charge ORDER BY line")
        assert cursor.fetchall() == [('a "b"',), (None,)]


@database
@pytest.mark.parametrize(
    ("header", "fact"),
    [
        (
            text().replace("TaxCost", "").replace("AvailabilityZone", "BilledCost"),
            "BilledCost more than once",
        ),
        (text().replace("AvailabilityZone", "billedcost"), "BilledCost more than once"),
        (text().replace("BilledCost", "Cost"), "lacks BilledCost"),
        (text().replace("ProviderName", "Provider"), "ProviderName or ServiceProviderName"),
        (text().replace("AvailabilityZone", " "), "column 1"),
        (text().replace(",", ";"), "separated by ;"),
    ],
)
def test_fault_024_headers_that_leave_a_doubt_are_refused(
    tmp_path: Path, header: str, fact: str
) -> None:
    outcome = deliver(tmp_path, header + text(row()).split("\n", 1)[1])

    assert outcome.status == "refused"
    assert fact in (outcome.reason or "")


@database
@pytest.mark.parametrize(
    ("add", "remove", "version"),
    [
        ([], [], "1.0"),
        (["SkuMeter"], [], "1.1"),
        (["InvoiceId", "SkuMeter"], [], "1.2"),
        (["ServiceProviderName", "HostProviderName"], [], "1.3"),
        (["ServiceProviderName", "InvoiceDetailId"], ["ProviderName", "PublisherName"], "1.4"),
    ],
)
def test_fault_024_the_focus_version_is_read_off_the_header(
    tmp_path: Path, add: list[str], remove: list[str], version: str
) -> None:
    line = {
        name: value
        for name, value in row(**dict.fromkeys(add, "OpenAI")).items()
        if name not in remove
    }

    outcome = deliver(tmp_path, text(line))

    assert Import.objects.get(pk=outcome.import_id).focus_version == version
    assert ChargeDimension.objects.get().provider_name == "OpenAI"


@database
def test_fault_025_line_numbers_are_those_of_the_file(tmp_path: Path) -> None:
    lines = text(
        *rows(100), row(ChargeDescription="two\nlines"), row(BilledCost="x"), quote_all=True
    ).split("\n")
    lines[50:50] = ["", "one,two", ""]  # after the header and 49 rows
    content = "\r\n".join(lines)

    outcome = deliver(tmp_path, content)

    bad_line = content[: content.index('"x"')].count("\n") + 1
    assert reasons(outcome)[0][:2] == (52, None)
    assert "2 columns" in reasons(outcome)[0][2]
    assert reasons(outcome)[1][:2] == (bad_line, "BilledCost")
    assert (outcome.rows_loaded, outcome.repairs["blank_line"]) == (101, 2)


@database
def test_lines_may_end_with_cr_alone(tmp_path: Path) -> None:
    lines = rows(30, ChargeDescription="two\nlines")
    lines[20]["BilledCost"] = "x"
    content = text(*lines, quote_all=True).replace("\n", "\r")

    outcome = deliver(tmp_path, content)

    assert (outcome.rows_loaded, outcome.repairs) == (29, {"lines_end_with_cr": 1})
    assert [(each.line, each.column) for each in outcome.rejected] == [(42, "BilledCost")]


@database
@pytest.mark.parametrize("column", ["AvailabilityZone", "ChargeDescription", "Tags"])
@pytest.mark.parametrize("quote_all", [True, False])
@pytest.mark.parametrize("number", [10, 19])
def test_fault_025_an_unclosed_quote_is_refused_with_its_line(
    tmp_path: Path, column: str, quote_all: bool, number: int
) -> None:
    lines = rows(20)
    lines[number][column] = "left, open"

    outcome = deliver(
        tmp_path, text(*lines, quote_all=quote_all).replace('left, open"', "left, open")
    )

    assert outcome.status == "refused"
    assert f"line {number + 2}:" in (outcome.reason or "")


@database
def test_fault_025_a_flood_of_lines_is_refused_early(tmp_path: Path) -> None:
    blank = deliver(tmp_path, text(row()) + "\n" * 3_000_000)
    short = deliver(tmp_path, text(row()) + "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p\n" * 100_000)

    assert "blank or nearly so" in (blank.reason or "")
    assert "wrong number of columns" in (short.reason or "")


@database
def test_fault_025_a_field_of_megabytes_is_refused(tmp_path: Path) -> None:
    two_megabytes = deliver(tmp_path, text(row(ChargeDescription="x" * (2 << 20))))
    ten_megabytes = deliver(tmp_path, text(row(ChargeDescription="x" * (10 << 20))))

    assert "ChargeDescription: a field longer than" in (two_megabytes.reason or "")
    assert "a row longer than" in (ten_megabytes.reason or "")


@database
@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"PK\x03\x04", "Excel"),
        (b"\x7fELF", "program"),
        (b"<!doctype html>", "HTML"),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_fault_031_the_first_bytes_say_what_a_file_is(
    tmp_path: Path, start: bytes, what: str
) -> None:
    outcome = deliver(tmp_path, start + text(row()).encode())

    assert outcome.status == "refused"
    assert what in (outcome.reason or "")


FIELD = st.text(alphabet='a",\n\r;é ', max_size=5)


@settings(max_examples=150, deadline=None)
@given(fields=st.lists(FIELD, min_size=1, max_size=12), line_break=st.sampled_from(["\n", "\r\n"]))
def test_the_fast_reader_sees_what_python_s_reader_sees(
    fields: list[str], line_break: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("csv") / "bill.csv"
    content = text(*(row(ResourceName=each) for each in fields), quote_all=True)
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator=line_break).writerows(
        csv.reader(io.StringIO(content, newline=""))
    )
    path.write_bytes(out.getvalue().encode())

    reader = CsvRows(BillFile.at(path), understand_header)
    read = [
        (line, name)
        for batch in reader
        for line, name in zip(batch.lines, batch.columns["ResourceName"].to_pylist(), strict=True)
    ]
    reader.close()

    expected = []
    python = csv.reader(io.StringIO(out.getvalue(), newline=""))
    next(python)
    line = (
        out.getvalue()[: len(",".join(f'"{name}"' for name in ROW)) + len(line_break)].count("\n")
        + 1
    )
    for values in python:
        expected.append((line, values[list(ROW).index("ResourceName")] or None))
        line += 1 + sum(value.count("\n") for value in values)
    assert read == expected


@settings(max_examples=100, deadline=None)
@given(content=st.text(alphabet='a",\n', max_size=40))
def test_misquoted_agrees_with_a_strict_reader(
    content: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("csv") / "quotes.csv"
    path.write_text(content)
    try:
        list(csv.reader(io.StringIO(content, newline=""), strict=True))
        strict = True
    except csv.Error:
        strict = False

    with BillStream(BillFile.at(path)) as stream:
        assert (misquoted(stream) is None) == strict


# ---------------------------------------------------------------- real files


@database
def test_the_focus_sample_loads_whole_and_exactly(tmp_path: Path) -> None:
    path = SHARED / "focus_1_0_sample" / "focus_sample.csv.gz"
    if not path.exists():
        pytest.skip(f"no shared data: {path}")
    with gzip.open(path, "rt", newline="") as file:
        lines = list(csv.DictReader(file))

    outcome = deliver(tmp_path, path.read_bytes(), name="focus_sample.csv.gz", source="sample")

    def total(column: str) -> Decimal:
        return sum(
            (Decimal(line[column]) for line in lines if line[column] not in ("NULL", "")),
            Decimal(0),
        )

    assert (outcome.rows_read, outcome.rows_loaded, outcome.rows_rejected) == (1000, 1000, 0)
    assert published() == {"USD": (1000, total("BilledCost"), total("EffectiveCost"))}
    (stated,) = outcome.totals
    assert {name: Decimal(stated[name] or "") for name in ("list_cost", "contracted_cost")} == {
        "list_cost": total("ListCost"),
        "contracted_cost": total("ContractedCost"),
    }
    assert outcome.repairs["time_without_zone"] == 4000
    assert (
        Import.objects.get(pk=outcome.import_id).scopes.filter(billing_month="2024-10-01").count()
        == 1
    )


@database
def test_the_specification_s_examples_say_what_they_lack(tmp_path: Path) -> None:
    folder = SHARED / "focus_spec_commitment_examples"
    if not folder.exists():
        pytest.skip(f"no shared data: {folder}")

    for path in sorted(folder.rglob("*.csv")):
        outcome = deliver(tmp_path, path.read_bytes(), name=path.name)
        assert outcome.status == "refused"
        assert "lacks BillingAccountId, BillingCurrency" in (outcome.reason or "")
