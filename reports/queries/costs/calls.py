"""How many calls and tokens stand behind a cost, now and in the compared period?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from reports.cost_question.answers import rated_parts
from reports.cost_question.question import CostQuestion
from reports.cost_question.statement import parameters
from reports.rows import cached_by_run, fetch
from reports.scope import within_scope

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
