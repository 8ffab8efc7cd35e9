"""What comes back for a cost question: exact sums by its dimensions, in one currency where it asks
for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection

from allocation.values.money import EXACT, exact_sum
from reports import readable
from reports.asking import cached_by_run, fetch, within_scope
from reports.cost_question.question import CostQuestion
from reports.cost_question.runs import MonthRun
from reports.cost_question.statement import parameters, statement

ZERO = Decimal(0)


class CostRow(NamedTuple):
    """`key` has one value per dimension, in their order; None where it is unknown or unallocated.
    `before` is 0 where nothing is compared; `left_out` is what of `now` it is not compared with.
    """

    key: tuple[Any, ...]
    now: Decimal
    before: Decimal
    left_out: Decimal = ZERO

    @property
    def compared(self) -> Decimal:
        """What of now is like for like with before."""
        return EXACT.subtract(self.now, self.left_out)


def costs(question: CostQuestion) -> list[CostRow]:
    """One row per combination of the dimensions that has cost, ordered by them."""
    if question.currency is None:
        return _billed(question=question)
    return _converted(question=question)


@dataclass(frozen=True)
class RowsPage:
    """Some of the rows, and whether more follow them."""

    rows: list[CostRow]
    has_more: bool


def cost_page(question: CostQuestion, *, limit: int, offset: int) -> RowsPage:
    """At most `limit` rows after the first `offset`; read every time."""
    found = _read(question, {"limit": limit + 1, "offset": offset})
    return RowsPage(found[:limit], len(found) > limit)


class SpendCell(NamedTuple):
    """Cost of one target and kind; `team` None is unallocated."""

    team: str | None
    feature: str | None
    model: str | None
    provider: str | None
    kind: str
    phase: str | None
    now: Decimal
    before: Decimal
    left_out: Decimal = ZERO  # of now: not compared with before

    @property
    def compared(self) -> Decimal:
        """What of now is like for like with before."""
        return EXACT.subtract(self.now, self.left_out)


def spend_cells(question: CostQuestion) -> list[SpendCell]:
    """What each target cost: what totals, unit costs and changes are made of."""
    asked = question.by("team", "feature", "model", "provider", "charge_kind", "phase")
    return [SpendCell._make((*row.key, *row[1:])) for row in costs(asked)]


Named = Mapping[str | None, Mapping[date, Decimal]]


@cached_by_run
def costs_by_day(*, question: CostQuestion, dimension: str) -> Named:
    """Cost per value of one dimension and day of the period."""
    days: dict[str | None, dict[date, Decimal]] = {}
    for (name, day), cost, *_ in costs(replace(question, compare=None).by(dimension, "day")):
        days.setdefault(name, {})[day] = cost
    return days


# One row per rule.
METHODS = """
SELECT rule, min(method) FROM charge_split_key WHERE run_id = ANY(%(runs)s) GROUP BY rule
"""


class SpendPart(NamedTuple):
    """What one rule gave, of one kind and on one rung of evidence; `reason` says why it is
    unallocated.
    """

    kind: str
    rule: str
    reason: str | None
    evidence: int
    cost: Decimal
    method: str | None

    @property
    def known_by(self) -> str:
        return readable.known_by(self.kind, self.evidence, self.method)

    @property
    def kind_words(self) -> str:
        return readable.kind_known_by(self.kind, self.evidence, self.method)


def spend_parts(question: CostQuestion) -> list[SpendPart]:
    """What the question's cost is made of, largest first."""
    asked = by_part(question)
    methods = rule_methods(question=question)
    parts = [
        SpendPart(kind, rule, reason, evidence, row.now, methods.get(rule))
        for row in costs(asked)
        for kind, rule, reason, evidence, _ in [row.key]
    ]
    return sorted(parts, key=_largest_first)


PART_OF = ("charge_kind", "rule", "reason", "evidence", "attribution")


def by_part(question: CostQuestion) -> CostQuestion:
    """Asked by trust line and pages alike, so that the answer is read once."""
    return replace(question, compare=None).by(*PART_OF)


def _largest_first(part: SpendPart) -> tuple[Decimal, str, str, str, int]:
    return -part.cost, part.kind, part.rule, part.reason or "", part.evidence


@cached_by_run
def rule_methods(*, question: CostQuestion) -> Mapping[str, str]:
    """How each rule splits what it takes; of every run, since a name keeps its meaning."""
    with connection.cursor() as cursor:
        cursor.execute(METHODS, {"runs": question.run_ids})
        return dict(cursor.fetchall())


def converted_costs(question: CostQuestion) -> dict[str, Decimal]:
    """What the period's sums hold of each other currency, before it was converted; by code."""
    found: dict[str, list[Decimal]] = {}
    for part, _ in rated_parts(question):
        for row in costs(replace(part, compare=None, alike=None).by("currency")):
            found.setdefault(row.key[0], []).append(row.now)
    sums = {code: exact_sum(amounts) for code, amounts in sorted(found.items())}
    own = question.currency.currency if question.currency else None
    return {code: cost for code, cost in sums.items() if code != own and cost}


@dataclass(frozen=True)
class Unconverted:
    """Cost that no sum of a converted question holds, in its own currency."""

    month: date
    currency: str
    now: Decimal
    before: Decimal


def unconverted_costs(question: CostQuestion) -> list[Unconverted]:
    """One line per month and currency without a rate that has cost in the period or the compared
    one, newest month first.
    """
    lines = []
    for run in question.currency.unconverted if question.currency else ():
        asked = replace(question, runs=(run,), currency=None)
        for row in costs(asked.by()):
            if row.now or row.before:
                lines.append(Unconverted(run.month, run.currency, row.now, row.before))
    return sorted(lines, key=lambda line: (line.month, line.currency), reverse=True)


@cached_by_run
def _billed(*, question: CostQuestion) -> list[CostRow]:
    return _read(question)


@cached_by_run
def _converted(*, question: CostQuestion) -> list[CostRow]:
    return converted([(_billed(question=part), factor) for part, factor in rated_parts(question)])


def converted(parts: Iterable[tuple[Sequence[CostRow], Decimal]]) -> list[CostRow]:
    """The exact sums of all rows at their factors, by key; raises decimal.Inexact rather than
    round.
    """
    sums: dict[tuple[Any, ...], list[Decimal]] = {}
    for rows, factor in parts:
        for key, *amounts in rows:
            own = sums.setdefault(key, [ZERO] * len(amounts))
            for place, amount in enumerate(amounts):
                own[place] = EXACT.add(own[place], EXACT.multiply(amount, factor))
    return [CostRow(key, *sums[key]) for key in sorted(sums, key=_nulls_last)]


def rated_parts(question: CostQuestion) -> Iterator[tuple[CostQuestion, Decimal]]:
    """For each rate of the question's currency: the same question about its runs, and the factor.
    Runs whose charges all lie before the asked days are left out.
    """
    if question.currency is None:
        raise ValueError("the question is about one currency as billed")
    for group in question.currency.groups:
        runs = tuple(run for run in group.runs if run in question.runs and _reaches(run, question))
        if runs:
            yield replace(question, runs=runs, currency=None), group.factor


def _reaches(run: MonthRun, question: CostQuestion) -> bool:
    asked = [period.start for period in (question.period, question.compare) if period]
    return not asked or (run.last_day is not None and run.last_day >= min(asked))


def _nulls_last(key: tuple[Any, ...]) -> tuple[tuple[bool, Any], ...]:
    return tuple((value is None, "" if value is None else value) for value in key)


def _read(question: CostQuestion, page: dict[str, int] | None = None) -> list[CostRow]:
    keys = len(question.dimensions)
    with connection.cursor() as cursor:
        cursor.execute(
            statement(question, is_page=page is not None), parameters(question) | (page or {})
        )
        if question.compare:
            return [CostRow(row[:keys], *row[keys:]) for row in cursor.fetchall()]
        return [CostRow(row[:keys], row[keys], ZERO) for row in cursor.fetchall()]


ZERO = Decimal(0)

# One row per team, feature, model and phase, as the runs knew their usage.
CALLS = f"""
SELECT team, feature, model,
    coalesce(sum(calls) FILTER (WHERE is_now), 0),
    coalesce(sum(tokens) FILTER (WHERE is_now), 0),
    coalesce(sum(calls) FILTER (WHERE is_before), 0),
    coalesce(sum(tokens) FILTER (WHERE is_before), 0),
    coalesce(sum(cost_variance) FILTER (WHERE is_now), 0), phase
FROM (
    SELECT *, tokens_input + tokens_output AS tokens,
        day >= %(start)s AND day < %(end)s AS is_now,
        coalesce(day >= %(compare_start)s::date AND day < %(compare_end)s, false) AS is_before
    FROM usage_daily
) AS used
WHERE run_id = ANY(%(runs)s) AND (is_now OR is_before) AND {within_scope("team")}
    AND (%(is_environment)s::text IS NULL OR environment = %(is_environment)s)
GROUP BY team, feature, model, phase
"""  # noqa: S608  no value is written into it
NOT_COMPARED = {"compare_start": None, "compare_end": None}
EVERY_ENVIRONMENT = {"is_environment": None}


@dataclass(frozen=True)
class UsageCell:
    """Weighted by adjusted count, so sampled traffic counts in full. `cost_variance` is that of the
    effective cost, by sampling alone.
    """

    team: str | None
    feature: str | None
    model: str | None
    calls: Decimal
    tokens: Decimal
    calls_before: Decimal
    tokens_before: Decimal
    cost_variance: float = 0.0
    phase: str | None = None

    def without_calls(self, *, variance: float) -> UsageCell:
        return UsageCell(
            self.team, self.feature, self.model, ZERO, ZERO, ZERO, ZERO, variance, self.phase
        )


def usage_cells(question: CostQuestion) -> list[UsageCell]:
    """The calls behind the question's cost, one row per team, feature, model and phase.

    With a reporting currency, calls and tokens are counted once, and rows without any hold the
    variance of each part's cost: the factor, twice.
    """
    if question.currency is None:
        return _counted(question=question)
    counting = replace(question, runs=question.currency.counting_runs(), currency=None)
    counted = [replace(row, cost_variance=0.0) for row in _counted(question=counting)]
    return counted + [
        row.without_calls(variance=row.cost_variance * float(factor) ** 2)
        for part, factor in rated_parts(question)
        for row in _counted(question=part)
        if row.cost_variance
    ]


@cached_by_run
def _counted(*, question: CostQuestion) -> list[UsageCell]:
    unknown = {name for name, _ in question.filters} - {"environment"}
    if question.period is None or unknown:
        raise ValueError(f"calls are counted by period and environment, not by {unknown}")
    return fetch(UsageCell, CALLS, NOT_COMPARED | EVERY_ENVIRONMENT | parameters(question))
