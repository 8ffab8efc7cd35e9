"""The SQL of a cost question: one statement over the rollup `cost_daily`.

Its text depends on which fields of the question are set, never on their values. The statements of
representative questions are kept under tests/reports/snapshots and reviewed there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from allocation.values.periods import Period
from reports.asking import within_scope
from reports.cost_question.question import (
    DIMENSIONS,
    MEASURES,
    NOT_AI,
    CostQuestion,
    cost_of,
)

NOW = ("start", "end")
BEFORE = ("compare_start", "compare_end")


# The days of each source that are compared; a source without any is not compared.
COMPARED_DAYS = """    LEFT JOIN unnest(%(sources)s::bigint[], %(source_ends)s::date[],
        %(source_compare_ends)s::date[]) AS compared (of_source, ends_at, compare_ends_at)
        ON compared.of_source = c.source_id"""
BY_THE_DAY = "with_invoice IS NULL"


def statement(question: CostQuestion, *, is_page: bool = False) -> str:
    """One row per combination of the dimensions, in their order: cost in the period and, where the
    question compares, in the other one; where only what is alike is compared, what of the first is
    not. A page of rows binds %(limit)s and %(offset)s.
    """
    places = _places(question)
    return "\n".join(
        [
            rollup(question, measures=["cost"]),
            *([f"ORDER BY {places}"] if places else []),
            *(["LIMIT %(limit)s OFFSET %(offset)s"] if is_page else []),
        ]
    )


def rollup(question: CostQuestion, *, measures: Sequence[str]) -> str:
    """The rows of a question without an order: its dimensions, then each measure now and, where the
    question compares, before, and what of now the comparison leaves out.
    """
    columns = [
        *(f"{DIMENSIONS[name].column} AS {name}" for name in question.dimensions),
        *(column for name in measures for column in _measured(question, name)),
    ]
    places = _places(question)
    return "\n".join(
        [
            "SELECT",
            ",\n".join(f"    {column}" for column in columns),
            "FROM (",
            "    SELECT " + ",\n        ".join(_daily(question, measures)),
            "    FROM cost_daily AS c",
            *([COMPARED_DAYS] if _leaves_out(question) else []),
            ") AS daily",
            *_joins(question),
            "WHERE " + "\n    AND ".join(_conditions(question)),
            *([f"GROUP BY {places}"] if places else []),
        ]
    )


def parameters(question: CostQuestion) -> dict[str, Any]:
    """What the statement binds."""
    return {
        "runs": question.run_ids,
        "teams": question.scope.bound,
        "metric": question.metric,
        **{f"is_{name}": value for name, value in question.filters},
        **_days(NOW, question.period),
        **_days(BEFORE, question.compare),
        **_days_of_sources(question),
    }


def _days_of_sources(question: CostQuestion) -> dict[str, list[Any]]:
    if not _leaves_out(question) or question.alike is None:
        return {}
    days = question.alike.days
    return {
        "sources": [one.source_id for one in days],
        "source_ends": [one.end for one in days],
        "source_compare_ends": [one.before_end for one in days],
    }


def _leaves_out(question: CostQuestion) -> bool:
    """The comparison counts only what is alike in both periods."""
    return question.compare is not None and question.alike is not None


def _days(ends: tuple[str, str], period: Period | None) -> dict[str, date]:
    return dict(zip(ends, (period.start, period.end), strict=True)) if period else {}


def _places(question: CostQuestion) -> str:
    """The numbers of the columns that are dimensions."""
    return ", ".join(str(place) for place in range(1, len(question.dimensions) + 1))


def _daily(question: CostQuestion, measures: Sequence[str]) -> Iterator[str]:
    """The rollup with the cost of the metric, where it is measured, and of which period each row
    is.
    """
    yield "*"
    if "cost" in measures:
        yield f"{cost_of('c')} AS cost"
    if question.period:
        yield _within(NOW, "is_now")
    if _leaves_out(question):
        yield f"day >= %(compare_start)s AND day < compare_ends_at AND {BY_THE_DAY} AS is_before"
        yield (
            "day >= %(start)s AND day < %(end)s"
            f" AND (day < ends_at AND {BY_THE_DAY}) IS NOT TRUE AS is_left_out"
        )
    elif question.compare:
        yield _within(BEFORE, "is_before")


def _within(ends: tuple[str, str], name: str) -> str:
    return f"day >= %({ends[0]})s AND day < %({ends[1]})s AS {name}"


def _measured(question: CostQuestion, name: str) -> Iterator[str]:
    measure = MEASURES[name]
    if question.compare is None:
        yield f"{measure.format(among='')} AS {name}"
        return
    yield f"{measure.format(among=' FILTER (WHERE daily.is_now)')} AS {name}"
    yield f"{measure.format(among=' FILTER (WHERE daily.is_before)')} AS {name}_before"
    if question.alike:
        yield f"{measure.format(among=' FILTER (WHERE daily.is_left_out)')} AS {name}_left_out"


def _joins(question: CostQuestion) -> dict[str, None]:
    """Each once: of the dimensions, then of the filters."""
    names = (*question.dimensions, *(name for name, _ in question.filters))
    return dict.fromkeys(DIMENSIONS[name].join for name in names if DIMENSIONS[name].join)


def _conditions(question: CostQuestion) -> Iterator[str]:
    yield "daily.run_id = ANY(%(runs)s)"
    yield within_scope("daily.team")
    if question.ai_only:
        yield f"daily.ai_scope <> '{NOT_AI}'"
    for name, _ in question.filters:
        yield f"{DIMENSIONS[name].column} = %(is_{name})s"
    if question.compare:
        yield "(daily.is_now OR daily.is_before)"
    elif question.period:
        yield "daily.is_now"
