"""Parquet bills: types of their own, and forged files that kill at most their reader."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from allocation.models import ChargeDimension, Import
from tests.portal.bills import ROW, deliver, published

database = pytest.mark.django_db(transaction=True)


@database
def parquet(path: Path, **columns: pa.Array) -> bytes:
    """Two rows; other columns than the given ones as texts."""
    table = {
        name: pa.array([value or None] * 2, pa.string()) for name, value in ROW.items()
    } | columns
    pq.write_table(pa.table(table), path, row_group_size=1)
    return path.read_bytes()


@database
def test_a_parquet_bill_loads_with_types_of_its_own(tmp_path: Path) -> None:
    content = parquet(
        tmp_path / "made.parquet",
        BilledCost=pa.array([Decimal("0.000000015"), Decimal("-2.5")], pa.decimal128(30, 9)),
        EffectiveCost=pa.array([0.1, 1e-7]),
        BillingPeriodStart=pa.array([1788220800000000] * 2, pa.timestamp("us", tz="UTC")),
        ChargePeriodStart=pa.array([1788307200000] * 2, pa.timestamp("ms")),
        Tags=pa.array([[("team", "search")], None], pa.map_(pa.string(), pa.string())),
        ResourceName=pa.array(["a\0b", "c"]).dictionary_encode(),
        x_seats=pa.array([3, None], pa.int32()),
    )

    outcome = deliver(tmp_path, content, name="bill.parquet")

    assert (outcome.status, outcome.reason) == ("loaded", None)
    assert published() == {"USD": (2, Decimal("-2.499999985"), Decimal("0.1000001"))}
    assert outcome.repairs == {"binary_float": 2, "nul_replaced": 1, "time_without_zone": 2}
    assert sorted(ChargeDimension.objects.values_list("resource_name", "tags"), key=str) == [
        ("a\ufffdb", {"team": "search"}),
        ("c", None),
    ]


@database
@pytest.mark.parametrize(
    "texts",
    [
        pa.array(["search", "ads"], pa.string_view()),
        pa.array(["search", "ads"], pa.large_string()),
        pa.array([b"search", b"ads"], pa.binary()),
        pa.array(["search", "ads"], pa.string()).dictionary_encode(),
    ],
    ids=lambda texts: str(texts.type),
)
def test_texts_of_every_type_are_read(tmp_path: Path, texts: pa.Array) -> None:
    outcome = deliver(tmp_path, parquet(tmp_path / "made", SkuId=texts), name="bill.parquet")

    assert (outcome.status, outcome.reason) == ("loaded", None)
    assert set(ChargeDimension.objects.values_list("sku_id", flat=True)) == {"search", "ads"}


@database
def test_tags_of_arrow_s_json_type_are_read(tmp_path: Path) -> None:
    tags = pa.array(['{"team": "search"}', None], pa.json_())

    outcome = deliver(tmp_path, parquet(tmp_path / "made", Tags=tags), name="bill.parquet")

    assert (outcome.status, outcome.reason) == ("loaded", None)
    found = ChargeDimension.objects.values_list("tags", flat=True)
    assert sorted(found, key=str) == [None, {"team": "search"}]


@database
def test_a_variant_is_refused_in_a_sentence(tmp_path: Path) -> None:
    variant = pa.struct([pa.field("metadata", pa.binary(), False), ("value", pa.binary())])
    tags = pa.array([{"metadata": b"1", "value": b"2"}] * 2, variant)

    outcome = deliver(tmp_path, parquet(tmp_path / "made", Tags=tags), name="bill.parquet")

    assert outcome.status == "refused"
    assert (
        "bill.parquet: not readable as Parquet: Tags is of the type VARIANT, which is "
        "not read; write it as JSON text, a map or a struct"
    ) in (outcome.reason or "")


@database
def test_fault_025_a_parquet_field_of_megabytes_is_refused(tmp_path: Path) -> None:
    long = pa.array(["x" * (2 << 20), "y"])

    outcome = deliver(
        tmp_path, parquet(tmp_path / "made", ChargeDescription=long), name="bill.parquet"
    )

    assert outcome.status == "refused"
    assert "column ChargeDescription: a field longer than 1,048,576 bytes" in (outcome.reason or "")


@database
def test_fault_011_a_parquet_file_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    """A dictionary and run lengths make millions of long texts of a few kilobytes."""
    long = "x" * 1000
    table = {
        name: pa.DictionaryArray.from_arrays(pa.array([0] * 200_000, pa.int32()), [value or long])
        for name, value in ROW.items()
    }
    pq.write_table(pa.table(table), tmp_path / "made", compression="zstd")

    outcome = deliver(tmp_path, (tmp_path / "made").read_bytes(), name="bill.parquet")

    assert outcome.status == "refused"
    assert "more than 200 times its size" in (outcome.reason or "")


@database
def test_fault_012_a_forged_parquet_file_kills_at_most_its_reader(tmp_path: Path) -> None:
    content = parquet(tmp_path / "made.parquet")
    changes = random.Random(12)

    statuses = set()
    for number in range(12):
        forged = bytearray(content)
        if number % 2:
            footer = len(forged) - 8 - int.from_bytes(forged[-8:-4], "little")
            for _ in range(1 + number):
                forged[changes.randrange(footer, len(forged) - 8)] = changes.randrange(256)
        else:
            forged = forged[: changes.randrange(8, len(forged))]
        outcome = deliver(tmp_path, bytes(forged), name="forged.parquet", source=f"forged {number}")
        statuses.add(outcome.status)
        assert outcome.status == "loaded" or outcome.reason

    assert "refused" in statuses
    assert "failed" not in set(Import.objects.values_list("status", flat=True))
