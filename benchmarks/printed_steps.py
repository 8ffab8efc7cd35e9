"""What Explain prints of a line, read back as a reader with a calculator would."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from django.db import connection
from django.template.loader import render_to_string

from portal.pages.explain.views import DayText, day_text
from reports.asking import TeamScope
from reports.cost_question.question import CostQuestion
from reports.cost_question.runs import MonthRun
from reports.queries.explain.amount import explain_days, group_parts

LINE = re.compile(
    r'<th scope="row">(?P<label>.*?)</th>\s*<td class="op">(?P<op>.*?)</td>\s*'
    r'<td class="num">(?P<number>.*?)</td>',
    re.DOTALL,
)
CUT = re.compile(r"cut after (\d+) decimals")
TAG = re.compile(r"<[^>]+>")

# Whose share of each line there is to open: everybody's, and each team's.
OPENED = """
SELECT b.split_key_id, b.method, t.team
FROM charge_split_key b
JOIN allocated_cost a ON a.run_id = b.run_id AND a.split_key_id = b.split_key_id
JOIN allocation_target t ON t.id = a.target_id
WHERE b.run_id = %(run)s AND a.billing_month = %(month)s
GROUP BY GROUPING SETS ((b.split_key_id, b.method), (b.split_key_id, b.method, t.team))
ORDER BY b.split_key_id, t.team COLLATE "C" NULLS FIRST
"""


class OpenedLine(NamedTuple):
    """A line as Explain opens it; `team` None is everybody's share."""

    split_key_id: int
    method: str
    team: str | None


def opened_lines(run: MonthRun) -> list[OpenedLine]:
    with connection.cursor() as cursor:
        cursor.execute(OPENED, {"run": run.id, "month": run.month})
        return list(dict.fromkeys(OpenedLine._make(row) for row in cursor.fetchall()))


def printed_days(run: MonthRun, line: OpenedLine, metric: str) -> Iterator[tuple[DayText, str]]:
    """Each day of a line with the page's text of its steps."""
    question = CostQuestion((run,), TeamScope.everything(), metric=metric, ai_only=False)
    asked = {"run": run.id, "split_key_id": line.split_key_id}
    parts = group_parts(question=question, **asked)
    for day in explain_days(question=question.where(team=line.team), **asked):
        text = day_text(line.method, day, parts[day.day], query="", is_chosen=False)
        context = {"written": text, "currency": run.currency}
        yield text, render_to_string("explain/arithmetic.html", context)


def is_true(text: DayText, page: str) -> bool:
    """Whether the printed steps give the printed amount, and that is the ledger's."""
    *steps, result = LINE.finditer(page) if "<table" in page else (None,)
    if result is None or _number(result["number"]) != Fraction(text.day.amount):
        return False
    amount = Fraction(0)
    for step in steps:
        amount = _next(amount, step) if step else amount
    return amount == Fraction(text.day.amount)


def _next(amount: Fraction, step: re.Match[str]) -> Fraction:
    op, number = TAG.sub("", step["op"]).strip(), TAG.sub("", step["number"])
    if op == "\u2212":
        return amount - _number(number)
    if op == "\u00d7":
        own, of = number.split(" of ")
        return amount * _number(own) / _number(of)
    if op == "+":
        cut = CUT.search(step["label"])
        scale = 10 ** int(cut[1]) if cut else 1
        return Fraction(int(amount * scale), scale) + _number(number)
    return _number(number)


def _number(text: str) -> Fraction:
    return Fraction(TAG.sub("", text).strip().replace(",", "").replace("\u2212", "-"))
