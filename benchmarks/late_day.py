"""A month that is allocated, then learns of one day more: seconds to allocate it again, against
those of a full run.

    .venv/bin/python benchmarks/late_day.py [--charges 100000] [--usage 100000]

Two JSON lines for each rule set: a late delivery with one day's charges, as an append source's file
brings them, and late spans of one day, merged into the rollup as the portal does every few seconds.
Limit: 0.4 of the full run's seconds, 0.6 under 200 rules, where most slices really differ; for the
same ledger, byte for byte, as without reuse.
`rows_that_differ` is the part of the ledger's rows that do not say what they said before, and so
have to be written.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.throwaway import servers, set_up

HOME = set_up()

from django.db import connection, transaction  # noqa: E402

from allocation.models import LedgerSlice, RunSlice, Source, UsageMeasures  # noqa: E402
from benchmarks.ledger_month import allocate, analyze, deliver, fill, put_in_force  # noqa: E402
from benchmarks.ledger_rules import ledger_rules  # noqa: E402
from portal.ingest.otlp.rollup.merge import merge_deltas  # noqa: E402

# The most that it may take of a full run.
FEW_RULES_RATIO, MANY_RULES_RATIO = 0.4, 0.6

# What a provider bills of a day some days later: every line once more, for some more cost and 2% of
# the quantity.
LATE_CHARGES = """
INSERT INTO charge (billing_month, scope_id, line, dimension_id, charge_period_start,
    charge_period_end, billed_cost,
    effective_cost, list_cost, contracted_cost, consumed_quantity, pricing_quantity, extra)
SELECT billing_month, %(late)s, row_number() OVER (), dimension_id, charge_period_start,
    charge_period_end,
    billed_cost * 0.375, effective_cost * 0.375, list_cost * 0.375, contracted_cost * 0.375,
    consumed_quantity * 0.02, pricing_quantity * 0.02, extra
FROM charge
WHERE scope_id = %(scope)s AND charge_period_start >= %(day)s::timestamptz
    AND charge_period_end <= %(day)s::timestamptz + interval '1 day'
"""
# As the receiver writes what batches bring: to be added to the hours that stand.
LATE_USAGE = """
INSERT INTO usage_delta ({columns})
SELECT {columns} FROM usage_hourly
WHERE hour >= %(day)s::timestamptz AND hour < %(day)s::timestamptz + interval '1 day'
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--charges", type=int, default=100_000)
    parser.add_argument("--usage", type=int, default=100_000)
    options = parser.parse_args()
    with servers(HOME):
        charges, usage = fill(charges=options.charges, usage_rows=options.usage)
        analyze()
        about: dict[str, object] = {"charges": charges, "usage_rows": usage}
        measure("built-in rules", about, FEW_RULES_RATIO, days=("2026-09-15Z", "2026-09-16Z"))
        put_in_force(ledger_rules().text)
        measure("200 rules", about, MANY_RULES_RATIO, days=("2026-09-17Z", "2026-09-18Z"))


def measure(
    rules: str, about: dict[str, object], ratio_at_most: float, *, days: tuple[str, str]
) -> None:
    """Each lateness upon the month as the one before left it, allocated in full."""
    full, _ = allocate()
    for what, write, day in zip(
        ("charges", "spans"), (deliver_charges, send_spans), days, strict=True
    ):
        result, full = late(write, day, full, ratio_at_most)
        name = f"late {what} of a day, {rules}"
        print(json.dumps({"benchmark": name, **about, **result}), flush=True)
        if not result["same_as_full_run"]:
            raise SystemExit(f"{name}: not the ledger that a full run makes")


def late(
    write: Callable[[str], int], day: str, before: float, ratio_at_most: float
) -> tuple[dict[str, object], float]:
    """What came of it, and the seconds of a full run of the month as it is now; the faster full run
    is the measure.
    """
    slices_before = set(RunSlice.objects.filter(part__gte=0).values_list("slice_id", flat=True))
    rows = write(day)
    seconds, run = allocate(reuse=True)
    after, full_run = allocate()
    full = min(before, after)
    return {
        "late_rows": rows,
        "seconds": round(seconds, 2),
        "full_seconds": round(full, 2),
        "ratio": round(seconds / full, 3),
        "ratio_at_most": ratio_at_most,
        "rows_that_differ": round(rows_that_differ(run.run, slices_before), 3),
        "same_as_full_run": run.sha256 == full_run.sha256,
        "load_average": round(os.getloadavg()[0], 1),  # above the number of cores, times say little
        "ok": seconds <= ratio_at_most * full,
    }, after


def rows_that_differ(run: int, before: set[int]) -> float:
    """The part of the run's rows, each slice counted once, that stand in slices which no run had
    before.
    """
    slices = set(
        RunSlice.objects.filter(run_id=run, part__gte=0).values_list("slice_id", flat=True)
    )
    rows = dict(LedgerSlice.objects.filter(pk__in=slices).values_list("pk", "rows"))
    return sum(count for pk, count in rows.items() if pk not in before) / sum(rows.values())


def deliver_charges(day: str) -> int:
    source = Source.objects.get(name="bench")
    first = source.chargescope_set.earliest("pk").pk
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(LATE_CHARGES, {"late": deliver(source).pk, "scope": first, "day": day})
        return int(cursor.rowcount)


def send_spans(day: str) -> int:
    columns = ", ".join(
        field.attname for field in UsageMeasures._meta.get_fields() if field.concrete
    )
    with connection.cursor() as cursor:
        cursor.execute(LATE_USAGE.format(columns=columns), {"day": day})
        rows = int(cursor.rowcount)
    merge_deltas()
    return rows


if __name__ == "__main__":
    main()
