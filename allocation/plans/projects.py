"""Lines of a bill that tells projects apart, answered by calls that name none. Pure.

`placed_join` says, by facts alone, what the projects of a key and class leave uncovered on a day;
`placed_plan` then asks whose calls name no project, places them (allocation.plans.placing), and
shares one project's line among the calls that name it and those that were placed in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from allocation.organisation.targets import INFERRED
from allocation.plans.placing import ZERO, Placement, ProjectRoom, place
from allocation.plans.plan import Billed, Entry, Part, Plan
from allocation.plans.traced import (
    AUTO,
    DERIVED,
    OVER_TRACED,
    SPREAD,
    SPREAD_FROM,
    UNKNOWN_COVERAGE,
    Coverage,
    TracedLine,
    Untraced,
    rest_of,
    weighing_of,
    with_untraced,
)
from allocation.usage.facts import UsageFacts
from allocation.usage.index import COST_PLACES, LIST_COST, TOKENS, UsageIndex, Weighing, Weights
from allocation.usage.keys import Key
from allocation.values.split import whole_weights

FINER = 6  # decimal places that parts of a weight have beyond those of the whole
WITHOUT = "calls without a project"  # what a line was widened to


class ProjectBill(NamedTuple):
    """What the bill has of one project under a key and class."""

    key: Key
    columns: tuple[int, ...]  # of usage that it bills
    owner: str | None  # the team; None: nobody's, or of several
    billed: Billed


class PlacedJoin(NamedTuple):
    """What a project's line is split by where some calls name no project."""

    named: Weighing | None  # None: no call names the project
    nameless: Weighing
    rooms: tuple[ProjectRoom, ...]  # of all projects, in the order of their names
    columns: tuple[int, ...]
    unit: str | None  # of the rooms: TOKENS, LIST_COST; None: only their proportions are known
    traced: Fraction  # tokens that name the project
    quantity: Fraction | None  # tokens billed
    widened: str
    is_derived: bool

    @property
    def day(self) -> date | None:
        return self.nameless.day


def placed_join(
    line: TracedLine, bills: Sequence[ProjectBill], day: date, facts: UsageFacts
) -> PlacedJoin | None:
    """The join of one day; None where no calls without a project have a part in it.

    The month is asked only where a day has neither calls that name the project nor others.
    """
    columns = line.columns
    for widened, when in _days(line, day):
        named = None
        if line.key.project is not None:
            named = weighing_of(line, line.key, when, facts, columns)
        nameless = weighing_of(line, line.key._replace(project=None), when, facts, columns)
        if nameless is None:
            if named is not None:
                return None
            continue
        own = next(bill for bill in bills if bill.key == line.key)
        quantity = own.billed.on(when)
        if quantity is not None and quantity <= 0:
            return None
        if _is_by_chance(line, own, when, facts):
            return None
        if named is not None and named.by != nameless.by:  # some has no list price
            named, nameless = named._replace(by=TOKENS), nameless._replace(by=TOKENS)
        rooms, unit = _rooms(line, bills, when, facts, nameless)
        return PlacedJoin(
            named,
            nameless,
            rooms,
            columns,
            unit,
            _named_tokens(own, when, facts),
            quantity,
            widened,
            own.billed.is_derived(when),
        )
    return None


def _days(line: TracedLine, day: date) -> Iterator[tuple[str, date | None]]:
    if not line.by_month:
        yield WITHOUT, day
    yield f"{WITHOUT}, month", None


def _rooms(
    line: TracedLine,
    bills: Sequence[ProjectBill],
    when: date | None,
    facts: UsageFacts,
    nameless: Weighing,
) -> tuple[tuple[ProjectRoom, ...], str | None]:
    """What each project has uncovered: tokens; without them what it cost less the list cost of the
    calls that name it, in whatever its currency is.
    """
    quantities = [_billed_tokens(bill, when) for bill in bills]
    if None not in quantities:
        tokens = []
        for bill, quantity in zip(bills, quantities, strict=True):
            uncovered = (quantity or ZERO) - _named_tokens(bill, when, facts)
            if uncovered > 0 and _is_by_chance(line, bill, when, facts):
                uncovered = ZERO  # its own calls are all of it, but for the chance of sampling
            tokens.append(ProjectRoom(bill.key.project, bill.owner, uncovered))
        return tuple(tokens), TOKENS
    is_usd = all(when in bill.billed.money or bill.billed.on(when) is not None for bill in bills)
    money = [
        ProjectRoom(
            bill.key.project,
            bill.owner,
            bill.billed.cost_on(when) - (_named_cost(bill, when, facts) if is_usd else ZERO),
        )
        for bill in bills
    ]
    return tuple(money), LIST_COST if is_usd and nameless.by == LIST_COST else None


def _billed_tokens(bill: ProjectBill, when: date | None) -> Fraction | None:
    """None where nobody knows; none on a day without lines."""
    if when is not None and when not in bill.billed.by_day:
        return ZERO
    return bill.billed.on(when)


def _is_by_chance(
    line: TracedLine, bill: ProjectBill, when: date | None, facts: UsageFacts
) -> bool:
    """Whether the calls that name the project lack no more of it than sampling explains."""
    if bill.key.project is None:
        return False
    own = replace(line, key=bill.key)
    return Coverage(own, when, bill.columns, facts, bill.billed).is_by_chance()


def _named_tokens(bill: ProjectBill, when: date | None, facts: UsageFacts) -> Fraction:
    return ZERO if bill.key.project is None else facts.tokens(bill.key, when, bill.columns)


def _named_cost(bill: ProjectBill, when: date | None, facts: UsageFacts) -> Fraction:
    cost = None if bill.key.project is None else facts.on(bill.key, when).list_cost
    return Fraction(cost or 0, 10**COST_PLACES)


@dataclass
class Placer:
    """Places the calls of each join once, for all projects that share its rooms."""

    team_of: Callable[[int], str | None]  # by a target's number
    _found: dict[tuple[object, ...], tuple[Placement, dict[str | None, Fraction]]] = field(
        default_factory=dict
    )

    def placed(
        self, join: PlacedJoin, index: UsageIndex
    ) -> tuple[Placement, dict[str | None, Fraction]]:
        """Where calls without a project went, and how many each team has, in the rooms' unit."""
        name = (join.nameless, join.rooms, join.unit, join.columns)
        found = self._found.get(name)
        if found is None:
            calls = self._calls(join, index)
            found = self._found[name] = place(calls, join.rooms), calls
        return found

    def _calls(self, join: PlacedJoin, index: UsageIndex) -> dict[str | None, Fraction]:
        weighing = join.nameless
        if join.unit == TOKENS and weighing.by != TOKENS:
            weighing = Weighing(weighing.key, weighing.day, TOKENS, join.columns)
        weights = index.weights(weighing)
        calls: dict[str | None, Fraction] = {}
        for target, weight, _ in weights.entries:
            team = self.team_of(target)
            calls[team] = calls.get(team, ZERO) + Fraction(weight, 10**weights.places)
        if join.unit is None:  # as if they were what all projects lack
            room = sum((max(room.uncovered, ZERO) for room in join.rooms), ZERO)
            total = sum(calls.values(), ZERO)
            calls = {team: amount * room / total for team, amount in calls.items()} if room else {}
        return calls


def placed_plan(line: TracedLine, join: PlacedJoin, index: UsageIndex, placer: Placer) -> Plan:
    """Shares of the calls that name the project and of those placed in it; the rest by policy."""
    placement, calls = placer.placed(join, index)
    nameless = index.weights(join.nameless)
    named = index.weights(join.named) if join.named else None
    entries = _entries(line, join, placement, calls, named, nameless, index, placer)
    note, coverage = None, None
    if join.unit == TOKENS and join.quantity:
        traced = join.traced + placement.total(line.key.project)
        coverage = traced / join.quantity
        if coverage > 1 or placement.left:
            note = OVER_TRACED
    elif join.unit is None:
        note = UNKNOWN_COVERAGE
    if not entries:
        return Plan(parts=(rest_of(line, 1, "untraced"),), coverage=coverage, note=note)
    parts: tuple[Part, ...] = (Part(1, "shared", entries),)
    if coverage is not None and coverage < 1 and join.quantity:
        of_traced, of_untraced = whole_weights([coverage, 1 - coverage])
        is_spread = line.policy == SPREAD or (line.policy == AUTO and coverage >= SPREAD_FROM)
        parts, note = with_untraced(line, Untraced(of_traced, of_untraced, is_spread), entries)
    return Plan(
        parts=parts,
        driver=nameless.name,
        driver_total=sum(weight for _, weight, _ in entries),
        places=nameless.places + FINER,
        coverage=coverage,
        widened=join.widened,
        note=f"{note or 'split'}{DERIVED}" if join.is_derived else note,
    )


def _entries(
    line: TracedLine,
    join: PlacedJoin,
    placement: Placement,
    calls: dict[str | None, Fraction],
    named: Weights | None,
    nameless: Weights,
    index: UsageIndex,
    placer: Placer,
) -> tuple[Entry, ...]:
    """Weights in canonical order; what is known of a target by several ways has the weakest."""
    least = INFERRED if join.unit is None else 0
    found: dict[int, tuple[int, int]] = {}

    def add(target: int, weight: int, rung: int) -> None:
        before, weakest = found.get(target, (0, 0))
        if weight > 0:
            found[target] = before + weight, max(weakest, rung, least)

    for target, weight, rung in named.entries if named else ():
        add(target, weight * 10**FINER, rung)
    parts = {one.team: one for one in placement.in_project.get(line.key.project, ())}
    for target, weight, rung in nameless.entries:
        placed = parts.get(placer.team_of(target))
        if placed is not None:
            share = placed.amount / calls[placed.team]
            part = round(weight * 10**FINER * share)
            add(target, part, INFERRED if placed.is_inferred else rung)
    return tuple((target, *found[target]) for target in sorted(found, key=index.order.__getitem__))
