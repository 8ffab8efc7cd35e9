"""Reserved throughput: who took how much of it, and whose the rest is."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from allocation.plans.capacity import CapacityJoin, capacity_join, capacity_plan, weight_of
from allocation.plans.plan import Part, Plan
from allocation.plans.traced import TracedLine
from allocation.rules.methods import Capacity, parse_capacity
from allocation.usage.index import Usage, UsageIndex
from allocation.usage.keys import Key, reserved_key
from tests.allocation.calls import DAY, GPT, MINI, NEXT, index_of, tokens, used

OWNER, NOBODY = 8, 9
KEY = reserved_key("openai", "proj-1", "gpt-4o")
LINE = TracedLine(KEY, None, frozenset(), "auto", OWNER, 4, NOBODY)
UNKNOWN = parse_capacity({"weights": {"input": 1, "output": 4, "cached": "0.5"}})
KNOWN = parse_capacity({"weights": {"input": 1, "output": 4}, "tokens_per_unit": 10})
MILLION = 10**6  # weights are millionths


def join(
    index: UsageIndex, capacity: Capacity = KNOWN, units: int | None = 3, **line: Any
) -> CapacityJoin:
    known = None if units is None else Fraction(units)
    return capacity_join(replace(LINE, **line), capacity, DAY, index.facts, units=known)


def plan(index: UsageIndex, capacity: Capacity = KNOWN, units: int | None = 3, **line: Any) -> Plan:
    found = join(index, capacity, units, **line)
    return capacity_plan(replace(LINE, **line), capacity, found, index)


def test_tokens_take_as_much_as_their_class_weighs() -> None:
    row = tokens(input_uncached=1, cache_read=20, output_text=300, reasoning=1000)

    assert weight_of(UNKNOWN, row) == (1 + 10 + 4 * 1300) * MILLION
    assert weight_of(KNOWN, row) == (1 + 20 + 4 * 1300) * MILLION  # cached: as input


def test_what_callers_did_not_take_stays_with_who_reserved_it() -> None:
    index = index_of({KEY: {DAY: [used(1, 10), used(2, 2, column="output_text", rung=2)]}})

    found = plan(index)

    taken = ((1, 10 * MILLION, 1), (2, 8 * MILLION, 2))
    assert found == Plan(
        parts=(
            Part(18 * MILLION, "shared", taken),
            Part(12 * MILLION, "idle", ((OWNER, 1, 4),)),
        ),
        driver="weighted tokens",
        driver_total=30 * MILLION,
        places=6,
        note="unused capacity",
    )
    assert plan(index, owner=None).parts[1] == Part(12 * MILLION, "unallocated", ((NOBODY, 1, 6),))


@pytest.mark.parametrize(
    ("count", "note", "total"),
    [(29, "unused capacity", 30), (30, None, 30), (31, "over capacity", 31)],
)
def test_nothing_is_idle_of_a_capacity_that_is_taken(
    count: int, note: str | None, total: int
) -> None:
    found = plan(index_of({KEY: {DAY: [used(1, count)]}}))

    assert (found.note, found.driver_total) == (note, total * MILLION)
    assert len(found.parts) == 1 + (count == 29)


def test_where_nobody_says_what_it_can_serve_its_callers_carry_it_all() -> None:
    index = index_of({KEY: {DAY: [used(1, 10)]}})

    for found in (plan(index, UNKNOWN), plan(index, KNOWN, None)):
        assert found.parts == (Part(10 * MILLION, "shared", ((1, 10 * MILLION, 1),)),)
        assert (found.note, found.widened) == (None, None)


def test_a_day_without_calls_is_idle_where_the_capacity_is_known_and_else_the_months() -> None:
    index = index_of({KEY: {NEXT: [used(1, 10)]}})

    idle, shared = plan(index), plan(index, UNKNOWN)

    assert idle.parts == (Part(30 * MILLION, "idle", ((OWNER, 1, 4),)),)
    assert shared.parts == (Part(10 * MILLION, "shared", ((1, 10 * MILLION, 1),)),)
    assert (idle.widened, shared.widened) == (None, "month")
    assert join(index) == CapacityJoin(KEY, DAY, None, 30 * MILLION)
    assert join(index, UNKNOWN) == CapacityJoin(KEY, None, "month")
    # Units of nothing can serve nothing, so that the callers of the month carry it.
    assert join(index, KNOWN, 0) == CapacityJoin(None)


def test_calls_of_any_tier_count_where_none_says_that_it_was_reserved() -> None:
    plain = {GPT: {DAY: [used(1, 10)]}}
    both = {**plain, KEY: {NEXT: [used(2, 1)]}}

    assert plan(index_of(plain)).widened == "any tier"
    assert plan(index_of(plain)).parts[0].entries == ((1, 10 * MILLION, 1),)
    assert join(index_of({GPT: {NEXT: [used(1, 10)]}}), UNKNOWN).widened == "any tier, month"
    assert plan(index_of(both)).parts[0].kind == "idle"  # the month knows reserved calls


def test_a_meter_that_names_no_model_is_taken_by_calls_of_all() -> None:
    other = KEY._replace(model="o1")
    index = index_of({KEY: {DAY: [used(1, 10)]}, other: {DAY: [used(2, 5), used(1, 1)]}})

    found = plan(index, key=reserved_key("openai", "proj-1", None))

    assert found.parts[0].entries == ((1, 11 * MILLION, 1), (2, 5 * MILLION, 1))


@pytest.mark.parametrize("key", [MINI, GPT._replace(project="proj-2")])
def test_without_any_calls_it_is_all_of_who_reserved_it(key: Key) -> None:
    found = plan(index_of({key: {DAY: [used(1, 10)]}}))

    assert found == Plan(parts=(Part(1, "idle", ((OWNER, 1, 4),)),), note="no traces")
    assert plan(index_of({}), owner=None).parts == (Part(1, "unallocated", ((NOBODY, 1, 6),)),)


def test_calls_that_take_nothing_are_not_among_those_who_took() -> None:
    free = parse_capacity({"weights": {"input": 0, "output": 1}, "tokens_per_unit": 10})
    rows = [used(1, 10), used(2, 3, column="output_text"), Usage(3, 1, tokens(), None)]

    found = plan(index_of({KEY: {DAY: rows}}), free)

    assert found.parts[0].entries == ((2, 3 * MILLION, 1),)


def test_fractions_of_tokens_are_weighed_and_served_in_their_own_places() -> None:
    found = plan(index_of({KEY: {DAY: [used(1, 250)]}}, places=1))

    assert found.parts[0] == Part(250 * MILLION, "shared", ((1, 250 * MILLION, 1),))
    assert found.parts[1].weight == 50 * MILLION
    assert (found.places, found.driver_total) == (7, 300 * MILLION)
