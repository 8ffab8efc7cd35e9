"""Fixed, even and proportional splits: who gets which part of a charge group, through pools and
within bounds. Pure.

Everything is done on whole weights or fractions; money is cut once, by the plan that comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import NamedTuple, Protocol

from allocation.charges.split_keys import SplitKey
from allocation.organisation.targets import NAMED, Organisation, Owner, Target, at_level, resolve
from allocation.plans.allocation_base import AllocationBase, one_sided
from allocation.plans.drivers import DAY_USAGE, MONTH_USAGE, OTHER_DATA
from allocation.plans.plan import Part, Plan
from allocation.rules.methods import (
    COST,
    EVEN,
    FIXED,
    GPU_SECONDS,
    SEATS,
    SERIES,
    WHOLE,
    Member,
    Split,
)
from allocation.usage.measures import BY_USAGE, Measure, Measures
from allocation.values.names import NO_DRIVER, OVER_EVERY_CAP, ZERO_DRIVER
from allocation.values.split import bounded, smallest_whole


class Book(Protocol):
    """Measures of a month."""

    def __call__(self, split: Split, day: date | None) -> Measures: ...

    def has_usage(self, split: Split, day: date) -> bool: ...


class DriverShares(NamedTuple):
    """Who gets which part, by target in canonical order; weights are whole numbers of 10**-places.

    `left`, on the same scale, is what nobody may take, for `reason`; `through` are the pools that
    led here.
    """

    entries: tuple[tuple[Target, int, int], ...]
    left: int
    driver: str | None
    places: int
    widened: str | None
    reason: str | None
    through: tuple[str, ...] = ()


@dataclass
class Splitter:
    """Plans of one run's splits. `number` makes targets; `base` is what earlier stages gave."""

    organisation: Organisation
    measures: Book
    number: Callable[[Target], int]
    base: AllocationBase = field(default_factory=AllocationBase)
    _plans: dict[tuple[object, ...], Plan] = field(default_factory=dict)

    def plan(self, split_key: SplitKey, day: date) -> Plan:
        split = split_key.split
        if split is None:
            raise LookupError(f"rule {split_key.rule} has no split")
        pools = dict(split_key.pools)
        whole_month = not any(_by_day(one) for one in (split, *pools.values()))
        name = (
            split,
            split_key.model,
            split_key.kind,
            self.organisation.epoch(day),
            None if whole_month else day,
        )
        found = self._plans.get(name)
        if found is None:
            shares = self._shares(split, pools, day)
            found = self._plans[name] = self._plan(shares, split_key)
        return found

    def goes_by(self, split_key: SplitKey, day: date) -> tuple[str, ...]:
        """The data that the plan of a day depends on, beside the split itself and other cost."""
        splits = [split for split in (split_key.split, *dict(split_key.pools).values()) if split]
        return tuple(sorted({data for split in splits if (data := self._data_of(split, day))}))

    def _data_of(self, split: Split, day: date) -> str | None:
        if split.driver in BY_USAGE:
            is_of_day = split.by_day and self.measures.has_usage(split, day)
            return DAY_USAGE if is_of_day else MONTH_USAGE
        return OTHER_DATA if split.driver in (GPU_SECONDS, SERIES, SEATS) else None

    def _plan(self, shares: DriverShares, split_key: SplitKey) -> Plan:
        entries = tuple(
            (self.number(target._replace(model=split_key.model)), weight, rung)
            for target, weight, rung in shares.entries
        )
        parts = []
        shared = sum(weight for _, weight, _ in entries)
        if shared:
            parts.append(Part(shared, split_key.kind or "shared", entries))
        if shares.left:
            nobody = self.number(Target(model=split_key.model, reason=shares.reason))
            parts.append(Part(shares.left, "unallocated", ((nobody, shares.left, 6),)))
        return Plan(
            parts=tuple(parts),
            driver=shares.driver,
            driver_total=shared + shares.left if shares.driver else None,
            places=shares.places,
            widened=shares.widened,
            note=shares.reason
            or ("through " + ", ".join(shares.through) if shares.through else None),
        )

    def _shares(self, split: Split, pools: Mapping[str, Split], day: date) -> DriverShares:
        if split.method == FIXED:
            weights = [member.share or Fraction(0) for member in split.members]
            return self._of_members(split.members, weights, pools, day, "fixed shares")
        if split.method == EVEN:
            members = self._members(split)
            return self._of_members(
                members, [Fraction(1)] * len(members), pools, day, "equal shares"
            )
        return self._proportional(split, day)

    def _members(self, split: Split) -> Sequence[Member]:
        if split.every_team:
            return [
                Member(Owner(team=slug)) for slug in sorted(set(self.organisation.teams.values()))
            ]
        return split.members

    def _of_members(
        self,
        members: Sequence[Member],
        weights: Sequence[Fraction],
        pools: Mapping[str, Split],
        day: date,
        name: str,
    ) -> DriverShares:
        """Members by their weights, each pool replaced by those who share it."""
        if not members:
            return _nobody(NO_DRIVER)
        owners = [(self._target(member.owner, day), member) for member in members]
        parts: list[tuple[Target, Fraction, int]] = []
        left, reason = Fraction(0), None
        through: tuple[str, ...] = ()
        for (target, member), weight in zip(owners, weights, strict=True):
            if not weight:
                continue
            if member.pool is None:
                parts.append((target, weight, NAMED))
                continue
            inner = self._shares(pools[member.pool], pools, day)
            total = sum(inner_weight for _, inner_weight, _ in inner.entries) + inner.left
            parts += [
                (of, weight * inner_weight / total, rung)
                for of, inner_weight, rung in inner.entries
            ]
            left += weight * inner.left / total
            reason = reason or inner.reason
            through += (f"pool {member.pool}", *inner.through)
            name = inner.driver or name if len(members) == 1 else name
        entries, rest = _whole(parts, left)
        return DriverShares(entries, rest, name, 0, None, reason, through)

    def _target(self, owner: Owner, day: date) -> Target:
        return resolve(self.organisation, owner, model=None, day=day)

    def _proportional(self, split: Split, day: date) -> DriverShares:
        measures, widened = self._measured(split, day)
        members = self._members(split)
        found = dict(measures.by_target)
        if members:
            found = {
                self._target(member.owner, day): self._of_member(measures, member, day)
                for member in members
            }
        targets = sorted(found, key=Target.order)
        weights = [found[target].weight for target in targets]
        if not sum(weights):
            return _nobody(ZERO_DRIVER if measures.by_target else NO_DRIVER)
        if split.min_share is None and split.max_share is None:
            entries = tuple(
                (target, found[target].weight, found[target].rung) for target in targets
            )
            entries = tuple(entry for entry in entries if entry[1])
            return DriverShares(entries, 0, measures.name, measures.places, widened, None)
        least, most = (
            (split.min_share or Fraction(0)) / WHOLE,
            (WHOLE if split.max_share is None else split.max_share) / WHOLE,
        )
        if not members:  # a minimum is for those who took part
            targets = [target for target in targets if found[target].weight]
        shares, left = bounded(
            [Fraction(found[target].weight) for target in targets], least=least, most=most
        )
        parts = [
            (target, share, found[target].rung)
            for target, share in zip(targets, shares, strict=True)
        ]
        entries, rest = _whole(parts, left)
        reason = OVER_EVERY_CAP if rest else None
        return DriverShares(entries, rest, f"{measures.name} within bounds", 0, widened, reason)

    def _of_member(self, measures: Measures, member: Member, day: date) -> Measure:
        """What the driver counts for everything that is part of this member: a team's features
        count for the team.
        """
        owner = member.owner
        team = self.organisation.team(owner.team, day) if owner.team else None
        feature = self.organisation.feature(owner.feature, day) if owner.feature else None
        own = [
            measure
            for target, measure in measures.by_target.items()
            if (owner.team is None or target.team == team)
            and (feature is None or target.feature == feature)
        ]
        return Measure(
            sum(measure.weight for measure in own),
            max((measure.rung for measure in own), default=NAMED),
        )

    def _measured(self, split: Split, day: date) -> tuple[Measures, str | None]:
        """The day's driver; the month's where the day has none and the split goes by the day."""
        if split.driver == COST:
            return self._costs(split), None
        if split.by_day:
            found = self.measures(split, day)
            if found.by_target:
                return found, None
            return self.measures(split, None), "month"
        return self.measures(split, None), None

    def _costs(self, split: Split) -> Measures:
        """What targets were given by the rules named, or by all of stage 0."""

        def wanted(split_key: SplitKey) -> bool:
            return split_key.rule in split.of_rules if split.of_rules else split_key.stage == 0

        costs = self.base.summed(wanted, lambda target: at_level(target, split.level))
        weights = one_sided({target: given.effective for target, given in costs.items()})
        return Measures(
            {target: Measure(weight, costs[target].rung) for target, weight in weights.items()},
            self.base.places,
            "effective cost",
        )


def _by_day(split: Split) -> bool:
    return split.driver is not None and split.by_day


def _nobody(reason: str) -> DriverShares:
    return DriverShares((), 1, None, 0, None, reason)


def _whole(
    parts: Sequence[tuple[Target, Fraction, int]], left: Fraction
) -> tuple[tuple[tuple[Target, int, int], ...], int]:
    """Whole weights in canonical order, each target once with the weakest rung behind it; zeros are
    left out.
    """
    merged: dict[Target, tuple[Fraction, int]] = {}
    for target, share, rung in parts:
        before = merged.get(target, (Fraction(0), 0))
        merged[target] = (before[0] + share, max(before[1], rung))
    targets = [target for target in sorted(merged, key=Target.order) if merged[target][0]]
    *weights, rest = smallest_whole([*(merged[target][0] for target in targets), left])
    return tuple(
        (target, weight, merged[target][1]) for target, weight in zip(targets, weights, strict=True)
    ), rest
