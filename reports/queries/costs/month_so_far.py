"""What each team cost on each day of a month, and how the month's pace follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from django.db import connection

from allocation.values.periods import Period
from reports.analysis.on_plan import DaySpend, Pace
from reports.cost_question.answers import costs
from reports.cost_question.question import CostQuestion, SourceDays


def day_spends(question: CostQuestion) -> list[DaySpend]:
    """Of the question's period, unallocated cost included."""
    rows = costs(question.by("team", "source", "day"))
    return [
        DaySpend(team, source, day, row.now, row.left_out)
        for row in rows
        for team, source, day in [row.key]
        if row.now or row.left_out
    ]


def pace(question: CostQuestion, month: Period, *, places: int) -> Pace | None:
    """How the open month goes on from the days that its sources are billed for; None where it is
    over, or all its days are billed.
    """
    if question.alike is None:
        return None
    names = _source_names()
    factors = {
        names[one.source_id]: Fraction(month.length, _billed_days(one, month))
        for one in question.alike.days
    }
    return Pace(factors, places) if any(factor > 1 for factor in factors.values()) else None


def _billed_days(one: SourceDays, month: Period) -> int:
    return max(1, (one.end - month.start).days)


def _source_names() -> Mapping[int, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, name FROM allocation_source")
        return dict(cursor.fetchall())
