"""Splits through pools, and nodes of GPUs: what enters is what comes out, by an independent
reckoning.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import date
from fractions import Fraction

from hypothesis import assume, given
from hypothesis import strategies as st

from allocation.charges.split_keys import SourceSettings, SplitKey
from allocation.organisation.targets import Organisation, Owner, Target, resolve
from allocation.plans.capacity import GpuLine, gpu_plan
from allocation.plans.plan import Plan
from allocation.plans.shared import Splitter
from allocation.rules.methods import Split, parse_split
from allocation.usage.measures import GpuIndex, Measure, Measures
from allocation.values.split import bounded
from tests.allocation.examples import times
from tests.allocation.months import FIRST, LAST, SECOND, TEAMS, made_split, made_up

MANY = times(5)
SOURCE = SourceSettings(1, "cloud", "strict", "auto")
Reckoned = tuple[dict[Target, Fraction], Fraction]


def key_with(split: Split, pools: dict[str, Split], *, model: str | None = None) -> SplitKey:
    return SplitKey(
        SOURCE,
        "USD",
        "r",
        split.method,
        "ai",
        None,
        None,
        "Usage",
        None,
        None,
        model=model,
        split=split,
        pools=tuple(pools.items()),
    )


class Readings:
    """A driver of every kind, by day and month, that counts the same for all splits."""

    def __init__(self, chance: random.Random, organisation: Organisation) -> None:
        self.days: dict[date | None, dict[Target, Measure]] = {}
        for day in (FIRST, SECOND, None):
            for _ in range(chance.choice((0, 2, 5))):
                team = organisation.team(chance.choice(TEAMS))
                target = Target(team=team) if team else Target(reason="unknown team")
                measure = Measure(chance.choice((0, 1, 3, 10**12, 7)), chance.randint(1, 4))
                self.days.setdefault(day, {})[target] = measure

    def __call__(self, split: Split, day: date | None) -> Measures:
        return Measures(self.days.get(day, {}), 0, "things")

    def has_usage(self, split: Split, day: date) -> bool:
        return day in self.days


def reckoned(
    split: Split, pools: dict[str, Split], tree: Organisation, readings: Readings, day: date
) -> Reckoned:
    """The parts of one by target, and what nobody gets: as the documentation says it, without whole
    weights.
    """
    members = list(split.members)
    if split.every_team:
        members = [
            parse_split("even", {"among": [{"team": slug}]}).members[0]
            for slug in set(tree.teams.values())
        ]
    if split.method == "proportional":
        by_day = readings.days.get(day, {}) if split.by_day else {}
        found = {t: Fraction(m.weight) for t, m in (by_day or readings.days.get(None, {})).items()}
        if members:
            found = {
                resolve(tree, m.owner, model=None, day=day): sum(
                    (
                        weight
                        for target, weight in found.items()
                        if (not m.owner.team or target.team == tree.team(m.owner.team))
                        and (not m.owner.feature or target.feature == m.owner.feature)
                    ),
                    Fraction(0),
                )
                for m in members
            }
        if not sum(found.values()):
            return {}, Fraction(1)
        if split.min_share is None and split.max_share is None:
            return {t: w / sum(found.values()) for t, w in found.items() if w}, Fraction(0)
        kept = {t: w for t, w in found.items() if members or w}
        shares, left = bounded(
            list(kept.values()),
            least=(split.min_share or Fraction(0)) / 100,
            most=(Fraction(100) if split.max_share is None else split.max_share) / 100,
        )
        return {t: share for t, share in zip(kept, shares, strict=True) if share}, left
    parts: dict[Target, Fraction] = {}
    left = Fraction(0 if members else 1)
    for member in members:
        part = member.share / 100 if member.share is not None else Fraction(1, len(members))
        if member.pool is None:
            inner: Reckoned = (
                {resolve(tree, member.owner, model=None, day=day): Fraction(1)},
                Fraction(0),
            )
        else:
            inner = reckoned(pools[member.pool], pools, tree, readings, day)
        for target, share in inner[0].items():
            parts[target] = parts.get(target, Fraction(0)) + part * share
        left += part * inner[1]
    return {target: part for target, part in parts.items() if part}, left


def parts_of(plan: Plan, targets: list[Target]) -> Reckoned:
    total = sum(part.weight for part in plan.parts)
    found: dict[Target, Fraction] = {}
    left = Fraction(0)
    for part in plan.parts:
        whole = Fraction(part.weight, total)
        if part.kind == "unallocated":
            left += whole
            continue
        for number, weight, _ in part.entries:
            among = sum(w for _, w, _ in part.entries)
            assert targets[number] not in found
            found[targets[number]] = whole * weight / among
    return found, left


@given(st.integers(0, 2**40))
@MANY
def test_fault_074_what_enters_a_pool_is_what_its_members_get(seed: int) -> None:
    chance = random.Random(seed)
    tree = made_up(seed, 1).organisation
    pools: dict[str, Split] = {}
    for n in range(3):
        item = made_split(chance, list(pools), ["r"])
        pools[f"pool {n}"] = parse_split(item["method"], item)
    item = made_split(chance, list(pools), ["r"])
    split, readings, day = (
        parse_split(item["method"], item),
        Readings(chance, tree),
        chance.choice((FIRST, LAST)),
    )
    assume("cost" not in {one.driver for one in (split, *pools.values())})
    targets: list[Target] = []

    def number(target: Target) -> int:
        if target not in targets:
            targets.append(target)
        return targets.index(target)

    plan = Splitter(tree, readings, number).plan(key_with(split, pools), day)

    expected, left = reckoned(split, pools, tree, readings, day)
    assert parts_of(plan, targets) == (expected, left)
    assert sum(expected.values()) + left == 1


@given(st.integers(0, 2**40))
def test_fault_074_a_nodes_cost_is_what_was_booked_and_what_stood_idle(seed: int) -> None:
    chance = random.Random(seed)
    month = made_up(seed, 6)
    owners: list[Owner] = []

    def number(owner: Owner, day: date) -> int:
        if owner not in owners:
            owners.append(owner)
        return owners.index(owner)

    index = GpuIndex.of(month.gpu, nodes=["node-1"], number=number)
    shuffled = GpuIndex.of(
        chance.sample(month.gpu, len(month.gpu)), nodes=["node-1"], number=number
    )
    owner = chance.choice((None, 50))
    line = GpuLine("node-1", owner, 4, idle=51, nobody=52)
    plan = gpu_plan(line, FIRST, index, list(range(60)))

    assert plan == gpu_plan(line, FIRST, shuffled, list(range(60)))
    rows = [row for row in month.gpu if row.node == "node-1"]
    today = [row for row in rows if row.day == FIRST]
    booked = sum(row.booked for row in today if row.owner)
    capacity = sum(row.capacity or 0 for row in today)
    if booked or capacity:
        assert plan.widened is None
        weights = Counter(
            {part.kind: Fraction(part.weight, 10**index.places) for part in plan.parts}
        )
        assert weights["shared"] == booked
        assert weights["idle"] + weights["unallocated"] == max(capacity - booked, 0)
        assert plan.driver_total is not None
        assert Fraction(plan.driver_total, 10**index.places) == max(booked, capacity)
    elif not any(row.booked or row.capacity for row in rows):
        assert plan.note == "no GPU usage"
    else:
        assert plan.widened == "month" or plan.note == "no GPU usage"
