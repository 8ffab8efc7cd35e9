"""Where rules test single rows, one dimension's charges stand in several split keys: which of
them, as the run saw it.

Each is SQL for a charge `c`, to stand in a statement with parameters: its
charge_to_split_key.variant.
"""

from __future__ import annotations

from collections.abc import Sequence

from allocation.models import AllocationRun
from allocation.rules.row_tests import month_variant_sql, variant_sql
from allocation.rules.rules import parse_rules

NO_VARIANT = "0"


def run_with_rules(run: int) -> AllocationRun:
    return AllocationRun.objects.select_related("rule_set").get(pk=run)


def run_scopes(run: AllocationRun) -> list[int]:
    """The snapshots of bills that the run pinned."""
    scopes: list[int] = run.inputs.get("scopes", [])
    return scopes


def run_variant(run: AllocationRun, scopes: Sequence[int]) -> str:
    """For reading whole snapshots; NO_VARIANT where the run's rules test no single row."""
    tests = parse_rules(run.rule_set.text).row_tests
    if not tests:
        return NO_VARIANT
    return _escaped(month_variant_sql(tests, month=run.billing_month, scopes=scopes))


def bill_line_variant(run: AllocationRun) -> str:
    """For reading the charges of one split key."""
    tests = parse_rules(run.rule_set.text).row_tests
    return _escaped(variant_sql(tests, month=run.billing_month, scopes=run_scopes(run)))


def _escaped(sql: str) -> str:
    return sql.replace("%", "%%")
