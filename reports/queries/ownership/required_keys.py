"""How much of a month's AI cost carries each required key, and who can close what is missing: the
team that has the cost, else the source whose bill says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from allocation.models import AllocationRun
from allocation.values.money import exact_sum
from reports.asking import cached_by_run
from reports.cost_question.answers import costs
from reports.cost_question.question import CostQuestion
from reports.queries.ownership.unowned import region_costs
from reports.readable import ratio

TEAM, PRODUCT, MODEL, ENVIRONMENT, REGION, UNIT = (
    "team",
    "product",
    "model",
    "environment",
    "region",
    "business_unit",
)
REQUIRED: Final = (TEAM, PRODUCT, MODEL, ENVIRONMENT, REGION, UNIT)
TOLD: Final = (TEAM, PRODUCT, MODEL, ENVIRONMENT)  # by the ledger's own rows


@dataclass(frozen=True)
class KeyGap:
    """Cost without a key. `team` has it; None where nobody does: then the bill of `source`."""

    key: str
    team: str | None
    source: str | None
    cost: Decimal


@dataclass(frozen=True)
class KeyCoverage:
    """Gaps are by owner, largest first; with what has the key they add up to the cost."""

    key: str
    cost: Decimal
    gaps: tuple[KeyGap, ...]

    @property
    def known(self) -> Decimal:
        return exact_sum([self.cost, *(gap.cost.copy_negate() for gap in self.gaps)])

    @property
    def share(self) -> Decimal | None:
        return ratio(self.known, self.cost)


Missing = dict[tuple[str | None, str | None], list[Decimal]]  # by team, or else by source


def key_coverage(
    *, question: CostQuestion, units: Mapping[str, str | None]
) -> tuple[KeyCoverage, ...]:
    """Of the question's runs, in the order of REQUIRED; `units` are the business units of teams.
    Nothing for a reader of some teams.
    """
    if not question.scope.is_everything or not question.runs:
        return ()
    asked = costs(question.by(*TOLD, "source"))
    missing: dict[str, Missing] = {key: {} for key in REQUIRED}
    for row in asked:
        values, source = dict(zip(TOLD, row.key, strict=False)), row.key[-1]
        team = values[TEAM]
        owner = (None, source) if team is None else (team, None)
        values[UNIT] = units.get(team) if team else None
        for key, value in values.items():
            if value is None:
                missing[key].setdefault(owner, []).append(row.now)
    for source, cost in _without_region(question=question):
        missing[REGION].setdefault((None, source), []).append(cost)
    whole = exact_sum(row.now for row in asked)
    return tuple(KeyCoverage(key, whole, _gaps(key, missing[key])) for key in REQUIRED)


def _gaps(key: str, missing: Missing) -> tuple[KeyGap, ...]:
    gaps = [KeyGap(key, *owner, exact_sum(amounts)) for owner, amounts in missing.items()]
    found = [gap for gap in gaps if gap.cost]
    return tuple(sorted(found, key=lambda gap: (-gap.cost, gap.team or "", gap.source or "")))


@cached_by_run
def _without_region(*, question: CostQuestion) -> Sequence[tuple[str, Decimal]]:
    """Only bills tell a region, so that what lacks one is the source's to say."""
    runs = AllocationRun.objects.filter(pk__in=question.run_ids).select_related("rule_set")
    found: dict[str, list[Decimal]] = {}
    for run in runs.order_by("pk"):
        for source, has_region, cost in region_costs(run, question.metric):
            if not has_region:
                found.setdefault(source, []).append(cost)
    return tuple((source, exact_sum(amounts)) for source, amounts in found.items())
