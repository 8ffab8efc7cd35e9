"""Shares within bounds, and whole weights and quanta: properties, and cases reckoned by hand."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocation.values.split import bounded, smallest_whole, split_quanta, whole_weights
from tests.allocation.examples import times

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
