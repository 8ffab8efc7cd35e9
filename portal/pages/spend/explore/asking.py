"""What the reader asks the explorer for, and the figures that answer it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest

from allocation.values.money import EXACT
from allocation.values.periods import Period
from portal.pages.frame.state import PageState
from reports.analysis.pivot import GRAINS, in_grains, pivot
from reports.analysis.spend import BUILD
from reports.cost_question.answers import costs
from reports.cost_question.question import CostQuestion
from reports.queries.costs.usage_by import COUNTED_BY, usage_by

NAMED = {
    "team": "Team",
    "product": "Product",
    "feature": "Feature",
    "model": "Model",
    "provider": "Provider",
    "service": "Service",
    "phase": "Phase",
    "environment": "Environment",
    "source": "Source",
    "cost_center": "Cost centre",
    "charge_kind": "Kind of charge",
    "rule": "Rule",
}
TIMES = {"month": "Month", "week": "Week", "day": "Day"}
DIMENSIONS = {**NAMED, **TIMES}
FILTERED = ("feature", "model", "product", "provider", "service", "phase")
MEASURES = {
    "cost": "Cost",
    "calls": "Calls",
    "tokens": "Tokens",
    "per_1000_calls": "Cost per 1,000 calls",
}
SPANS = {
    "period": "The period above",
    "7": "Last 7 days",
    "30": "Last 30 days",
    "90": "Last 90 days",
    "all": "All loaded months",
}
THOUSAND = Decimal(1000)
CALLER = ("team", "feature", "model")  # cost and calls meet where both name all three


class ExploreForm(forms.Form):
    """Anything not understood is left out."""

    rows = forms.ChoiceField(choices=list(DIMENSIONS.items()), required=False)
    columns = forms.ChoiceField(choices=[("none", "Nothing"), *DIMENSIONS.items()], required=False)
    measure = forms.ChoiceField(choices=list(MEASURES.items()), required=False)
    span = forms.ChoiceField(choices=list(SPANS.items()), required=False)
    feature = forms.CharField(required=False, max_length=300)
    model = forms.CharField(required=False, max_length=300)
    product = forms.CharField(required=False, max_length=300)
    provider = forms.CharField(required=False, max_length=300)
    service = forms.CharField(required=False, max_length=300)
    phase = forms.CharField(required=False, max_length=300)


@dataclass(frozen=True)
class Asked:
    """`columns` None: one column, the sums."""

    rows: str
    columns: str | None
    measure: str
    span: str
    filters: dict[str, str]

    @property
    def dimensions(self) -> tuple[str, ...]:
        return (self.rows, *([self.columns] if self.columns else []))

    @property
    def is_counted(self) -> bool:
        """The runs' usage knows all that is asked by."""
        known = {*COUNTED_BY, *TIMES}
        return {*self.dimensions, *self.filters} <= known

    @property
    def is_sum(self) -> bool:
        """The figures add up; a ratio does not."""
        return self.measure != "per_1000_calls"

    @property
    def parameters(self) -> dict[str, str | None]:
        """Of the address, beside those of the top bar."""
        return {
            "rows": self.rows,
            "columns": self.columns or "none",
            "measure": self.measure,
            "span": self.span,
            **self.filters,
        }


def asked_for(request: HttpRequest) -> Asked:
    form = ExploreForm(request.GET)
    form.is_valid()
    given = form.cleaned_data
    rows = given.get("rows") or "team"
    columns = given.get("columns") or ("month" if rows not in TIMES else "team")
    return Asked(
        rows=rows,
        columns=None if columns in ("none", rows) else columns,
        measure=given.get("measure") or "cost",
        span=given.get("span") or ("all" if not given.get("rows") else "period"),
        filters={name: given[name] for name in FILTERED if given.get(name)},
    )


def explored_period(state: PageState, asked: Asked) -> Period:
    """The days that are asked about; the last ones are counted back from the last billed day."""
    billed = [run.last_day for run in state.question.runs if run.last_day]
    last = max(billed, default=state.elapsed.last_day)
    if asked.span == "all":
        first = min((run.month for run in state.question.runs), default=last)
        return Period(first, last + timedelta(days=1))
    if asked.span in ("7", "30", "90"):
        return Period(last - timedelta(days=int(asked.span) - 1), last + timedelta(days=1))
    return state.elapsed


def question_about(state: PageState, asked: Asked) -> CostQuestion:
    period = explored_period(state, asked)
    return replace(state.question, period=period, compare=None).where(**asked.filters)


@dataclass(frozen=True)
class Answer:
    """Figures by (row, column), and of each row, each column and everything; sums or ratios."""

    cells: Mapping[tuple[Any, Any], Decimal]
    rows: Mapping[Any, Decimal]
    columns: Mapping[Any, Decimal]
    total: Decimal | None

    @property
    def rows_in_order(self) -> list[Any]:
        """Largest first."""
        return sorted(self.rows, key=lambda row: (-self.rows[row], row is None, str(row)))

    @property
    def columns_in_order(self) -> list[Any]:
        """By their value, what has none last."""
        return sorted(self.columns, key=lambda column: (column is None, column or ""))


def answered(question: CostQuestion, asked: Asked) -> Answer:
    """The figures of the measure. For a ratio, cost and calls are of the targets that have both."""
    if not asked.is_sum:
        return _per_thousand(question, asked)
    entries = _cost_entries if asked.measure == "cost" else _usage_entries
    found = pivot(entries(question, asked))
    return Answer(found.cells, found.rows, found.columns, found.total)


def _place(asked: Asked, key: tuple[Any, ...]) -> tuple[Any, Any]:
    found = in_grains(asked.dimensions, key[: len(asked.dimensions)])
    return found[0], found[1] if asked.columns else None


def _in_days(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("day" if name in GRAINS else name for name in names)


def _cost_entries(question: CostQuestion, asked: Asked) -> Iterator[tuple[Any, Any, Decimal]]:
    for row in costs(question.by(*_in_days(asked.dimensions))):
        yield *_place(asked, row.key), row.now


def _usage_entries(question: CostQuestion, asked: Asked) -> Iterator[tuple[Any, Any, Decimal]]:
    for row in usage_by(question.by(*_in_days(asked.dimensions))):
        yield *_place(asked, row.key), row.tokens if asked.measure == "tokens" else row.calls


Matched = dict[tuple[Any, ...], tuple[Decimal, Decimal]]


def _matched(question: CostQuestion, asked: Asked) -> Matched:
    """Cost and calls by place and caller, of callers that have both at that place; as in
    reports.analysis.spend, what was done once to build is neither.
    """
    by_caller = question.by(*_in_days(asked.dimensions), *CALLER, "phase")
    costly = _of_callers(asked, ((row.key, row.now) for row in costs(by_caller)))
    called = _of_callers(asked, ((row.key, row.calls) for row in usage_by(by_caller)))
    return {key: (costly[key], calls) for key, calls in called.items() if calls and key in costly}


def _of_callers(
    asked: Asked, rows: Iterable[tuple[tuple[Any, ...], Decimal]]
) -> dict[tuple[Any, ...], Decimal]:
    found: dict[tuple[Any, ...], Decimal] = {}
    for key, amount in rows:
        *caller, phase = key[len(asked.dimensions) :]
        if phase != BUILD and all(caller):
            at = (*_place(asked, key), *caller)
            found[at] = EXACT.add(found.get(at, Decimal(0)), amount)
    return found


def _per_thousand(question: CostQuestion, asked: Asked) -> Answer:
    found = _matched(question, asked)
    cost = pivot((row, column, amount) for (row, column, *_), (amount, _) in found.items())
    calls = pivot((row, column, count) for (row, column, *_), (_, count) in found.items())
    return Answer(
        _ratios(cost.cells, calls.cells),
        _ratios(cost.rows, calls.rows),
        _ratios(cost.columns, calls.columns),
        cost.total / calls.total * THOUSAND if calls.total else None,
    )


def _ratios(costs_of: Mapping[Any, Decimal], calls_of: Mapping[Any, Decimal]) -> dict[Any, Decimal]:
    return {key: costs_of[key] / calls * THOUSAND for key, calls in calls_of.items()}


def days_of(name: str, start: date, whole: Period) -> Period:
    """The days of a month, week or day that begins at `start`, as far as they are asked about."""
    if name == "month":
        end = Period.month(start).end
    else:
        end = start + timedelta(days=7 if name == "week" else 1)
    return Period(max(start, whole.start), min(end, whole.end))
