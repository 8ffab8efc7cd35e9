"""Tests of single rows: looked up by value for a whole month, they say the same as row by row."""

from __future__ import annotations

import pytest
from django.db import connection

from allocation.rules import row_tests as module
from allocation.rules.conditions import row_tests
from allocation.rules.row_tests import month_variant_sql, variant_sql
from tests.allocation.bills import AWS, OCTOBER, Bill

pytestmark = pytest.mark.django_db

ROWS: list[tuple[str, dict[str, object] | None]] = [
    ("1", None),
    ("2", {}),
    ("3", {"x_key": "eval-1", "x_size": "10"}),
    ("0.5", {"x_key": "EVAL-2", "x_size": "-3.5"}),
    ("-4", {"x_key": "", "x_size": "1e3"}),
    ("5", {"x_key": 'a "quoted" \\\\ key, ÄÖ 100%', "x_size": "ten"}),
    ("6", {"x_key": None, "x_other": "eval-1"}),
    ("7", {"x_key": {"of": [1, 2]}, "x_size": 11}),
]
WHEN = {
    "any": [
        {"x_key": "eval-1"},
        {"x_key": ["", 'a "quoted" \\\\ key, ÄÖ 100%']},
        {"x_key": {"prefix": ["eval", "{"]}},
        {"x_key": {"contains": ["VAL", "äö"]}},
        {"x_key": {"regex": "^[a-z]+-[0-9]$"}},
        {"x_key": {"missing": True}},
        {"x_size": {"at_least": 10}},
        {"x_size": {"below": "0.5"}},
        {"x_size": {"missing": False}},
        {"x_never": {"missing": True}},
        {"x_never": "x"},
        {"BilledCost": {"above": 2, "at_most": 6}},
    ]
}


@pytest.mark.parametrize("most", [100, 3, 0])
def test_a_month_is_told_apart_as_row_by_row(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_VALUES", most)
    bill = Bill()
    for billed, extra in ROWS:
        bill.charge(billed, extra=extra, **AWS)  # type: ignore[arg-type]
    tests = sorted(row_tests(WHEN))
    one, month = (
        f(tests, month=OCTOBER.start, scopes=[bill.scope.pk])
        for f in (variant_sql, month_variant_sql)
    )

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {one}, {month} FROM charge c ORDER BY c.line")
        found = cursor.fetchall()

    assert [row[0] for row in found] == [row[1] for row in found]
    # The first two rows have nothing, and are alike but for their cost.
    assert len({row[0] for row in found}) == 7
