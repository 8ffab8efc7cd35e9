"""Allocating a month, and one with ten times the charges and usage. One JSON line for each rule
set.

    .venv/bin/python benchmarks/ten_times.py [--full | --huge] [--rounds N]

Quick: 10,000 and 100,000 of each; --full: 100,000 and 1,000,000; --huge: a million and ten million,
with some 15 GB of disk. Both months stand in homes of their own and are allocated by turns, whole
and without reuse; the fastest counts. Limit: ten times the data in at most eleven times the time.
Larger months have more keys and callers, too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.children import answering, ask, child_of, servers

QUICK, FULL, HUGE = 100_000, 1_000_000, 10_000_000
LIMIT_RATIO = 11
RULE_SETS = {"plain": "the built-in rules", "many": "200 rules"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--full", action="store_true")
    size.add_argument("--huge", action="store_true")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--measure", type=int, help=argparse.SUPPRESS
    )  # in the child: write this many rows and answer
    options = parser.parse_args()
    if options.measure:
        serve(options.measure)
        return
    rows = HUGE if options.huge else FULL if options.full else QUICK
    with (
        child_of(__file__, "--measure", str(rows // 10)) as small,
        child_of(__file__, "--measure", str(rows)) as large,
    ):
        for name in RULE_SETS:
            print(json.dumps(compared(name, small, large, rows, options.rounds)), flush=True)


class Run(NamedTuple):
    seconds: float
    cpu_seconds: float  # of the process and the database server
    peak_mb: float  # as watch.py counts


def compared(
    name: str, small: subprocess.Popen[str], large: subprocess.Popen[str], rows: int, rounds: int
) -> dict[str, object]:
    runs: tuple[list[Run], list[Run]] = ([], [])
    for _ in range(rounds):
        for child, found in zip((small, large), runs, strict=True):
            found.append(Run(*ask(child, name)))
    tenth, whole = map(min, runs)
    return {
        "benchmark": f"ten times the data, {RULE_SETS[name]}",
        "rows": rows,
        **whole._asdict(),
        "tenth": tenth._asdict(),
        "ratio": round(whole.seconds / tenth.seconds, 2),
        "cpu_ratio": round(
            whole.cpu_seconds / tenth.cpu_seconds, 2
        ),  # what a busy machine says least wrongly
        "ratio_at_most": LIMIT_RATIO,
        "load_average": round(os.getloadavg()[0], 1),  # above the number of cores, times say little
        "ok": whole.seconds <= LIMIT_RATIO * tenth.seconds,
    }


def serve(rows: int) -> None:
    """In the child: write a month of that many charges and usage rows, and allocate it as asked."""
    with servers():
        from allocation.rules.rule_sets import latest_rule_set
        from benchmarks.ledger_month import allocate, analyze, fill, put_in_force
        from benchmarks.ledger_rules import ledger_rules
        from benchmarks.watch import watched

        fill(charges=rows, usage_rows=rows)
        analyze()

        def measured(name: str) -> list[float]:
            if name == "many" and latest_rule_set().text != ledger_rules().text:
                put_in_force(ledger_rules().text)
            with watched() as taken:
                seconds, _ = allocate()
            cpu_seconds = taken.process_cpu + taken.database_cpu
            return [round(seconds, 2), round(cpu_seconds, 2), taken.as_json()["peak_mb"]]

        answering(measured)


if __name__ == "__main__":
    main()
