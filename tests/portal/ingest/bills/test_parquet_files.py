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
