"""How many calls and tokens are behind a question's cost, by any of what both know."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection

from reports.asking import cached_by_run, within_scope
from reports.cost_question.question import CostQuestion
from reports.cost_question.statement import parameters

COUNTED_BY = ("team", "feature", "model", "environment", "day")
TOLD_BY_CALLS = "phase"  # of the calls alone: a rule may give their cost another

# One row per combination of the columns, as the runs knew their usage.
CALLS_BY = """
SELECT {columns}, sum(calls), sum(tokens_input + tokens_output)
FROM usage_daily
WHERE run_id = ANY(%(runs)s) AND day >= %(start)s AND day < %(end)s AND {conditions}
GROUP BY {places}
"""


class CountedRow(NamedTuple):
    """`key` has one value per dimension, in their order."""

    key: tuple[Any, ...]
    calls: Decimal
    tokens: Decimal


def can_count(question: CostQuestion) -> bool:
    """Whether the usage of the runs knows every dimension and filter of the question."""
    filtered = {name for name, _ in question.filters}
    return {*question.dimensions, *filtered} <= {*COUNTED_BY, TOLD_BY_CALLS}


def usage_by(question: CostQuestion) -> list[CountedRow]:
    """The calls behind the cost by the question's dimensions; with a reporting currency each is
    counted once. Raises ValueError where the usage does not know what is asked.
    """
    if question.currency is not None:
        question = replace(question, runs=question.currency.counting_runs(), currency=None)
    return _counted_by(question=replace(question, compare=None))


@cached_by_run
def _counted_by(*, question: CostQuestion) -> list[CountedRow]:
    if question.period is None or not question.dimensions or not can_count(question):
        raise ValueError(f"calls are counted by period and by {', '.join(COUNTED_BY)}")
    width = len(question.dimensions)
    conditions = [
        within_scope("team"),
        *(f"{name} = %(is_{name})s" for name, _ in question.filters),
    ]
    sql = CALLS_BY.format(
        columns=", ".join(question.dimensions),
        conditions=" AND ".join(conditions),
        places=", ".join(str(place) for place in range(1, width + 1)),
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters(question))
        return [CountedRow(row[:width], *row[width:]) for row in cursor.fetchall()]
