"""Import of a FOCUS bill against raw COPY of the same CSV into a logged table of text columns, same
server, same run.

    .venv/bin/python benchmarks/import_bill.py [--rows 100000] [--full] [--repeat 2] [--gzip]

The bill: 43 columns of FOCUS 1.0, hourly rows of some thousands of resources in one month, with
tags and quoted texts. The import runs in a process of its own, whose peak memory is measured; both
sides keep their best of the repeats.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

LEAST_RATIO = 0.4
MOST_MEGABYTES = 400
SERVICES = (
    ("AmazonEC2", "Compute"),
    ("Amazon Bedrock", "AI and Machine Learning"),
    ("Amazon S3", "Storage"),
    ("AWS Lambda", "Compute"),
    ("Amazon SageMaker", "AI and Machine Learning"),
)
PRICES = (0.0000004, 0.008, 0.0416, 3.06, 0.023, 0.00000025)
HEADER = (
    "AvailabilityZone,BilledCost,BillingAccountId,BillingAccountName,BillingCurrency,"
    "BillingPeriodEnd,BillingPeriodStart,ChargeCategory,ChargeClass,ChargeDescription,"
    "ChargeFrequency,ChargePeriodEnd,ChargePeriodStart,CommitmentDiscountCategory,"
    "CommitmentDiscountId,CommitmentDiscountName,CommitmentDiscountStatus,CommitmentDiscountType,"
    "ConsumedQuantity,ConsumedUnit,ContractedCost,ContractedUnitPrice,EffectiveCost,"
    "InvoiceIssuerName,ListCost,ListUnitPrice,PricingCategory,PricingQuantity,PricingUnit,"
    "ProviderName,PublisherName,RegionId,RegionName,ResourceId,ResourceName,ResourceType,"
    "ServiceCategory,ServiceName,SkuId,SkuPriceId,SubAccountId,SubAccountName,Tags"
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--full", action="store_true", help="a million rows")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument(
        "--gzip", action="store_true", help="import the gzip form; COPY still gets the plain one"
    )
    # The measured process.
    parser.add_argument("--load", nargs=2, metavar=("FILE", "SOURCE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        load(Path(options.load[0]), options.load[1])
        return

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from benchmarks.throwaway import servers, set_up

    home = set_up()
    with servers(home):
        measure(home, 1_000_000 if options.full else options.rows, options.repeat, options.gzip)


def measure(home: Path, rows: int, repeat: int, packed: bool) -> None:
    bill = home / "bill.csv"
    with bill.open("w", encoding="utf-8", newline="") as out:
        out.writelines(lines(rows))
    raw = min(raw_copy(bill) for _ in range(repeat))
    delivered = bill
    if packed:
        delivered = home / "bill.csv.gz"
        with bill.open("rb") as plain, gzip.open(delivered, "wb", compresslevel=6) as out:
            shutil.copyfileobj(plain, out)
    runs = [imported(delivered, f"bench {number}") for number in range(repeat)]
    seconds = min(run["seconds"] for run in runs)
    figure = {
        "benchmark": "import_bill",
        "rows": rows,
        "megabytes": round(bill.stat().st_size / 1e6),
        "gzip": packed,
        "rows_per_second": round(rows / seconds),
        "copy_limit_per_second": round(rows / raw),
        "ratio": round(raw / seconds, 3),
        "ratio_at_least": LEAST_RATIO,
        "peak_mb": round(max(run["peak_mb"] for run in runs)),
        "peak_mb_at_most": MOST_MEGABYTES,
        "seconds": round(seconds, 2),
        "copy_seconds": round(raw, 2),
    }
    print(json.dumps(figure), flush=True)


def raw_copy(bill: Path) -> float:
    """Seconds to COPY the file into a new logged table of text columns."""
    from django.db import connections

    with connections["owner"].cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS raw_bill")
        columns = ", ".join(f'"{name}" text' for name in HEADER.split(","))
        cursor.execute(f"CREATE TABLE raw_bill ({columns})")
        began = time.monotonic()
        with (
            cursor.copy("COPY raw_bill FROM STDIN WITH (FORMAT csv, HEADER true)") as copy,
            bill.open("rb") as file,
        ):
            while block := file.read(1 << 18):
                copy.write(block)
        seconds = time.monotonic() - began
        cursor.execute("DROP TABLE raw_bill")
    return seconds


def imported(bill: Path, source: str) -> dict[str, float]:
    """Seconds and peak memory of one import, in a process of its own, from an empty ledger."""
    from django.db import connections

    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "TRUNCATE charge, allocation_chargedimension, allocation_chargescope CASCADE"
        )
    done = subprocess.run(
        [sys.executable, __file__, "--load", str(bill), source],
        capture_output=True,
        text=True,
        env=os.environ,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    outcome: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return outcome


def load(bill: Path, source: str) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import django

    django.setup()

    from portal.ingest.bills.delivery import load_bill
    from portal.ingest.bills.files.stream import BillFile

    outcome = load_bill(files=[BillFile.at(bill)], source_name=source)
    if outcome.status != "loaded" or outcome.rows_rejected:
        raise SystemExit(f"{outcome.status}: {outcome.reason}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": outcome.seconds, "peak_mb": peak}))


def lines(rows: int, seed: int = 1) -> Iterator[str]:
    """Header and rows of a month, by hour; the same for the same seed."""
    numbers = random.Random(seed)
    start = datetime(2026, 9, 1, tzinfo=UTC)
    hours = [f"{start + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}" for hour in range(721)]
    resources = [
        made_resource(numbers, number) for number in range(min(5000, max(100, rows // 20)))
    ]
    yield HEADER + "\n"
    for number in range(rows):
        before, price, middle, after = resources[numbers.randrange(len(resources))]
        hour = number * 720 // rows
        quantity = numbers.randrange(1, 10**9) / 10**6
        cost, discounted = f"{quantity * price:.11f}", f"{quantity * price * 0.72:.11f}"
        yield (
            f"{before[0]},{cost},{before[1]},{hours[hour + 1]},{hours[hour]},,,,,,"
            f"{quantity:.6f},Hours,{discounted},{price:.10f},{discounted},"
            f'"Amazon Web Services, Inc.",{cost},{price:.10f},Standard,{quantity:.6f},'
            f"{middle}{after}\n"
        )


def made_resource(numbers: random.Random, number: int) -> tuple[tuple[str, str], float, str, str]:
    """The constant parts of one resource's rows, and its price."""
    service, category = numbers.choice(SERVICES)
    region = numbers.choice(("us-east-1", "us-west-2", "eu-central-1"))
    account, sku, price = (
        100000000000 + numbers.randrange(40),
        numbers.randrange(400),
        numbers.choice(PRICES),
    )
    tags = {
        "application": f"app-{numbers.randrange(60)}",
        "environment": numbers.choice(("prod", "dev", "staging")),
        "team": f"team-{numbers.randrange(12)}",
        "business_unit": f"BU {numbers.randrange(5)}",
    }
    written = '"' + json.dumps(tags).replace('"', '""') + '"' if numbers.random() < 0.8 else ""
    name = hashlib.sha256(str(number).encode()).hexdigest()[:32]
    before = (
        f"{region}a",
        '999988887777,"Example Payer, Inc.",USD,2026-10-01T00:00:00Z,2026-09-01T00:00:00Z,Usage,,'
        f'"${price:.10f} per unit of {service} usage type {sku} in {region}",Usage-Based',
    )
    middle = f'Hours,AWS,"Amazon Web Services, Inc.",{region},US {region},'
    after = (
        f"arn:aws:{service.lower().replace(' ', '')}:{region}:{account}:resource/{name},"
        f"res-{name[-8:]},Instance,{category},{service},SKU{sku:05d},"
        f"SKU{sku:05d}.JRTCKXETXF.{sku:04d},{account},Account {account},{written}"
    )
    return before, price, middle, after


if __name__ == "__main__":
    main()
