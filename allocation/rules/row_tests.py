"""Tests of single rows in SQL: which of a rule set's row tests each charge passes, as the bits of
one number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import date

from django.db import connection
from psycopg import sql

from allocation.rules.conditions import ROW_COLUMNS, RowTest, pattern_of
from allocation.rules.rules import RuleError

MOST_TESTS = 60  # bits of a bigint
MOST_VALUES = 10_000  # of one x_ column that are looked up
COMPARISONS = {"above": ">", "at_least": ">=", "below": "<", "at_most": "<=", "equals": "="}
NUMBER_LIKE = r"^-?([0-9]+(\.[0-9]*)?|\.[0-9]+)$"

VALUES_SQL = """
-- One row per x_ column and different value, at most so many of each column; one pass over the
-- charges.
SELECT place, value FROM (
    SELECT place, value, row_number() OVER (PARTITION BY place) AS number
    FROM (
        SELECT CASE {places} END AS place, coalesce({names}) AS value
        FROM (
            SELECT {values} FROM charge c
            WHERE c.billing_month = %(month)s AND c.scope_id = ANY(%(scopes)s)
        ) charges
        GROUP BY GROUPING SETS ({sets})
    ) different
    WHERE place IS NOT NULL
) numbered
WHERE %(most)s::bigint IS NULL OR number <= %(most)s
"""

Matching = Callable[[RowTest], list[str]]  # values that a pattern matches


def variant_sql(tests: Sequence[RowTest], *, month: date, scopes: Sequence[int]) -> str:
    """SQL for a charge `c`: the sum of 2^n over the tests that it passes, 0 where there are none.

    A pattern is matched by RE2 against the distinct values of the month, so that no user's pattern
    runs in the database. Raises RuleError where there are too many tests.
    """
    _check_number(tests)
    return _sum_sql(_bits(enumerate(tests), month, scopes))


def month_variant_sql(tests: Sequence[RowTest], *, month: date, scopes: Sequence[int]) -> str:
    """As variant_sql, for reading every charge of the month, which then takes a fraction of the
    time.

    The tests of an x_ column are tried on its few values once, and each charge's value is looked up
    among them. A column of too many values is tested row by row.
    """
    _check_number(tests)
    of_column: dict[str, list[tuple[int, RowTest]]] = {}
    for bit, test in enumerate(tests):
        of_column.setdefault(test.column, []).append((bit, test))
    values = _values(
        [c for c in of_column if c not in ROW_COLUMNS],
        month,
        scopes,
        most=MOST_VALUES + 1,
    )
    terms = []
    for column, own in of_column.items():
        if column in values and len(values[column]) <= MOST_VALUES:
            terms.append(_looked_up(column, own, values[column]))
        else:
            terms += _bits(own, month, scopes)
    return _sum_sql(terms)


def passed_tests(tests: Sequence[RowTest], variant: int) -> frozenset[RowTest]:
    return frozenset(test for bit, test in enumerate(tests) if variant >> bit & 1)


def _check_number(tests: Sequence[RowTest]) -> None:
    if len(tests) > MOST_TESTS:
        raise RuleError(
            [f"there are {len(tests)} tests of single rows; at most {MOST_TESTS} are possible"]
        )


def _sum_sql(terms: Sequence[str]) -> str:
    return " + ".join(terms) or "0::bigint"


def _bits(tests: Iterable[tuple[int, RowTest]], month: date, scopes: Sequence[int]) -> list[str]:
    def matching(test: RowTest) -> list[str]:
        return _matched(test, _values([test.column], month, scopes)[test.column])

    return [_bit_sql(bit, test, _value_sql(test.column), matching) for bit, test in tests]


def _looked_up(column: str, tests: list[tuple[int, RowTest]], values: list[str]) -> str:
    """SQL for the sum of these tests' bits, by the value of their column; `values` are all that it
    has.
    """

    def matching(test: RowTest) -> list[str]:
        return _matched(test, values)

    bits = _sum_sql([_bit_sql(bit, test, "value", matching) for bit, test in tests])
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT value, {bits} FROM unnest({_literal([*values, None])}::text[]) AS v(value)"  # noqa: S608
        )
        found: dict[str | None, int] = {
            value: number for value, number in cursor.fetchall() if number
        }
    missing = found.pop(None, 0)
    value = _value_sql(column)
    looked_up = (
        f"coalesce(({_literal(json.dumps(found))}::jsonb->>{value})::bigint, 0)"
        if found
        else "0::bigint"
    )
    return (
        f"CASE WHEN {value} IS NULL THEN {missing} ELSE {looked_up} END" if missing else looked_up
    )


def _bit_sql(bit: int, test: RowTest, value: str, matching: Matching) -> str:
    return f"CASE WHEN {_test_sql(test, value, matching)} THEN {1 << bit}::bigint ELSE 0 END"


def _value_sql(column: str) -> str:
    return (
        f"c.{ROW_COLUMNS[column]}" if column in ROW_COLUMNS else f"(c.extra->>{_literal(column)})"
    )


def _test_sql(test: RowTest, value: str, matching: Matching) -> str:
    if test.operator == "missing":
        return f"{value} IS {'NULL' if test.words[0] == 'true' else 'NOT NULL'}"
    if test.operator in COMPARISONS:
        is_number = test.column in ROW_COLUMNS
        number = (
            value
            if is_number
            else f"CASE WHEN {value} ~ {_literal(NUMBER_LIKE)} THEN {value}::numeric END"
        )
        return f"{number} {COMPARISONS[test.operator]} {_literal(test.words[0])}::numeric"
    if test.operator == "prefix":
        return (
            "("
            + " OR ".join(f"starts_with({value}, {_literal(word)})" for word in test.words)
            + ")"
        )
    if test.operator == "contains":
        parts = [f"strpos(lower({value}), lower({_literal(word)})) > 0" for word in test.words]
        return "(" + " OR ".join(parts) + ")"
    words = test.words if test.operator == "in" else matching(test)
    return f"{value} = ANY({_literal(list(words))}::text[])"


def _matched(test: RowTest, values: Iterable[str]) -> list[str]:
    pattern = pattern_of(test.words[0])
    return sorted(value for value in values if pattern.search(value))


def _values(
    columns: Sequence[str],
    month: date,
    scopes: Sequence[int],
    *,
    most: int | None = None,
) -> dict[str, list[str]]:
    """Different values that the month's charges have in these x_ columns; of each column at most so
    many.
    """
    found: dict[str, list[str]] = {column: [] for column in columns}
    if not columns:
        return found
    values = {f"v{n}": _value_sql(column) for n, column in enumerate(columns)}
    statement = VALUES_SQL.format(
        places=" ".join(f"WHEN {name} IS NOT NULL THEN {n}" for n, name in enumerate(values)),
        names=", ".join(values),
        values=", ".join(f"{value} AS {name}" for name, value in values.items()),
        sets=", ".join(f"({name})" for name in values),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, {"month": month, "scopes": list(scopes), "most": most})
        for place, value in cursor.fetchall():
            found[columns[place]].append(value)
    return found


def _literal(value: object) -> str:
    """A quoted SQL literal."""
    return sql.Literal(value).as_string(None)
