"""Tests of single rows in SQL: which of a rule set's row tests each charge passes, as the bits of one number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from django.db import connection
from psycopg import sql

from allocation.conditions import ROW_COLUMNS, RowTest, pattern_of
from allocation.rules import RuleError

MOST_TESTS = 60  # bits of a bigint
COMPARISONS = {"above": ">", "at_least": ">=", "below": "<", "at_most": "<=", "equals": "="}
NUMBER_LIKE = r"^-?([0-9]+(\.[0-9]*)?|\.[0-9]+)$"
VALUES_SQL = """
SELECT DISTINCT c.extra->>%(column)s FROM charge c
WHERE c.billing_month = %(month)s AND c.scope_id = ANY(%(scopes)s) AND c.extra ? %(column)s
"""


def variant_sql(tests: Sequence[RowTest], *, month: date, scopes: Sequence[int]) -> str:
    """SQL for a charge `c`: the sum of 2^n over the tests that it passes, 0 where there are none.

    A pattern is matched by RE2 against the distinct values of the month, so that no user's pattern runs in the
    database. Raises RuleError where there are too many tests.
    """
    if len(tests) > MOST_TESTS:
        raise RuleError([f"there are {len(tests)} tests of single rows; at most {MOST_TESTS} are possible"])
    bits = [
        f"CASE WHEN {_test_sql(test, month, scopes)} THEN {1 << bit}::bigint ELSE 0 END"
        for bit, test in enumerate(tests)
    ]
    return " + ".join(bits) or "0::bigint"


def passed_tests(tests: Sequence[RowTest], variant: int) -> frozenset[RowTest]:
    return frozenset(test for bit, test in enumerate(tests) if variant >> bit & 1)


def _test_sql(test: RowTest, month: date, scopes: Sequence[int]) -> str:
    is_number = test.column in ROW_COLUMNS
    value = f"c.{ROW_COLUMNS[test.column]}" if is_number else f"(c.extra->>{_literal(test.column)})"
    if test.operator == "missing":
        return f"{value} IS {'NULL' if test.words[0] == 'true' else 'NOT NULL'}"
    if test.operator in COMPARISONS:
        number = value if is_number else f"CASE WHEN {value} ~ {_literal(NUMBER_LIKE)} THEN {value}::numeric END"
        return f"{number} {COMPARISONS[test.operator]} {_literal(test.words[0])}::numeric"
    if test.operator == "prefix":
        return "(" + " OR ".join(f"starts_with({value}, {_literal(word)})" for word in test.words) + ")"
    if test.operator == "contains":
        parts = [f"strpos(lower({value}), lower({_literal(word)})) > 0" for word in test.words]
        return "(" + " OR ".join(parts) + ")"
    words = test.words if test.operator == "in" else _matching(test, month, scopes)
    return f"{value} = ANY({_literal(list(words))}::text[])"


def _matching(test: RowTest, month: date, scopes: Sequence[int]) -> list[str]:
    """The column's values of the month that the pattern matches."""
    pattern = pattern_of(test.words[0])
    with connection.cursor() as cursor:
        cursor.execute(VALUES_SQL, {"column": test.column, "month": month, "scopes": list(scopes)})
        return sorted(value for (value,) in cursor.fetchall() if value is not None and pattern.search(value))


def _literal(value: object) -> str:
    """A quoted SQL literal."""
    return sql.Literal(value).as_string(None)
