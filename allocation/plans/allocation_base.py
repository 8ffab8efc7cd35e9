"""What targets were given so far in a run: the driver of everything that follows or is weighted by
other cost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from itertools import chain
from typing import Any

from django.db import connection

from allocation.charges.groups import id_list
from allocation.charges.split_keys import Bucket, Level, followed_levels, levels_of
from allocation.models import RunSlice
from allocation.organisation.target_book import TargetBook
from allocation.organisation.targets import Target
from allocation.plans.plan import Part, Plan
from allocation.storage.copy_text import copy_lines, whole_month_plans
from allocation.usage.index import WholeMonthNeeded
from allocation.values.money import LEAST_PLACES, places_of, quanta_of
from allocation.values.reasons import NOTHING_TO_FOLLOW
from allocation.values.stages import BY_DAY

TAX = "Tax"
GIVEN_SQL = """
-- One row per bucket and target of some parts of the run, over the month.
COPY (
    SELECT bucket, target_id, trim_scale(sum(effective_cost)), trim_scale(sum(billed_cost)),
        trim_scale(coalesce(sum(list_cost), 0)), max(evidence)
    FROM (
        SELECT bucket, target_id, effective_cost, billed_cost, list_cost, evidence
        FROM run_given WHERE run_id = {run} AND {by_day}
        UNION ALL
        SELECT a.bucket, a.target_id, a.effective_cost, a.billed_cost, a.list_cost, a.evidence
        FROM run_slice r JOIN slice_share a ON a.billing_month = r.billing_month
            AND a.slice_id = r.slice_id
        WHERE r.run_id = {run} AND r.part = ANY('{{{parts}}}') AND a.billing_month = '{month}'
            AND a.slice_id = ANY('{{{slices}}}')  -- so that shares of other runs are not read
    ) shares
    GROUP BY 1, 2
) TO STDOUT
"""
# What a run gave by the day, from its shares.
SUM_SQL = """
INSERT INTO run_given (run_id, bucket, target_id, evidence, shares, effective_cost, billed_cost,
    list_cost)
SELECT %(run)s, a.bucket, a.target_id, a.evidence, count(*), sum(a.effective_cost),
    sum(a.billed_cost),
    sum(a.list_cost)
FROM run_slice r JOIN slice_share a ON a.billing_month = r.billing_month AND a.slice_id = r.slice_id
WHERE r.run_id = %(run)s AND r.part = %(by_day)s AND a.billing_month = %(month)s
GROUP BY 2, 3, 4
"""
# The same, from what a former run gave and the shares of the days that differ. `slices` has each of
# these slices once for each day that has it.
CHANGE_SQL = """
INSERT INTO run_given (run_id, bucket, target_id, evidence, shares, effective_cost, billed_cost,
    list_cost)
SELECT %(run)s, bucket, target_id, evidence, sum(shares), sum(effective_cost), sum(billed_cost),
    sum(list_cost)
FROM (
    SELECT bucket, target_id, evidence, shares, effective_cost, billed_cost, list_cost
    FROM run_given WHERE run_id = %(former)s
    UNION ALL
    SELECT a.bucket, a.target_id, a.evidence, s.sign, s.sign * a.effective_cost,
        s.sign * a.billed_cost,
        s.sign * coalesce(a.list_cost, 0)
    FROM unnest(%(slices)s::bigint[], %(signs)s::int[]) s(slice_id, sign)
    JOIN slice_share a ON a.billing_month = %(month)s AND a.slice_id = s.slice_id
) shares
GROUP BY bucket, target_id, evidence
HAVING sum(shares) > 0
"""
IS_WHOLE_SQL = """
SELECT (SELECT coalesce(sum(shares), 0) FROM run_given WHERE run_id = %(former)s)
    = (SELECT coalesce(sum(s.rows), 0) FROM run_slice r JOIN ledger_slice s ON s.id = r.slice_id
        WHERE r.run_id = %(former)s AND r.part = %(by_day)s)
"""


def sum_by_day(*, run_id: int, month: date) -> None:
    """Keep what the run's part BY_DAY gave."""
    with whole_month_plans(), connection.cursor() as cursor:
        cursor.execute(SUM_SQL, {"run": run_id, "month": month, "by_day": BY_DAY})


def change_by_day(*, run_id: int, month: date, former: int, days: Collection[date]) -> None:
    """Keep what the part BY_DAY gave of a run that differs from a former one on these days only.

    Raises WholeMonthNeeded where that one kept nothing.
    """
    slices = RunSlice.objects.filter(run_id__in=(run_id, former), part=BY_DAY, day__in=days)
    signs = [
        (pk, 1 if run == run_id else -1) for run, pk in slices.values_list("run_id", "slice_id")
    ]
    values: dict[str, Any] = {
        "run": run_id,
        "former": former,
        "month": month,
        "by_day": BY_DAY,
        "slices": [pk for pk, _ in signs],
        "signs": [sign for _, sign in signs],
    }
    with connection.cursor() as cursor:
        cursor.execute(IS_WHOLE_SQL, values)
        if not cursor.fetchone()[0]:
            raise WholeMonthNeeded("what the former run gave was not kept")
        cursor.execute(CHANGE_SQL, values)


@dataclass
class Given:
    """Cost of one target, in quanta of the run's common scale, and the weakest evidence behind it."""

    effective: int = 0
    billed: int = 0
    listed: int = 0  # of the charges that have a list cost
    rung: int = 0

    def times(self, factor: int) -> Given:
        return Given(self.effective * factor, self.billed * factor, self.listed * factor, self.rung)

    def add(self, other: Given) -> None:
        self.effective += other.effective
        self.billed += other.billed
        self.listed += other.listed
        self.rung = max(self.rung, other.rung)


Costs = dict[Target, Given]
GivenBy = list[tuple[Target, Given]]  # a target may come several times


@dataclass
class Related:
    """Cost by bucket and target of the stages that are written. Customers are left out: a tax line
    split to every customer helps nobody.
    """

    costs: Mapping[Bucket, GivenBy]
    places: int
    _levels: dict[tuple[Level, tuple[str, ...]], Costs] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        *,
        run_id: int,
        month: date,
        parts: Collection[int],
        buckets: Mapping[int, Bucket],
        book: TargetBook,
    ) -> Related:
        """What these parts of the run gave; part BY_DAY as it was kept."""
        others = sorted(part for part in parts if part != BY_DAY)
        slices = RunSlice.objects.filter(run_id=run_id, part__in=others).values_list(
            "slice_id", flat=True
        )
        sql = GIVEN_SQL.format(
            run=int(run_id),
            month=month.isoformat(),
            by_day="true" if BY_DAY in parts else "false",
            parts=id_list(others),
            slices=id_list(slices),
        )
        lines = [line.split("\t") for line in copy_lines(sql)]
        places = max(
            (places_of(text) for cells in lines for text in cells[2:5]), default=LEAST_PLACES
        )
        named = book.by_id({int(cells[1]) for cells in lines})
        by_id = {
            pk: t if t.customer is None else t._replace(customer=None) for pk, t in named.items()
        }
        costs: dict[str, GivenBy] = {}
        for number, target_id, *amounts, rung in lines:
            effective, billed, listed = [quanta_of(text, places) for text in amounts]
            given = Given(effective, billed, listed, int(rung))
            costs.setdefault(number, []).append((by_id[int(target_id)], given))
        return cls({buckets[int(number)]: given for number, given in costs.items()}, places)

    def joined(self, other: Related) -> Related:
        """With what other buckets gave."""
        places = max(self.places, other.places)
        return Related({**self._in(places), **other._in(places)}, places)

    def _in(self, places: int) -> Mapping[Bucket, GivenBy]:
        more = 10 ** (places - self.places)
        if more == 1:
            return self.costs
        return {
            bucket: [(target, given.times(more)) for target, given in by]
            for bucket, by in self.costs.items()
        }

    def summed(
        self, wanted: Callable[[Bucket], bool], named: Callable[[Target], Target | None]
    ) -> Costs:
        """Cost of the wanted buckets by what `named` makes of their targets; None leaves a target
        out.
        """
        named_costs = (
            (name, given)
            for bucket, given_by in self.costs.items()
            if wanted(bucket)
            for target, given in given_by
            if (name := named(target)) is not None
        )
        return by_target(named_costs)

    def at(self, level: Level, of_rules: tuple[str, ...] = ()) -> Costs:
        """Cost at a level by target, of what these rules took; none named: of all. Nothing is
        charged on a tax.
        """
        found = self._levels.get((level, of_rules))
        if found is None:
            own = (
                by for rule, by in self._followed.get(level, ()) if not of_rules or rule in of_rules
            )
            found = self._levels[level, of_rules] = by_target(chain.from_iterable(own))
        return found

    @cached_property
    def _followed(self) -> dict[Level, list[tuple[str, GivenBy]]]:
        """What can be followed at each level, with the rules that took it."""
        found: dict[Level, list[tuple[str, GivenBy]]] = {}
        for bucket, given_by in self.costs.items():
            if bucket.charge_category != TAX:
                for level in levels_of(bucket):
                    found.setdefault(level, []).append((bucket.rule, given_by))
        return found

    def plan(self, bucket: Bucket, book: TargetBook) -> Plan:
        """Shares by effective cost of the narrowest related charges; by billed cost where that
        comes to nothing.

        By list cost where the bucket asks for it and any of them has one.
        """
        drivers = (
            ("listed", "effective", "billed") if bucket.by_list_cost else ("effective", "billed")
        )
        for widened, level in enumerate(followed_levels(bucket)):
            costs = self.at(level, bucket.of_rules)
            for driver in drivers:
                weights = one_sided(
                    {target: getattr(given, driver) for target, given in costs.items()}
                )
                entries = tuple(
                    (book.number(target), weights[target], costs[target].rung)
                    for target in in_order(weights)
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


def by_target(given_by: Iterable[tuple[Target, Given]]) -> Costs:
    """The sum for each target."""
    found: Costs = {}
    for target, given in given_by:
        known = found.get(target)
        if known is None:
            known = found[target] = Given()
        known.add(given)
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
