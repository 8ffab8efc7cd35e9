"""Cost of any allow-listed combination of dimensions: what programs ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db.models import QuerySet, Sum

from allocation.models import AllocationRun, CostDaily, RunStatus
from allocation.values.names import quoted
from reports.scope import TeamScope

# Public name -> column of the rollup. Nothing a caller writes becomes part of a statement: unknown
# names raise.
DIMENSIONS = {
    "team": "team",
    "feature": "feature",
    "model": "model",
    "product": "product",
    "provider": "provider_name",
    "service": "service_name",
    "environment": "environment",
    "phase": "phase",
    "charge_kind": "charge_kind",
    "rule": "rule",
    "reason": "reason",
    "day": "day",
}
FILTERS = {name: column for name, column in DIMENSIONS.items() if name != "day"}
METRICS = ("effective_cost", "billed_cost")
AI_SCOPES = ("ai", "ai_supporting")


class UnknownDimension(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"{quoted(self.name)} is no dimension; choose from {', '.join(DIMENSIONS)}."


@dataclass(frozen=True)
class CostRow:
    """`key` has one value per asked dimension, in their order; None where the dimension is unknown
    or unallocated.
    """

    key: tuple[str | date | None, ...]
    currency: str
    cost: Decimal


@dataclass(frozen=True)
class CostRollup:
    """`totals` are per currency over everything asked for, not only over the rows of this page."""

    rows: list[CostRow]
    totals: list[tuple[str, Decimal]]
    runs: list[int]
    has_more: bool


def cost_rollup(
    *,
    billing_month: date,
    group_by: Sequence[str],
    metric: str,
    teams: TeamScope,
    filters: Mapping[str, str],
    ai_only: bool,
    limit: int,
    offset: int = 0,
) -> CostRollup:
    """One row per (asked dimensions, currency) of the month's current runs, ordered by these.

    Costs are exact and in the row's billing currency. Without `ai_only`, spend outside AI counts,
    too.
    """
    for name in [*group_by, *filters]:
        if name not in DIMENSIONS:
            raise UnknownDimension(name)
    if metric not in METRICS:
        raise ValueError(metric)
    runs = list(
        AllocationRun.objects.filter(
            billing_month=billing_month, is_current=True, status=RunStatus.SUCCEEDED
        )
        .order_by("currency")
        .values_list("pk", flat=True)
    )
    costs = scoped(teams).filter(
        run_id__in=runs, **{DIMENSIONS[name]: value for name, value in filters.items()}
    )
    if ai_only:
        costs = costs.filter(ai_scope__in=AI_SCOPES)
    columns = [*(DIMENSIONS[name] for name in group_by), "currency"]
    grouped = costs.values_list(*columns).annotate(cost=Sum(metric)).order_by(*columns)
    page = list(grouped[offset : offset + limit + 1])
    totals = costs.values_list("currency").annotate(cost=Sum(metric)).order_by("currency")
    return CostRollup(
        rows=[CostRow(key=tuple(row[:-2]), currency=row[-2], cost=row[-1]) for row in page[:limit]],
        totals=list(totals),
        runs=runs,
        has_more=len(page) > limit,
    )


def scoped(teams: TeamScope) -> QuerySet[CostDaily]:
    costs = CostDaily.objects.all()
    return costs if teams.teams is None else costs.filter(team__in=sorted(teams.teams))
