"""What stands behind one amount: the questions of /explain/, asked in order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from django.http import Http404, HttpRequest

from allocation.models import AllocationRun
from portal.pages.frame.state import PageState
from portal.pages.rules.views import rule_entries
from reports.cost_question.answers import costs
from reports.cost_question.question import CostQuestion
from reports.cost_question.runs import runs_of_months
from reports.queries.explain.amount import (
    LINES,
    ExplainedDay,
    ExplainedLine,
    ExplainedPart,
    GroupPart,
    explain_days,
    explain_lines,
    explain_parts,
    group_parts,
)
from reports.queries.explain.evidence import (
    BEFORE_ALL,
    BILL_ROWS,
    BillPlace,
    BillRow,
    SampleTrace,
    account_names,
    bill_rows,
    sample_traces,
)
from reports.queries.explain.variants import run_with_rules

WHOLES = ("1", "ai")
FILTERS = ("feature", "product", "model", "provider", "service", "source", "rule", "reason")


@dataclass(frozen=True)
class Explanation:
    """Everything the page and the JSON say."""

    question: CostQuestion
    total: Decimal
    parts: list[ExplainedPart]
    chosen: ExplainedPart | None
    lines: list[ExplainedLine]
    has_more_lines: bool
    line: ExplainedLine | None
    run: AllocationRun | None
    days: list[ExplainedDay]
    group_parts: Mapping[date, Sequence[GroupPart]]  # of the line, whoever shares it
    example: ExplainedDay | None
    accounts: Mapping[str, str]  # names of the lines' accounts and projects
    bill_rows: list[BillRow] | None  # None: not asked for
    next_bill_row: BillPlace | None
    may_see_bill: bool
    traces: list[SampleTrace]


def question_of(request: HttpRequest, state: PageState) -> CostQuestion:
    """`whole=1` asks about the whole billing month and spending outside AI, too, `whole=ai` about
    its AI only; otherwise charge days and AI only.
    """
    asked: dict[str, Any] = {name: request.GET.get(name) or None for name in FILTERS}
    if any(value and len(value) > 500 for value in asked.values()):
        raise Http404
    whole = request.GET.get("whole")
    return replace(
        state.billed_in(state.period),
        period=None if whole in WHOLES else state.elapsed,
        ai_only=whole != "1",
    ).where(
        team=state.team,
        charge_kind=request.GET.get("kind") or request.GET.get("charge_kind") or None,
        **asked,
    )


def billed_amounts(request: HttpRequest, state: PageState) -> dict[str, Decimal]:
    """What is asked about, in each currency that it is billed in. An explanation is of bill lines,
    so it is of one of them; a sum on another page may be converted.
    """
    runs = runs_of_months(state.runs, state.period.months())
    if {run.currency for run in runs} <= {state.currency}:
        return {}
    asked = replace(question_of(request, state), runs=runs)
    return {row.key[0]: row.now for row in costs(asked.by("currency")) if row.now}


def explain(request: HttpRequest, state: PageState) -> Explanation:
    question = question_of(request, state)
    parts = explain_parts(question)
    chosen = _chosen_part(parts, request)
    narrowed = _narrowed(question, chosen)
    offset = page_offset(request.GET.get("offset"))
    lines = explain_lines(question=narrowed, offset=offset) if chosen else []
    line = _chosen_line(lines, request.GET.get("line"))
    days = (
        explain_days(question=narrowed, run=line.run, split_key_id=line.split_key_id)
        if line
        else []
    )
    example = _example(days, request.GET.get("day"))
    rows, following = _bill_rows(line, request, state)
    return Explanation(
        question=question,
        total=sum((part.amount for part in parts), Decimal(0)),
        parts=parts,
        chosen=chosen,
        lines=lines[:LINES],
        has_more_lines=len(lines) > LINES,
        line=line,
        run=run_with_rules(line.run) if line else None,
        days=days,
        group_parts=group_parts(question=narrowed, run=line.run, split_key_id=line.split_key_id)
        if line
        else {},
        example=example,
        accounts=account_names([(line.run, line.split_key_id) for line in lines]),
        bill_rows=rows,
        next_bill_row=following,
        may_see_bill=state.reader_scope.is_everything
        or (line is not None and line.method == "direct"),
        traces=_traces(line, example, narrowed),
    )


def _chosen_part(parts: Sequence[ExplainedPart], request: HttpRequest) -> ExplainedPart | None:
    """The part the address names, else the largest."""
    named = request.GET.get("part")
    if named and named.isdigit() and int(named) < len(parts):
        return parts[int(named)]
    return parts[0] if parts else None


def _narrowed(question: CostQuestion, part: ExplainedPart | None) -> CostQuestion:
    if part is None:
        return question
    return question.where(
        rule=part.rule,
        charge_kind=part.charge_kind,
        source=part.source,
        evidence=part.evidence,
        reason=part.reason,
    )


def _chosen_line(lines: Sequence[ExplainedLine], named: str | None) -> ExplainedLine | None:
    """The line the address names ("run-split key") if it is on this page, else the largest."""
    return next(
        (line for line in lines if f"{line.run}-{line.split_key_id}" == named),
        lines[0] if lines else None,
    )


def _example(days: Sequence[ExplainedDay], named: str | None) -> ExplainedDay | None:
    """The day the address names, else the one with the largest amount."""
    return next(
        (day for day in days if day.day.isoformat() == named),
        max(days, key=lambda day: abs(day.amount), default=None),
    )


def page_offset(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 7 else 0


def _bill_rows(
    line: ExplainedLine | None, request: HttpRequest, state: PageState
) -> tuple[list[BillRow] | None, BillPlace | None]:
    """A page of delivered rows and where the next begins; they are read only when asked for."""
    asked = request.GET.get("bill")
    if line is None or asked is None:
        return None, None
    numbers = asked.split("-")
    is_place = len(numbers) == 3 and all(each.isdecimal() for each in numbers) and len(asked) < 30
    scope, file, number = map(int, numbers) if is_place else BEFORE_ALL
    after = (scope, file, number)
    rows = bill_rows(
        run=line.run, split_key_id=line.split_key_id, after=after, teams=state.reader_scope
    )
    shown = rows[:BILL_ROWS]
    return shown, shown[-1].place if len(rows) > BILL_ROWS else None


def _traces(
    line: ExplainedLine | None, example: ExplainedDay | None, question: CostQuestion
) -> list[SampleTrace]:
    if line is None or example is None or line.method != "traced_usage":
        return []
    key = json.loads(line.split_key)
    if not key.get("model"):
        return []
    return sample_traces(
        day=example.day,
        model=key["model"],
        project=key.get("project"),
        question=question,
    )


def rule_number(found: Explanation) -> int | None:
    """The rule's place in its set, counted from 1; None where no rule took the charges."""
    if found.run is None or found.line is None:
        return None
    names = [entry["name"].strip() for entry in rule_entries(found.run.rule_set.text)]
    return names.index(found.line.rule) + 1 if found.line.rule in names else None
