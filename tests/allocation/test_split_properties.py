"""Shares within bounds, whole weights, and splits through pools: properties, and an independent
reckoning of both.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import date
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from allocation.charges.split_keys import Bucket, SourceSettings
from allocation.organisation.targets import Organisation, Owner, Target, resolve
from allocation.plans.gpu import GpuIndex, GpuLine, gpu_plan
from allocation.plans.plan import Plan
from allocation.plans.shared import Splitter
from allocation.rules.methods import Split, parse_split
from allocation.usage.measures import Measure, Measures
from allocation.values.split import bounded, smallest_whole, split_quanta, whole_weights
from tests.allocation.examples import times
from tests.allocation.months import FIRST, LAST, OCTOBER, SECOND, TEAMS, made_split, made_up

MANY = times(5)
WEIGHTS = st.lists(st.fractions(0, 10**6, max_denominator=60), min_size=1, max_size=12).filter(
    lambda w: sum(w) > 0
)
PERCENT = st.fractions(0, 1, max_denominator=200)
WHOLE = st.lists(st.integers(0, 10**15), min_size=1, max_size=20).filter(lambda w: sum(w) > 0)


@given(WEIGHTS, PERCENT, PERCENT)
@MANY
def test_shares_keep_within_their_bounds_and_add_up_to_the_whole(
    weights: list[Fraction], one: Fraction, other: Fraction
) -> None:
    least, most = sorted((one, other))

    shares, left = bounded(weights, least=least, most=most)

    floor = min(
        least, Fraction(1, len(weights))
    )  # a minimum that cannot be given to everyone makes the shares equal
    assert sum(shares) + left == 1
    assert left >= 0
    for weight, share in zip(weights, shares, strict=True):
        assert floor <= share <= max(most, floor)
        if not weight:
            assert share == floor
        if left and weight:
            assert share == max(most, floor)
    free = [(w, s) for w, s in zip(weights, shares, strict=True) if w and floor < s < most]
    assert len({share / weight for weight, share in free}) <= 1
    ordered = [share for _, share in sorted(zip(weights, shares, strict=True))]
    assert ordered == sorted(ordered)


@given(
    WEIGHTS,
    PERCENT,
    PERCENT,
    st.randoms(use_true_random=True),
    st.fractions(Fraction(1, 1000), 1000),
)
def test_bounds_know_neither_order_nor_scale(
    weights: list[Fraction], one: Fraction, other: Fraction, chance: random.Random, scale: Fraction
) -> None:
    least, most = sorted((one, other))
    shares, left = bounded(weights, least=least, most=most)
    order = chance.sample(range(len(weights)), len(weights))

    moved, moved_left = bounded([weights[n] * scale for n in order], least=least, most=most)

    assert (moved, moved_left) == ([shares[n] for n in order], left)


@pytest.mark.parametrize(
    ("weights", "least", "most", "expected", "left"),
    [
        ((8, 1, 1), "0", "1/2", ("1/2", "1/4", "1/4"), "0"),
        ((8, 1, 1), "1/5", "1", ("3/5", "1/5", "1/5"), "0"),
        ((8, 1, 1), "0", "3/10", ("3/10", "3/10", "3/10"), "1/10"),
        ((8, 0), "0", "1/2", ("1/2", "0"), "1/2"),
        ((8, 0), "1/10", "1/2", ("1/2", "1/10"), "2/5"),
        ((8, 0), "1/10", "1", ("9/10", "1/10"), "0"),
        ((1, 2, 3, 4), "1/2", "1", ("1/4",) * 4, "0"),
        ((6, 3, 1), "1/5", "1/2", ("1/2", "3/10", "1/5"), "0"),
        ((1, 1), "0", "1/2", ("1/2", "1/2"), "0"),
        ((5,), "0", "1", ("1",), "0"),
        ((Fraction(1, 8), Fraction(3, 8)), "0", "1", ("1/4", "3/4"), "0"),
    ],
)
def test_bounds_by_hand(
    weights: tuple[int | Fraction, ...], least: str, most: str, expected: tuple[str, ...], left: str
) -> None:
    found = bounded(list(map(Fraction, weights)), least=Fraction(least), most=Fraction(most))

    assert found == (list(map(Fraction, expected)), Fraction(left))


def test_nothing_to_weigh_by_is_an_error_of_the_caller() -> None:
    for weights in ([Fraction(0)], []):
        with pytest.raises(ValueError, match=r"^the weights add up to nothing$"):
            bounded(weights, least=Fraction(0), most=Fraction(1))
    with pytest.raises(ValueError, match=r"^the weights add up to nothing$"):
        split_quanta(1, [0, 0])


@given(st.lists(st.fractions(0, 1000), min_size=1, max_size=10), st.integers(1, 1000))
def test_the_smallest_whole_numbers_keep_proportions_and_know_no_scale(
    fractions: list[Fraction], scale: int
) -> None:
    whole = smallest_whole(fractions)

    assert smallest_whole([fraction * scale for fraction in fractions]) == whole
    assert all(type(number) is int for number in whole)
    if sum(fractions):
        assert [Fraction(number, sum(whole)) for number in whole] == [
            part / sum(fractions) for part in fractions
        ]
        assert not any(all(number % prime == 0 for number in whole) for prime in (2, 3, 5, 7, 997))


@given(st.integers(-(10**32), 10**32), WHOLE)
@MANY
def test_whole_quanta_are_cut_fairly_in_order_and_scale(quanta: int, weights: list[int]) -> None:
    shares, total = split_quanta(quanta, weights), sum(weights)

    assert sum(shares) == quanta
    assert [-share for share in shares] == split_quanta(-quanta, weights)
    assert shares == split_quanta(quanta, [7 * weight for weight in weights])
    for weight, share in zip(weights, shares, strict=True):
        assert abs(Fraction(quanta * weight, total) - share) < 1
        assert weight or not share
    sign = 1 if quanta >= 0 else -1
    extra = [
        share * sign - abs(quanta) * w // total for w, share in zip(weights, shares, strict=True)
    ]
    remainders = [abs(quanta) * w % total for w in weights]
    given_one = [(-remainders[n], n) for n, more in enumerate(extra) if more]
    not_given = [(-remainders[n], n) for n, more in enumerate(extra) if not more]
    assert set(extra) <= {0, 1}
    assert (
        not given_one or not not_given or max(given_one) < min(not_given)
    )  # largest remainder, then first


@given(
    st.lists(
        st.one_of(st.integers(0, 10**9), st.fractions(0, 1000), st.decimals(0, 1000, places=4)),
        min_size=1,
    )
)
def test_whole_weights_keep_proportions_of_any_numbers(weights: list[int | Fraction]) -> None:
    whole, exact = whole_weights(weights), [Fraction(weight) for weight in weights]

    assert [number * sum(exact) for number in whole] == [
        fraction * sum(whole) for fraction in exact
    ]
    assert bool(sum(whole)) == bool(sum(exact))
    assert all(type(number) is int for number in whole)


# ---------------------------------------------------------------- splits and pools, reckoned another way


SOURCE = SourceSettings(1, "cloud", True, "auto")
Reckoned = tuple[dict[Target, Fraction], Fraction]


def bucket_with(split: Split, pools: dict[str, Split], *, model: str | None = None) -> Bucket:
    return Bucket(SOURCE, "USD", "r", split.method, "ai", None, None, "Usage", None, None, model=model, split=split,
                  pools=tuple(pools.items()))  # fmt: skip


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
        shares, left = bounded(list(kept.values()), least=(split.min_share or Fraction(0)) / 100,
                               most=(Fraction(100) if split.max_share is None else split.max_share) / 100)  # fmt: skip
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

    plan = Splitter(tree, readings, number).plan(bucket_with(split, pools), day)

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
    assert OCTOBER <= FIRST
