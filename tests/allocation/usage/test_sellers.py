"""Whose bill has the calls that name no seller, or one that sent none."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as some

from allocation.usage.keys import ALL_CALLS, Key, PartOfCalls
from allocation.usage.sellers import Named, Quantity, Sellers, Shares

SONNET = "claude-sonnet-4-5"
FRAMEWORK: Named = ("strands-agents", SONNET)
OWN: Named = ("anthropic", SONNET)
CLOUD: Named = ("aws.bedrock", SONNET)


def tokens(count: int) -> Quantity:
    return Quantity(Fraction(count), Fraction(count, 10))


def placed(billed: Mapping[Named, int], traced: Mapping[Named, int]) -> dict[Named, Shares]:
    keys = [Key(provider, "p-1", model, False) for provider, model in billed]
    sellers = Sellers.of(keys, lambda _: {name: tokens(count) for name, count in billed.items()})
    return sellers.placed(traced, lambda: {name: tokens(n) for name, n in traced.items()})


def parts(shares: Shares) -> dict[str | None, Fraction]:
    return {provider: part.share for provider, part in shares}


def test_calls_of_nobody_join_the_bills_by_what_these_leave_uncovered() -> None:
    found = placed({OWN: 100, CLOUD: 100}, {OWN: 40, CLOUD: 80, FRAMEWORK: 80})

    assert parts(found[FRAMEWORK]) == {"anthropic": Fraction(3, 4), "aws.bedrock": Fraction(1, 4)}


def test_they_are_never_more_than_what_is_uncovered() -> None:
    found = placed({OWN: 100}, {OWN: 90, FRAMEWORK: 40})
    covered = placed({OWN: 100}, {OWN: 100, FRAMEWORK: 40})

    assert parts(found[FRAMEWORK]) == {
        "anthropic": Fraction(1, 4),
        "strands-agents": Fraction(3, 4),
    }
    assert covered[FRAMEWORK] == (("strands-agents", ALL_CALLS),)


def test_a_named_seller_without_a_bill_joins_the_only_other_one() -> None:
    vertex: Named = ("gcp.vertex_ai", SONNET)
    one = placed({CLOUD: 100}, {OWN: 60})
    two = placed({CLOUD: 100, vertex: 100}, {OWN: 60})
    own = placed({CLOUD: 100, ("anthropic", "claude-opus-4-1"): 1}, {OWN: 60})

    assert parts(one[OWN]) == {"aws.bedrock": 1}
    assert OWN not in two | own


@pytest.mark.parametrize(
    ("billed", "door"),
    [
        (["gcp.gemini"], "gcp.gemini"),
        (["gcp.vertex_ai"], "gcp.vertex_ai"),
        (["openai"], "gcp.vertex_ai"),
        ([], "gcp.vertex_ai"),
    ],
)
def test_google_is_the_door_that_bills(billed: list[str], door: str) -> None:
    calls: Named = ("gcp.gen_ai", "gemini-2.5-pro")

    found = placed({(each, "gemini-2.5-pro"): 10 for each in billed}, {calls: 100})

    assert found == {calls: ((door, ALL_CALLS),)}


def test_without_quantities_cost_tells_what_is_uncovered() -> None:
    billed = {OWN: Quantity(None, Fraction(8)), CLOUD: Quantity(None, Fraction(2))}
    calls = {FRAMEWORK: Quantity(Fraction(100), Fraction(5))}
    keys = [Key(provider, None, model, False) for provider, model in billed]

    found = Sellers.of(keys, lambda _: billed).placed(calls, lambda: calls)

    assert parts(found[FRAMEWORK]) == {"anthropic": Fraction(4, 5), "aws.bedrock": Fraction(1, 5)}


@given(some.lists(some.integers(0, 1000), min_size=2, max_size=2), some.integers(0, 3000))
def test_parts_are_all_of_the_calls_to_the_last_token(covered: list[int], count: int) -> None:
    traced = {OWN: covered[0], CLOUD: covered[1], FRAMEWORK: count}

    shares = placed({OWN: 1000, CLOUD: 700}, traced)[FRAMEWORK]

    assert sum(part.of(count) for _, part in shares) == count
    assert (shares[0][1].start, shares[-1][1].end) == (0, 1)


def test_a_part_of_calls_begins_where_the_one_before_ends() -> None:
    first, rest = PartOfCalls(Fraction(0), Fraction(1, 3)), PartOfCalls(Fraction(1, 3), Fraction(1))

    assert (first.of(10), rest.of(10)) == (3, 7)
