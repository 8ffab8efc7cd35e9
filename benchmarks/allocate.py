"""Allocating a month, against one SQL script that splits the same inputs at the same grain (baseline.sql).

    .venv/bin/python benchmarks/allocate.py [--charges 100000] [--usage 100000]

One JSON line. The full size is a million of each; the limit is measured in the same run, after a warm-up of both.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.throwaway import servers, set_up

HOME = set_up()

from django.db import connections  # noqa: E402
from django.utils import timezone  # noqa: E402

from allocation.periods import Period  # noqa: E402
from allocation.runs import allocate_period  # noqa: E402
from benchmarks.ledger_month import MONTH, fill  # noqa: E402
from reports.queries.reconciliation import reconcile_period  # noqa: E402

BASELINE = Path(__file__).with_name("baseline.sql").read_text(encoding="utf-8")
TIMES_BASELINE = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--charges", type=int, default=100_000)
    parser.add_argument("--usage", type=int, default=100_000)
    options = parser.parse_args()
    with servers(HOME):
        print(json.dumps(measure(options.charges, options.usage)), flush=True)


def measure(charges: int, usage: int) -> dict[str, object]:
    counts = fill(charges=charges, usage_rows=usage)
    with connections["owner"].cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    limit, baseline_rows = min(baseline() for _ in range(2))
    seconds, rows = min(run() for _ in range(2))
    return {
        "benchmark": "allocate",
        "charges": counts[0],
        "usage_rows": counts[1],
        "seconds": round(seconds, 2),
        "baseline_seconds": round(limit, 2),
        "ratio": round(seconds / limit, 2),
        "ratio_at_most": TIMES_BASELINE,
        "rows": rows,
        "baseline_rows": baseline_rows,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def run() -> tuple[float, int]:
    """(seconds, rows) of one whole run, published; the month must balance."""
    period = Period.month(MONTH)
    began = time.monotonic()
    outcome = allocate_period(period=period, now=timezone.now(), reuse=False)
    seconds = time.monotonic() - began
    if not reconcile_period(period=period).is_balanced:
        raise SystemExit("the month does not balance")
    return seconds, outcome.runs[0].rows


def baseline() -> tuple[float, int]:
    with connections["owner"].cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS baseline_cost; SET work_mem = '128MB'")
        began = time.monotonic()
        cursor.execute(BASELINE)
        seconds = time.monotonic() - began
        cursor.execute("SELECT count(*), sum(billed_cost) = (SELECT sum(billed_cost) FROM charge) FROM baseline_cost")
        rows, is_exact = cursor.fetchone()
        cursor.execute("DROP TABLE baseline_cost; RESET work_mem")
    if not is_exact:
        raise SystemExit("the baseline loses money")
    return seconds, rows


if __name__ == "__main__":
    main()
