"""What can be asked about cost: one frozen question, and the tables of dimensions and measures it
chooses from.

Nothing that a caller writes becomes part of a statement: identifiers come from these tables, and
every value is bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, NamedTuple

from allocation.values.names import quoted
from allocation.values.periods import Period
from reports.asking import TeamScope
from reports.cost_question.runs import Conversion, MonthRun
from reports.readable import MEASURED_UP_TO

METRICS = ("effective_cost", "billed_cost")
NOT_AI = "other"  # of the dimension ai_scope; everything else is AI or supports it


def cost_of(alias: str) -> str:
    """SQL: the cost of a row in the metric that %(metric)s binds."""
    return (
        f"CASE %(metric)s WHEN 'billed_cost' THEN {alias}.billed_cost"
        f" ELSE {alias}.effective_cost END"
    )


# What of a cost is attributed to an owner, and what becomes of the rest: the one definition. It is
# what rests on evidence of rungs 1 to 4, less untraced cost that was shared out. Lines of unknown
# coverage are not: a run puts them on the rung of what is inferred.
ATTRIBUTED: Final = "attributed"
SHARED_OUT: Final = "shared_out"
INFERRED: Final = "inferred"
UNALLOCATED: Final = "unallocated"
# What the ledger, which has each group's coverage beside its shares, tells apart in the inferred.
OWNER: Final = "owner"
UNKNOWN_COVERAGE: Final = "unknown_coverage"
LEDGER_PARTS: Final = (ATTRIBUTED, SHARED_OUT, OWNER, UNKNOWN_COVERAGE, UNALLOCATED)

ATTRIBUTED_UP_TO: Final = 4


def attribution(alias: str) -> str:
    """SQL: which part a row of the rollup or of the ledger is of."""
    return (
        f"CASE WHEN {alias}.charge_kind = 'unallocated' THEN '{UNALLOCATED}'"
        f" WHEN {alias}.evidence > {ATTRIBUTED_UP_TO} THEN '{INFERRED}'"
        f" WHEN {alias}.charge_kind = 'untraced' AND {alias}.evidence <= {MEASURED_UP_TO}"
        f" THEN '{SHARED_OUT}' ELSE '{ATTRIBUTED}' END"
    )


def ledger_attribution(share: str, split_key: str, group: str) -> str:
    """SQL: the same with what is inferred told apart: untraced cost that was shared out on inferred
    shares, lines of unknown coverage, and owners that are inferred.
    """
    return (
        f"CASE WHEN {share}.evidence <= {ATTRIBUTED_UP_TO} OR {share}.charge_kind = 'unallocated'"
        f" THEN {attribution(share)}"
        f" WHEN {share}.charge_kind = 'untraced' AND starts_with({group}.note, 'untraced spread')"
        f" THEN '{SHARED_OUT}'"
        f" WHEN {share}.charge_kind <> 'untraced' AND {split_key}.method = 'traced_usage'"
        f" AND {group}.coverage IS NULL THEN '{UNKNOWN_COVERAGE}'"
        f" ELSE '{OWNER}' END"
    )


# What a cost is where it names no model: the one definition.
NAMED_MODEL: Final = "named"
TRAINING: Final = "training"
OWN_MODELS: Final = "own"
FEES: Final = "fees"
INFRASTRUCTURE: Final = "infrastructure"
OF_FEES: Final = "'tax', 'credit', 'adjustment', 'commitment_unused'"  # kinds of charge


def model_group(alias: str) -> str:
    """SQL: whether a row of the rollup is of a named model; else of building models, of machines
    that run own ones, of tax and credits, or of what stands around them.
    """
    return (
        f"CASE WHEN {alias}.model IS NOT NULL THEN '{NAMED_MODEL}'"
        f" WHEN {alias}.charge_kind IN ({OF_FEES}) THEN '{FEES}'"
        f" WHEN {alias}.phase = 'build' THEN '{TRAINING}'"
        f" WHEN {alias}.ai_scope = 'ai' THEN '{OWN_MODELS}' ELSE '{INFRASTRUCTURE}' END"
    )


@dataclass(frozen=True)
class CostDimension:
    """What costs can be summed by: a column of the rollup `daily`, or of what `join` puts beside
    it.

    What a run says never changes. `is_of_run` is false where other rows have a part in the answer,
    so that it must not be cached.
    """

    column: str
    join: str = ""
    is_of_run: bool = True


SOURCE = "JOIN allocation_source AS source ON source.id = daily.source_id"
# A team belongs to the cost centre where it stood on the day of the charge.
PLACED = """LEFT JOIN (
        SELECT team.slug, placement.valid_from, placement.valid_to, placement.cost_center_id
        FROM team_placement_period AS placement
        JOIN allocation_team AS team ON team.id = placement.team_id
    ) AS placed ON placed.slug = daily.team AND daily.day >= placed.valid_from
        AND (placed.valid_to IS NULL OR daily.day < placed.valid_to)"""

DIMENSIONS: Mapping[str, CostDimension] = {
    "ai_scope": CostDimension("daily.ai_scope"),
    "team": CostDimension("daily.team"),
    "feature": CostDimension("daily.feature"),
    "model": CostDimension("daily.model"),
    "model_group": CostDimension(model_group("daily")),
    "product": CostDimension("daily.product"),
    "provider": CostDimension("daily.provider_name"),
    "service": CostDimension("daily.service_name"),
    "environment": CostDimension("daily.environment"),
    "phase": CostDimension("daily.phase"),
    "charge_kind": CostDimension("daily.charge_kind"),
    "rule": CostDimension("daily.rule"),
    "reason": CostDimension("daily.reason"),
    "source_id": CostDimension("daily.source_id"),
    "with_invoice": CostDimension("daily.with_invoice"),
    "evidence": CostDimension("daily.evidence"),
    "attribution": CostDimension(attribution("daily")),
    "source": CostDimension("source.name", SOURCE),
    "currency": CostDimension("daily.currency"),
    "day": CostDimension("daily.day"),
    # What the chargeback shows as one line, and whom it is charged to.
    "chargeback_key": CostDimension("daily.chargeback_key"),
    "cost_center": CostDimension("placed.cost_center_id", PLACED, is_of_run=False),
}

# `{among}` is empty, or a FILTER clause that picks the rows of one period.
MEASURES: Mapping[str, str] = {
    "cost": "coalesce(sum(daily.cost){among}, 0)",  # in the metric of the question
    "billed_cost": "sum(daily.billed_cost){among}",
    "effective_cost": "sum(daily.effective_cost){among}",
    "outside_ai_billed_cost": "sum(CASE WHEN daily.ai_scope = 'other' THEN daily.billed_cost"
    " ELSE 0 END){among}",
    "outside_ai_effective_cost": "sum(CASE WHEN daily.ai_scope = 'other' THEN daily.effective_cost"
    " ELSE 0 END){among}",
    # Unknown as soon as one of its parts is.
    "list_cost": "CASE WHEN count(daily.list_cost){among} = count(*){among}"
    " THEN sum(daily.list_cost){among} END",
    "weakest_evidence": "max(daily.evidence){among}",
    "any_line": "min(daily.line_id){among}",
}

Value = str | int


class UnknownDimension(ValueError):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"{quoted(self.name)} is no dimension; choose from {', '.join(DIMENSIONS)}."


class SourceDays(NamedTuple):
    """The day before which a source's charges of the period are compared, and the same day of the
    compared one.
    """

    source_id: int
    end: date
    before_end: date


@dataclass(frozen=True)
class Alike:
    """What of two periods is compared like for like: these days of these sources, and nothing that
    comes with the invoice. reports.cost_question.alike says when.
    """

    days: tuple[SourceDays, ...]


@dataclass(frozen=True)
class CostQuestion:
    """Which part of the cost rollup is asked for, and by what it is summed.

    Without a `period` every charge day of the runs counts, else those of the half-open period;
    `compare` is a second period beside it. Where `alike` is given, only what it says counts there,
    and the answer also holds what of the period itself the comparison leaves out. A filter is a
    dimension and the value that it must have. Without `ai_only`, spend outside AI counts, too. With
    a `currency`, amounts of every run are converted into it; without one, the runs must share their
    currency, or it must be among the dimensions: two currencies are never added.
    """

    runs: tuple[MonthRun, ...]
    scope: TeamScope
    period: Period | None = None
    compare: Period | None = None
    dimensions: tuple[str, ...] = ()
    metric: str = "effective_cost"
    filters: tuple[tuple[str, Value], ...] = ()
    currency: Conversion | None = None
    ai_only: bool = True
    alike: Alike | None = None

    def __post_init__(self) -> None:
        for name in (*self.dimensions, *(name for name, _ in self.filters)):
            if name not in DIMENSIONS:
                raise UnknownDimension(name)
        if self.metric not in METRICS:
            raise ValueError(self.metric)
        if self.compare and not self.period:
            raise ValueError("only a period can be compared with another one")

    def by(self, *dimensions: str) -> CostQuestion:
        """The same cost, summed by these dimensions."""
        return replace(self, dimensions=dimensions)

    def where(self, **values: Value | None) -> CostQuestion:
        """The part of it in which the named dimensions have these values; None means any."""
        chosen = {name: value for name, value in values.items() if value is not None}
        return replace(self, filters=tuple((dict(self.filters) | chosen).items()))

    def value(self, dimension: str) -> str | None:
        """What a filter asks of the dimension, as text; None where there is no such filter."""
        return next((str(value) for name, value in self.filters if name == dimension), None)

    @property
    def run_ids(self) -> list[int]:
        return [run.id for run in self.runs]

    @property
    def is_final(self) -> bool:
        """All runs are published and hashed, so the same question always has the same answer."""
        return (
            bool(self.runs)
            and all(run.is_final for run in self.runs)
            and all(DIMENSIONS[name].is_of_run for name in self.dimensions)
        )
