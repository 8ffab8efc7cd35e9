"""The allocation base: what targets were given so far in a run, which everything that follows other
cost is shared by. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

from allocation.charges.split_keys import (
    RESOURCE,
    Level,
    SplitKey,
    followed_levels,
    levels_of,
)
from allocation.organisation.targets import Numbers, Target
from allocation.plans.plan import Part, Plan
from allocation.rules.rules import COMMITMENT
from allocation.values.names import NOTHING_TO_FOLLOW

TAX = "Tax"
DRIVER_NAMES = {"listed": "list", "effective": "effective", "billed": "billed"}


@dataclass
class BaseCost:
    """Cost of one target, in quanta of the base's scale, and the weakest evidence behind it."""

    effective: int = 0
    billed: int = 0
    listed: int = 0  # of the charges that have a list cost
    rung: int = 0

    def times(self, factor: int) -> BaseCost:
        return BaseCost(
            self.effective * factor, self.billed * factor, self.listed * factor, self.rung
        )

    def add(self, other: BaseCost) -> None:
        self.effective += other.effective
        self.billed += other.billed
        self.listed += other.listed
        self.rung = max(self.rung, other.rung)


Costs = dict[Target, BaseCost]
CostsBy = list[tuple[Target, BaseCost]]  # a target may come several times


@dataclass
class AllocationBase:
    """Cost by split key and target of the stages that are written, in quanta of 10**-places.

    Customers are left out: a tax line split to every customer helps nobody.
    """

    costs: Mapping[SplitKey, CostsBy] = field(default_factory=dict)
    places: int = 0
    _levels: dict[tuple[Level, tuple[str, ...]], Costs] = field(default_factory=dict)

    def joined(self, other: AllocationBase) -> AllocationBase:
        """With what other split keys gave."""
        places = max(self.places, other.places)
        return AllocationBase({**self._in(places), **other._in(places)}, places)

    def _in(self, places: int) -> Mapping[SplitKey, CostsBy]:
        more = 10 ** (places - self.places)
        if more == 1:
            return self.costs
        return {
            split_key: [(target, cost.times(more)) for target, cost in costs]
            for split_key, costs in self.costs.items()
        }

    def summed(
        self, wanted: Callable[[SplitKey], bool], named: Callable[[Target], Target | None]
    ) -> Costs:
        """Cost of the wanted split keys by what `named` makes of their targets; None leaves a
        target out.
        """
        named_costs = (
            (name, cost)
            for split_key, costs in self.costs.items()
            if wanted(split_key)
            for target, cost in costs
            if (name := named(target)) is not None
        )
        return by_target(named_costs)

    def at(self, level: Level, of_rules: tuple[str, ...] = ()) -> Costs:
        """Cost at a level by target, of what these rules took; none named: of all.

        Nothing is charged on a tax.
        """
        found = self._levels.get((level, of_rules))
        if found is None:
            own = (
                costs
                for rule, costs in self._followed.get(level, ())
                if not of_rules or rule in of_rules
            )
            found = self._levels[level, of_rules] = by_target(chain.from_iterable(own))
        return found

    @cached_property
    def _followed(self) -> dict[Level, list[tuple[str, CostsBy]]]:
        """What can be followed at each level, with the rules that took it."""
        found: dict[Level, list[tuple[str, CostsBy]]] = {}
        for split_key, costs in self.costs.items():
            if split_key.charge_category != TAX:
                phased = in_phase(costs, split_key.phase)
                for level in levels_of(split_key):
                    found.setdefault(level, []).append((split_key.rule, phased))
        return found

    def plan(self, split_key: SplitKey, book: Numbers, owner: int | None = None) -> Plan:
        """Shares of the charges of what is named, a resource or a commitment; where there are none,
        the owner's alone; where nobody owns it, shares of the narrowest related charges.
        """
        levels = followed_levels(split_key)
        named = [level for level in levels if level.name in (RESOURCE, COMMITMENT)]
        related = levels[len(named) :]
        plan = self._shares(split_key, named, book)
        if plan is None and owner is not None:
            entry = (owner, 1, split_key.owner.rung)
            return Plan(parts=(Part(1, split_key.kind or "direct", (entry,)),))
        plan = plan or self._shares(split_key, related, book)
        if plan is not None:
            return plan
        nobody = book.number(Target(reason=NOTHING_TO_FOLLOW))
        return Plan(parts=(Part(1, "unallocated", ((nobody, 1, 6),)),), note=NOTHING_TO_FOLLOW)

    def _shares(self, split_key: SplitKey, levels: Sequence[Level], book: Numbers) -> Plan | None:
        """Shares by effective cost at the first of the levels that has any; by billed cost where
        that comes to nothing. By list cost where the rule asks for it and any charge has one.
        """
        usual = ("effective", "billed")
        drivers = ("listed", *usual) if split_key.by_list_cost else usual
        for widened, level in enumerate(levels):
            costs = self.at(level, split_key.of_rules)
            for driver in drivers:
                weights = one_sided(
                    {target: getattr(cost, driver) for target, cost in costs.items()}
                )
                if weights:
                    entries = tuple(
                        (book.number(target), weights[target], costs[target].rung)
                        for target in in_order(weights)
                    )
                    return Plan(
                        parts=(Part(1, split_key.kind or "shared", entries),),
                        driver=f"{DRIVER_NAMES[driver]} cost of related charges",
                        driver_total=sum(weights.values()),
                        places=self.places,
                        widened=level.name if widened else None,
                    )
        return None


def in_phase(costs: CostsBy, phase: str | None) -> CostsBy:
    """The costs with the phase of their charges, where their targets name none."""
    if phase is None:
        return costs
    return [(target._replace(phase=target.phase or phase), cost) for target, cost in costs]


def by_target(costs: Iterable[tuple[Target, BaseCost]]) -> Costs:
    """The sum for each target."""
    found: Costs = {}
    for target, cost in costs:
        known = found.get(target)
        if known is None:
            known = found[target] = BaseCost()
        known.add(cost)
    return found


def one_sided(costs: Mapping[Target, int]) -> dict[Target, int]:
    """Costs as weights: those on the side of their sum, by magnitude. In a month of refunds the
    refunds weigh.

    So nobody takes a share against the sign of what is split, and a month with every sign turned
    mirrors this one.
    """
    total = sum(costs.values())
    return {target: abs(cost) for target, cost in costs.items() if cost * total > 0}


def in_order(targets: Iterable[Target]) -> list[Target]:
    """Canonical order, in which rows of a group are written."""
    return sorted(targets, key=Target.order)
