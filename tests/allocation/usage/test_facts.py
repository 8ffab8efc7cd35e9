"""Sums of a month's usage by key and day, and the keys that stand for several others."""

from __future__ import annotations

import random
from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocation.catalogue.canonical import TOKEN_COLUMNS
from allocation.usage.facts import (
    NO_USAGE,
    UsageFacts,
    UsageSums,
    bits_of,
    number_of_calls,
    summed,
)
from allocation.usage.index import Usage
from allocation.usage.keys import ANY_PROJECT, Key, reserved_key
from tests.allocation.calls import DAY, GPT, LATER, MINI, NEXT, index_of, tokens, used

EAST, WEST = GPT._replace(region="east"), GPT._replace(region="west")
OTHER = GPT._replace(project="proj-2")
INPUT, CACHE_READ, OUTPUT = (0,), (1,), (4,)


def sums(count: int = 0, *, cost: int | None = 0, variance: tuple[int, int] = (0, 0)) -> UsageSums:
    """Of one call with so many input tokens."""
    counts = tokens(input_uncached=count)
    return UsageSums(counts, {bits_of(counts): 1}, cost, variance)


def facts_of(days: dict[Key, dict[date, int]], *, places: int = 0) -> UsageFacts:
    """Of one call with so many input tokens, by key and day."""
    parts = [(key, day, sums(n)) for key, of_key in days.items() for day, n in of_key.items()]
    return UsageFacts.of(parts, places)


def counted(facts: UsageFacts, keys: list[Key]) -> list[int]:
    return [facts.on(key, None).of(INPUT) for key in keys]


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("12", 12), ("2.50", Fraction(5, 2)), ("-3", Fraction(-3))]
)
def test_calls_are_whole_where_they_can_be(text: str, number: int | Fraction) -> None:
    found = number_of_calls(text)

    assert (found, type(found)) == (number, type(number))


def test_columns_are_bits_of_a_number() -> None:
    assert bits_of(tokens()) == 0
    assert bits_of(tokens(input_uncached=3, reasoning=1, output_image=9)) == 1 + 2**5 + 2**9


def test_calls_are_told_apart_by_the_columns_in_which_they_have_tokens() -> None:
    """A call without usage of a class says nothing about that class."""
    rows = [
        Usage(1, 1, tokens(input_uncached=5, output_text=1), None, calls=3),
        Usage(2, 1, tokens(output_text=2), None, calls=Fraction(1, 2)),
        Usage(3, 1, tokens(), None, calls=100),
    ]
    found = index_of({GPT: {DAY: rows, NEXT: [rows[1]]}}).facts.on(GPT, DAY)

    assert found.calls == {17: 3, 16: Fraction(1, 2), 0: 100}
    assert [found.calls_with(columns) for columns in (INPUT, OUTPUT, CACHE_READ)] == [3, 3.5, 0]
    assert found.calls_with((0, 4)) == Fraction(7, 2)
    assert (found.of(INPUT), found.of((0, 4)), found.of(CACHE_READ)) == (5, 8, 0)


def test_one_unpriced_part_leaves_the_sum_without_a_price() -> None:
    assert summed([sums(1, cost=3), sums(2, cost=4)]).list_cost == 7
    assert summed([sums(1, cost=3), sums(2, cost=None)]).list_cost is None
    assert Usage(1, 1, tokens(input_uncached=1), None).sums().list_cost is None
    assert Usage(1, 1, tokens(), None).sums().list_cost == 0  # what has no tokens needs no price
    assert Usage(1, 1, tokens(input_uncached=1), 5).sums().list_cost == 5


def test_parts_are_added_up_whatever_they_are() -> None:
    one, other = sums(1, cost=3, variance=(1, 20)), sums(10, cost=4, variance=(300, 4000))

    assert summed([one, other]) == UsageSums(tokens(input_uncached=11), {1: 2}, 7, (301, 4020))
    assert summed([one]) == one
    assert summed([]) == NO_USAGE == UsageSums(tokens(), {}, 0, (0, 0))
    assert summed([one, sums(0)]).calls == {1: 1, 0: 1}


def test_the_month_is_all_days_and_a_day_without_usage_has_none() -> None:
    facts = facts_of({GPT: {DAY: 3, NEXT: 40}, MINI: {LATER: 5}})

    assert facts.on(GPT, DAY) == sums(3)
    assert facts.on(GPT, LATER) == NO_USAGE
    assert facts.on(GPT, None).of(INPUT) == 43
    assert facts.on(GPT, None) is facts.on(GPT, None)
    assert facts.on(GPT._replace(model="o1"), None) == NO_USAGE


def test_the_same_key_and_day_may_come_several_times() -> None:
    facts = UsageFacts.of([(GPT, DAY, sums(3)), (MINI, DAY, sums(9)), (GPT, DAY, sums(4))], 0)

    assert facts.on(GPT, DAY) == UsageSums(tokens(input_uncached=7), {1: 2}, 0)


def test_any_project_stands_for_all_of_them_and_none_for_those_that_name_none() -> None:
    nameless = GPT._replace(project=None)
    days = {GPT: {DAY: 1}, OTHER: {DAY: 20}, nameless: {NEXT: 300}, MINI: {DAY: 4000}}
    facts = facts_of(days)

    everything = GPT._replace(project=ANY_PROJECT)

    assert counted(facts, [everything, GPT, OTHER, nameless]) == [321, 1, 20, 300]
    assert list(facts.keys_of(everything)) == [GPT, OTHER, nameless]
    assert facts.on(everything, DAY).of(INPUT) == 21


def test_a_key_without_a_region_stands_for_all_regions() -> None:
    facts = facts_of({GPT: {DAY: 1}, EAST: {DAY: 20}, WEST: {DAY: 300}, OTHER: {DAY: 4000}})

    assert facts.has_regions
    assert counted(facts, [GPT, EAST, WEST]) == [321, 20, 300]
    assert list(facts.keys_of(GPT._replace(project=ANY_PROJECT))) == [GPT, EAST, WEST, OTHER]
    assert counted(facts, [EAST._replace(project=ANY_PROJECT)]) == [20]
    assert not facts_of({GPT: {DAY: 1}}).has_regions


def test_batch_and_reserved_calls_are_keys_of_their_own() -> None:
    batch, reserved = GPT._replace(is_batch=True), GPT._replace(is_reserved=True)
    facts = facts_of({GPT: {DAY: 1}, batch: {DAY: 20}, reserved: {DAY: 300}})

    assert counted(facts, [GPT, batch, reserved]) == [1, 20, 300]


def test_capacity_that_names_no_model_is_taken_by_all_of_its_tier() -> None:
    reserved = GPT._replace(is_reserved=True)
    days = {
        GPT: {DAY: 1},
        reserved: {DAY: 20},
        MINI._replace(is_reserved=True): {NEXT: 300},
        reserved._replace(is_batch=True): {DAY: 4000},
        OTHER._replace(is_reserved=True): {DAY: 50_000},
        reserved._replace(provider="anthropic"): {DAY: 600_000},
    }
    facts = facts_of(days)

    def taken(key: Key, day: date | None = None) -> int:
        return facts.capacity_on(key, day).of(INPUT)

    nameless = reserved_key("openai", "proj-1", None)
    assert taken(reserved) == 20
    assert (taken(nameless), taken(nameless, DAY)) == (320, 20)
    assert taken(nameless._replace(is_reserved=False)) == 1
    assert taken(nameless._replace(project=ANY_PROJECT)) == 50_320
    assert set(facts.of_capacity(nameless)) == {DAY, NEXT}
    # The two are asked for apart, however alike their keys are.
    assert facts.on(nameless, None) == NO_USAGE
    assert taken(nameless) == 320


def test_a_provider_is_every_model_and_tier_of_it_in_the_project() -> None:
    batch = MINI._replace(is_batch=True)
    facts = facts_of({GPT: {DAY: 1}, batch: {NEXT: 20}, EAST: {DAY: 300}, OTHER: {DAY: 4000}})

    assert facts.provider_on(GPT, None).of(INPUT) == 321
    assert facts.provider_on(GPT, NEXT).of(INPUT) == 20
    assert facts.provider_on(MINI._replace(project=ANY_PROJECT), None).of(INPUT) == 4321
    assert facts.provider_on(GPT._replace(provider="anthropic"), None) == NO_USAGE


def test_tokens_are_in_their_own_places() -> None:
    facts = facts_of({GPT: {DAY: 25, NEXT: 100}}, places=2)

    assert facts.tokens(GPT, DAY, INPUT) == Fraction(1, 4)
    assert facts.tokens(GPT, None, INPUT) == Fraction(5, 4)
    assert facts.tokens(GPT, DAY, OUTPUT) == 0


def test_a_class_has_the_relative_variance_of_its_side() -> None:
    row = Usage(
        1,
        1,
        tokens(input_uncached=30, cache_read=10, output_text=4, reasoning=1),
        None,
        variance=(80, 100),
    )
    facts = index_of({GPT: {DAY: [row], NEXT: [used(1, 40)]}}).facts

    assert facts.relative_variance(GPT, DAY, INPUT) == Fraction(80, 40**2)
    assert facts.relative_variance(GPT, DAY, CACHE_READ) == Fraction(80, 40**2)
    assert facts.relative_variance(GPT, DAY, OUTPUT) == Fraction(100, 5**2)
    assert facts.relative_variance(GPT, DAY, (0, 4)) == Fraction(180, 45**2)
    assert facts.relative_variance(GPT, NEXT, INPUT) == 0
    assert facts.relative_variance(GPT, None, INPUT) == Fraction(80, 80**2)
    assert facts.relative_variance(MINI, None, INPUT) == 0
    fine = index_of({GPT: {DAY: [row]}}, places=1).facts
    assert fine.relative_variance(GPT, DAY, INPUT) == Fraction(80, 4**2)


def test_a_side_without_tokens_has_no_variance() -> None:
    """However that came to be: there is nothing to be relative to."""
    facts = index_of({GPT: {DAY: [used(1, 4)._replace(variance=(0, 9))]}}).facts

    assert facts.relative_variance(GPT, DAY, OUTPUT) == 0
    assert facts.relative_variance(GPT, DAY, INPUT) == 0
    assert facts.is_sampled
    assert not index_of({GPT: {DAY: [used(1, 4)]}}).facts.is_sampled


KEYS = [GPT, MINI, OTHER, EAST, WEST, GPT._replace(project=None)]


@given(st.integers(0, 2**40))
def test_facts_know_no_order_and_every_view_is_a_sum_of_them(seed: int) -> None:
    chance = random.Random(seed)
    rows = [
        (
            chance.choice(KEYS),
            chance.choice((DAY, NEXT, LATER)),
            Usage(
                chance.randrange(5),
                1,
                tuple(chance.choice((0, 0, 1, 10**12)) for _ in TOKEN_COLUMNS),
                chance.choice((None, 0, 7)),
                (chance.choice((0, 5)), 0),
                chance.choice((0, 2, Fraction(3, 2))),
            ),
        )
        for _ in range(chance.randrange(12))
    ]
    facts = UsageFacts.of([(key, day, row.sums()) for key, day, row in rows], 0)
    mixed = chance.sample(rows, len(rows))

    again = UsageFacts.of([(key, day, row.sums()) for key, day, row in mixed], 0)

    assert again.days == facts.days
    for key in [*KEYS, GPT._replace(project=ANY_PROJECT), MINI._replace(model=None)]:
        wide = [facts.on(key, day) for day in facts.of_key(key)]
        assert facts.on(key, None) == summed(wide)
        narrow = [facts.days[own][day] for own in facts.keys_of(key) for day in facts.days[own]]
        assert facts.on(key, None).tokens == summed(narrow).tokens
        assert facts.on(key, None).calls_with(INPUT) == summed(narrow).calls_with(INPUT)
