"""The chargeback CSV against a plain COPY TO of the rows it is made of.

    .venv/bin/python benchmarks/chargeback_csv.py [--lines 200000]

One JSON line: bytes per second of both, their ratio, and how much memory streaming took beyond what
was there before.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.throwaway import servers, set_up

HOME = set_up()

from django.db import connection, connections  # noqa: E402

from allocation.models import AllocationRun, LedgerSlice, RunSlice, Source  # noqa: E402
from allocation.rules.rule_sets import first_rule_set  # noqa: E402
from allocation.values.periods import Period  # noqa: E402
from reports.asking import TeamScope  # noqa: E402
from reports.exports.csv.chargeback import chargeback_csv  # noqa: E402

OCTOBER = Period.parse("2026-10")
LEAST_RATIO = 0.3
DAYS = 3

# A company whose every feature, model and environment has a line of its own on a few days.
LINES = """
INSERT INTO cost_line (content_hash, chargeback_key, currency, source_id, ai_scope, provider_name,
    service_name, team,
    product, feature, model, environment, charge_kind, rule)
SELECT decode(md5('line ' || n), 'hex'), md5('line ' || n)::uuid, 'USD', %(source)s, 'ai',
    'OpenAI', 'OpenAI API',
    'team-' || n %% 300, 'product-' || n %% 40, 'feature-' || n, 'gpt-4o-mini', 'production',
        'shared',
    'OpenAI model calls'
FROM generate_series(1, %(lines)s) n
"""
COSTS = """
INSERT INTO slice_cost (slice_id, line_id, evidence, billed_cost, effective_cost, list_cost)
SELECT r.slice_id, l.id, 1, l.id * 0.000123456789, l.id * 0.000123456789, l.id * 0.000153456789
FROM run_slice r CROSS JOIN cost_line l
"""
# The limit: the same rows as one wide table, which is how a file would come out fastest.
FLAT = """
CREATE TABLE flat AS
SELECT '2026-10' AS period, NULL AS cost_center, team, product, model, feature, environment, phase,
    provider_name,
    service_name, currency, charge_kind, rule, source_id, billed_cost, effective_cost, list_cost,
        evidence
FROM cost_daily
"""
PLAIN = "COPY flat TO STDOUT WITH (FORMAT csv)"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=200_000)
    options = parser.parse_args()
    with servers(HOME):
        print(json.dumps(measure(options.lines)), flush=True)


def measure(lines: int) -> dict[str, object]:
    source = Source.objects.create(name="bench")
    run = AllocationRun.objects.create(
        billing_month=OCTOBER.start,
        currency="USD",
        rule_set=first_rule_set(),
        status="succeeded",
        is_current=True,
    )
    with connection.cursor() as cursor:
        cursor.execute(LINES, {"source": source.pk, "lines": lines})
        for n in range(DAYS):
            day = OCTOBER.start + timedelta(days=n)
            cut = LedgerSlice.objects.create(billing_month=OCTOBER.start, currency="USD", part=0)
            RunSlice.objects.create(
                run_id=run.pk, billing_month=OCTOBER.start, part=0, day=day, slice_id=cut.pk
            )
        cursor.execute(COSTS)
    with connections["owner"].cursor() as cursor:
        cursor.execute(FLAT)
        cursor.execute("VACUUM ANALYZE")
    plain = max(rate_of(plain_copy) for _ in range(3))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rate = max(rate_of(export) for _ in range(3))
    return {
        "benchmark": "chargeback_csv",
        "ledger_rows": lines * DAYS,
        "lines": lines,
        "ledger_rows_per_second": round(lines * DAYS * rate),
        "copy_rows_per_second": round(lines * DAYS * plain),
        "ratio": round(rate / plain, 3),
        "ratio_at_least": LEAST_RATIO,
        "memory_growth_mb": round(
            (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, 1
        ),
    }


def rate_of(what: Callable[[], None]) -> float:
    """How many times a second it could be done."""
    began = time.monotonic()
    what()
    return 1 / (time.monotonic() - began)


def plain_copy() -> None:
    with connections["owner"].cursor() as cursor, cursor.copy(PLAIN) as copy:
        for _ in copy:
            pass


def export() -> None:
    for _ in chargeback_csv(period=OCTOBER, scope=TeamScope.everything()):
        pass


if __name__ == "__main__":
    main()
