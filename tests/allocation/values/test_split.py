"""Exact splits: by hand-written tables, and by properties over generated amounts and weights."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocation.values.money import exact_sum
from allocation.values.split import BadWeight, NoShares, Shares, split, split_quanta, whole_weights

AMOUNTS = st.one_of(
    st.decimals(
        min_value=-(10**12), max_value=10**12, places=2, allow_nan=False, allow_infinity=False
    ),
    st.decimals(min_value=-10, max_value=10, places=18, allow_nan=False, allow_infinity=False),
    st.sampled_from(
        [
            Decimal("0"),
            Decimal("1e-18"),
            Decimal("-1e-18"),
            Decimal("999999999999999.99"),
            Decimal("0.01"),
        ]
    ),
)
WEIGHTS = st.dictionaries(
    st.text(min_size=1, max_size=6),
    st.one_of(
        st.integers(min_value=0, max_value=10**15),
        st.fractions(min_value=0, max_value=1000, max_denominator=997),
        st.decimals(min_value=0, max_value=1000, places=6, allow_nan=False, allow_infinity=False),
    ),
    min_size=1,
    max_size=12,
)


def amounts_of(result: Shares | NoShares) -> dict[str, Decimal]:
    assert isinstance(result, Shares)
    return dict(result.amounts)


@pytest.mark.parametrize(
    ("amount", "weights", "expected"),
    [
        (
            "100.00",
            {"a": 1, "b": 1, "c": 1},
            {"a": "33.333333333334", "b": "33.333333333333", "c": "33.333333333333"},
        ),
        ("-100.00", {"a": 1, "b": 2}, {"a": "-33.333333333333", "b": "-66.666666666667"}),
        ("10", {"a": 1, "b": 3}, {"a": "2.500000000000", "b": "7.500000000000"}),
        ("0.000000000001", {"a": 1, "b": 2}, {"a": "0.000000000000", "b": "0.000000000001"}),
        (
            "0.0000000000000001",
            {"a": 1, "b": 2},
            {"a": "0.0000000000000000", "b": "0.0000000000000001"},
        ),
        ("5", {"a": 0, "b": 2}, {"b": "5.000000000000"}),
        (
            "1",
            {"b": 1, "a": 1, "c": 1},
            {"a": "0.333333333334", "b": "0.333333333333", "c": "0.333333333333"},
        ),
        ("0", {"a": 1, "b": 1}, {"a": "0.000000000000", "b": "0.000000000000"}),
        (
            "7",
            {"a": Fraction(1, 3), "b": Decimal("0.5")},
            {"a": "2.800000000000", "b": "4.200000000000"},
        ),
    ],
)
def test_shares_are_as_written_by_hand(
    amount: str, weights: dict[str, int], expected: dict[str, str]
) -> None:
    shares = amounts_of(split(Decimal(amount), weights))

    assert {key: str(value) for key, value in shares.items()} == {
        key: str(Decimal(v)) for key, v in expected.items()
    }


@given(AMOUNTS, WEIGHTS)
def test_fault_073_shares_add_up_to_the_last_quantum(
    amount: Decimal, weights: dict[str, int]
) -> None:
    result = split(amount, weights)

    if isinstance(result, NoShares):
        assert not any(weights.values())
    else:
        assert exact_sum(share for _, share in result.amounts) == amount


def test_fault_073_a_hundred_by_three_at_the_minor_unit() -> None:
    assert split_quanta(10_000, [1, 1, 1]) == [3334, 3333, 3333]
    assert split_quanta(-10_000, [1, 1, 1]) == [-3334, -3333, -3333]


@given(AMOUNTS, WEIGHTS)
def test_a_refund_mirrors_its_charge(amount: Decimal, weights: dict[str, int]) -> None:
    there, back = split(amount, weights), split(-amount, weights)

    if isinstance(there, Shares) and isinstance(back, Shares):
        assert [(key, -share) for key, share in there.amounts] == list(back.amounts)
    else:
        assert there == back


@given(AMOUNTS, WEIGHTS, st.integers())
def test_order_of_weights_does_not_matter(
    amount: Decimal, weights: dict[str, int], seed: int
) -> None:
    shuffled = list(weights.items())
    random.Random(seed).shuffle(shuffled)

    assert split(amount, dict(shuffled)) == split(amount, weights)


@given(AMOUNTS, WEIGHTS)
def test_no_share_is_off_by_more_than_one_quantum(amount: Decimal, weights: dict[str, int]) -> None:
    result = split(amount, weights)
    if isinstance(result, NoShares):
        return

    total = sum(Fraction(weight) for weight in weights.values())
    for key, share in result.amounts:
        fair = Fraction(amount) * Fraction(weights[key]) / total
        assert abs(Fraction(share) - fair) < Fraction(
            1, 10 ** max(12, -int(share.as_tuple().exponent))
        )


def test_fault_075_nothing_to_split_by_is_an_answer_and_no_error() -> None:
    assert split(Decimal("100"), {}) == NoShares("no driver data")
    assert split(Decimal("100"), {"a": 0, "b": Decimal(0)}) == NoShares("driver is zero")
    assert split(Decimal("100"), {"a": 0, "b": 1}) == Shares((("b", Decimal("100")),))


@pytest.mark.parametrize(
    "weight", [-1, Fraction(-1, 3), Decimal("-0.1"), Decimal("NaN"), Decimal("Infinity")]
)
def test_weights_are_finite_and_not_negative(weight: Decimal) -> None:
    with pytest.raises(
        BadWeight, match=f"^weight of 'b' is {weight}; a weight is a finite number, zero or more$"
    ) as caught:
        split(Decimal(1), {"a": 1, "b": weight})
    assert caught.value.key == "b"
    assert caught.value.weight is weight


def test_whole_weights_keep_proportions() -> None:
    assert whole_weights([Fraction(1, 3), Fraction(1, 2), 1]) == [2, 3, 6]
    assert whole_weights([Decimal("0.25"), 1]) == [1, 4]
    with pytest.raises(ValueError, match="nothing"):
        split_quanta(1, [0, 0])
