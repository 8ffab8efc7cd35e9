"""Whether the steps that Explain prints give each amount to the last digit, on a sample of a large
month.

    .venv/bin/python benchmarks/explain_steps.py [--charges 100000] [--usage 100000] [--lines 10000]

One JSON line: how many lines were opened, days printed and read back, which of them were false, and
how many milliseconds one line took.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.throwaway import servers, set_up

HOME = set_up()

from benchmarks.ledger_month import allocate, analyze, fill, put_in_force  # noqa: E402
from benchmarks.ledger_rules import ledger_rules  # noqa: E402
from benchmarks.printed_steps import is_true, opened_lines, printed_days  # noqa: E402
from reports.cost_question.question import METRICS  # noqa: E402
from reports.cost_question.runs import current_runs  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--charges", type=int, default=100_000)
    parser.add_argument("--usage", type=int, default=100_000)
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with servers(HOME):
        charges, _ = fill(charges=options.charges, usage_rows=options.usage)
        put_in_force(ledger_rules().text)
        analyze()
        allocate()
        found = measure(options.lines, random.Random(options.seed))
        print(json.dumps({"benchmark": "explain_steps", "charges": charges, **found}), flush=True)
        if found["false"]:
            raise SystemExit(1)


def measure(lines: int, chance: random.Random) -> dict[str, object]:
    every = [(run, line) for run in current_runs() for line in opened_lines(run)]
    sample = chance.sample(every, min(lines, len(every)))
    days, false = 0, []
    began = time.monotonic()
    for run, line in sample:
        for text, page in printed_days(run, line, chance.choice(METRICS)):
            days += 1
            if not is_true(text, page):
                false.append(f"{line} {text.day.day} {text.day.charge_kind}")
    return {
        "lines_to_open": len(every),
        "lines": len(sample),
        "days": days,
        "milliseconds_a_line": round((time.monotonic() - began) * 1000 / max(len(sample), 1), 1),
        "false": false[:20],
    }


if __name__ == "__main__":
    main()
