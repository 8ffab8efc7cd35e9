"""Where rules test single rows, one dimension's charges stand in several buckets: which of them, as
the run saw it.
"""

from __future__ import annotations

from collections.abc import Sequence

from allocation.models import AllocationRun
from allocation.rules.row_tests import month_variant_sql
from allocation.rules.rules import parse_rules


def run_variant(run: AllocationRun, scopes: Sequence[int]) -> str | None:
    """SQL for a charge `c` of these snapshots, to stand in a statement with parameters: its
    bucket_member.variant.

    None where the run's rules test no single row, so that every charge has the variant 0.
    """
    tests = parse_rules(run.rule_set.text).row_tests
    if not tests:
        return None
    return month_variant_sql(tests, month=run.billing_month, scopes=scopes).replace("%", "%%")
