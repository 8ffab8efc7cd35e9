"""Are we on plan? What was spent of each plan, what is left, and the pace to the month's end. Pure.

A pace is no forecast: what was charged by the day so far goes on evenly, for each source by the
days that it is billed for. What comes with the invoice counts once it is there, and does not go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import NamedTuple

from allocation.planning.holders import PlanHolder
from allocation.values.money import EXACT, exact_sum
from reports.readable import ratio

ZERO = Decimal(0)


class DaySpend(NamedTuple):
    """Cost of a team on a day by one source; `left_out` is what of it does not
    go on in a pace."""

    team: str | None
    source: str
    day: date
    cost: Decimal
    left_out: Decimal


@dataclass(frozen=True)
class Pace:
    """Days of the month over days billed, by source; `places` are those that a pace is rounded
    to.
    """

    factors: Mapping[str, Fraction]
    places: int

    def of(self, actual: Decimal, by_day: Mapping[str, Decimal]) -> Decimal:
        """Where cost ends of which `by_day` is charged by the day, by source."""
        whole = Fraction(actual) + sum(
            Fraction(cost) * (self.factors.get(source, 1) - 1) for source, cost in by_day.items()
        )
        return Decimal(round(whole * 10**self.places)).scaleb(-self.places)


@dataclass(frozen=True)
class PlanLine:
    """A plan and what became of it so far; `pace` is None where the month is over."""

    holder: PlanHolder
    name: str
    plan: Decimal
    actual: Decimal
    pace: Decimal | None

    @property
    def left(self) -> Decimal:
        return EXACT.subtract(self.plan, self.actual)

    @property
    def share(self) -> Decimal | None:
        """What was spent of the plan; None of a plan of nothing."""
        return ratio(self.actual, self.plan)

    @property
    def over(self) -> Decimal | None:
        """How far the pace ends above the plan; None where it does not."""
        reached = self.actual if self.pace is None else self.pace
        return EXACT.subtract(reached, self.plan) if reached > self.plan else None


@dataclass(frozen=True)
class OnPlan:
    """The plans of a view, and what was spent without any."""

    lines: tuple[PlanLine, ...]
    unplanned: Decimal

    @property
    def has_pace(self) -> bool:
        """The month is not over."""
        return any(line.pace is not None for line in self.lines)

    @property
    def total(self) -> PlanLine:
        """All of them together."""
        paces = [line.pace for line in self.lines if line.pace is not None]
        return PlanLine(
            PlanHolder("team", ""),
            "All with a plan",
            exact_sum(line.plan for line in self.lines),
            exact_sum(line.actual for line in self.lines),
            exact_sum(paces) if paces else None,
        )


HolderOf = Callable[[str | None, date], PlanHolder | None]


def on_plan(
    plans: Mapping[PlanHolder, tuple[str, Decimal]],
    spent: Iterable[DaySpend],
    holder_of: HolderOf,
    pace: Pace | None,
) -> OnPlan:
    """One line per plan (name, amount), in their order. `holder_of` says to which plan a team's
    cost of a day counts.
    """
    actual: dict[PlanHolder | None, Decimal] = {}
    by_day: dict[PlanHolder, dict[str, Decimal]] = {}
    with localcontext(EXACT):
        for one in spent:
            holder = holder_of(one.team, one.day)
            actual[holder] = actual.get(holder, ZERO) + one.cost
            if holder is not None:
                own = by_day.setdefault(holder, {})
                own[one.source] = own.get(one.source, ZERO) + one.cost - one.left_out
    lines = tuple(
        PlanLine(
            holder,
            name,
            amount,
            actual.get(holder, ZERO),
            pace.of(actual.get(holder, ZERO), by_day.get(holder, {})) if pace else None,
        )
        for holder, (name, amount) in plans.items()
    )
    return OnPlan(lines, actual.get(None, ZERO))


def holders_of(
    plans: Iterable[PlanHolder], center_of: Callable[[str | None, date], str | None], day: date
) -> tuple[list[PlanHolder], HolderOf]:
    """Plans that add up, and to which of them a team's cost counts: a cost centre's plan holds
    those of the teams that stand in it on `day`, so theirs are not added to it.
    """
    every = set(plans)
    centers = {holder for holder in every if holder.kind == "cost_center"}

    def center_plan(team: str | None, on: date) -> PlanHolder | None:
        center = center_of(team, on)
        found = PlanHolder("cost_center", center) if center else None
        return found if found in centers else None

    counting = [
        holder for holder in plans if holder in centers or center_plan(holder.own, day) is None
    ]
    own = set(counting)

    def holder_of(team: str | None, on: date) -> PlanHolder | None:
        alone = PlanHolder("team", team) if team else None
        return center_plan(team, on) or (alone if alone in own else None)

    return counting, holder_of
