"""What targets were given so far in a run: the driver of everything that follows or is weighted by other cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from allocation.buckets import Bucket, Level, followed_levels, levels_of
from allocation.copying import copy_lines
from allocation.ledger import TargetBook
from allocation.money import LEAST_PLACES, places_of, quanta_of
from allocation.targets import NOTHING_TO_FOLLOW, Target
from allocation.traced import Part, Plan

TAX = "Tax"
GIVEN_SQL = """
-- One row per bucket and target of the run so far, over the month.
COPY (
    SELECT bucket, target_id, sum(effective_cost), sum(billed_cost), coalesce(sum(list_cost), 0), max(evidence)
    FROM allocated_cost WHERE billing_month = '{month}' AND run_id = {run}
    GROUP BY 1, 2
) TO STDOUT
"""


@dataclass
class Given:
    """Cost of one target, in quanta of the run's common scale, and the weakest evidence behind it."""

    effective: int = 0
    billed: int = 0
    listed: int = 0  # of the charges that have a list cost
    rung: int = 0

    def add(self, other: Given) -> None:
        self.effective += other.effective
        self.billed += other.billed
        self.listed += other.listed
        self.rung = max(self.rung, other.rung)


Costs = dict[Target, Given]


@dataclass
class Related:
    """Cost by bucket and target of the stages that are written. Customers are left out: a tax line split to every
    customer helps nobody."""

    costs: list[tuple[Bucket, Target, Given]]
    places: int
    _levels: dict[tuple[str, ...], dict[Level, Costs]] = field(default_factory=dict)

    @classmethod
    def read(cls, *, run_id: int, month: date, buckets: Mapping[int, Bucket], book: TargetBook) -> Related:
        lines = [line.split("\t") for line in copy_lines(GIVEN_SQL.format(month=month.isoformat(), run=int(run_id)))]
        places = max((places_of(text) for cells in lines for text in cells[2:5]), default=LEAST_PLACES)
        named = book.by_id({int(cells[1]) for cells in lines})
        by_id = {pk: target._replace(customer=None) for pk, target in named.items()}
        costs = []
        for number, target_id, effective, billed, listed, rung in lines:
            bucket = buckets[int(number)]
            effective_quanta, billed_quanta, listed_quanta = (
                quanta_of(text, places) for text in (effective, billed, listed)
            )
            given = Given(effective_quanta, billed_quanta, listed_quanta, int(rung))
            costs.append((bucket, by_id[int(target_id)], given))
        return cls(costs, places)

    def summed(self, wanted: Callable[[Bucket], bool], named: Callable[[Target], Target | None]) -> Costs:
        """Cost of the wanted buckets by what `named` makes of their targets; None leaves a target out."""
        found: Costs = {}
        for bucket, target, given in self.costs:
            if wanted(bucket) and (name := named(target)) is not None:
                found.setdefault(name, Given()).add(given)
        return found

    def at(self, level: Level, of_rules: tuple[str, ...] = ()) -> Costs:
        """Cost at a level by target, of what these rules took; none named: of all. Nothing is charged on a tax."""
        levels = self._levels.get(of_rules)
        if levels is None:
            levels = self._levels[of_rules] = {}
            for bucket, target, given in self.costs:
                if bucket.charge_category == TAX or (of_rules and bucket.rule not in of_rules):
                    continue
                for own in levels_of(bucket):
                    levels.setdefault(own, {}).setdefault(target, Given()).add(given)
        return levels.get(level, {})

    def plan(self, bucket: Bucket, book: TargetBook) -> Plan:
        """Shares by effective cost of the narrowest related charges; by billed cost where that comes to nothing.

        By list cost where the bucket asks for it and any of them has one.
        """
        drivers = ("listed", "effective", "billed") if bucket.by_list_cost else ("effective", "billed")
        for widened, level in enumerate(followed_levels(bucket)):
            costs = self.at(level, bucket.of_rules)
            for driver in drivers:
                weights = one_sided({target: getattr(given, driver) for target, given in costs.items()})
                entries = tuple(
                    (book.number(target), weights[target], costs[target].rung) for target in in_order(weights)
                )
                if entries:
                    return Plan(
                        parts=(Part(1, bucket.kind or "shared", entries),),
                        driver=f"{'list' if driver == 'listed' else driver} cost of related charges",
                        driver_total=sum(weight for _, weight, _ in entries),
                        places=self.places,
                        widened=level.name if widened else None,
                    )
        part = Part(1, "unallocated", ((book.number(Target(reason=NOTHING_TO_FOLLOW)), 1, 6),))
        return Plan(parts=(part,), note=NOTHING_TO_FOLLOW)


def one_sided(costs: Mapping[Target, int]) -> dict[Target, int]:
    """Costs as weights: those on the side of their sum, by magnitude. In a month of refunds the refunds weigh.

    So nobody takes a share against the sign of what is split, and a month with every sign turned mirrors this one.
    """
    total = sum(costs.values())
    return {target: abs(cost) for target, cost in costs.items() if cost * total > 0}


def in_order(targets: Iterable[Target]) -> list[Target]:
    """Canonical order, in which rows of a group are written."""
    return sorted(targets, key=Target.order)
