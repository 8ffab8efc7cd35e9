"""The gap in named causes: by hand for each cause, and adding up for whatever bills and traces
come.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocation.catalogue.canonical import CLASS_COLUMNS, TOKEN_COLUMNS
from allocation.values.money import exact_sum
from reports.analysis.gap import (
    CAUSES,
    ON_THE_BILL,
    BilledLine,
    CauseKey,
    ComparedModel,
    Gap,
    SourceBill,
    TokenPrice,
    TracedTokens,
    gap_of,
)
from reports.analysis.gap_causes import causes_of

D = Decimal
# USD per token in these examples, chosen to be added by hand: input 2, cached input 1, output 10;
# batch is half.
PRICES = {
    "input_uncached": TokenPrice(D(2), D(2), D(1)),
    "cache_read": TokenPrice(D(1), D(1), D("0.5")),
    "output_text": TokenPrice(D(10), D(10), D(5)),
    "reasoning": TokenPrice(D(10), D(10), D(5)),
}


def line(token_class: str, tokens: int, listed: str, **more: Any) -> BilledLine:
    costs = {"list_cost": D(listed), "contracted_cost": D(listed), "billed_cost": D(listed)}
    return BilledLine(
        token_class=token_class,
        rows=1,
        **{"quantity": D(tokens), "is_batch": False, **costs, **more},
    )


def traced(**tokens: int) -> dict[str, TracedTokens]:
    return {name: TracedTokens(D(n), D(n), D(n) * PRICES[name].own) for name, n in tokens.items()}


def usage(lines: Iterable[BilledLine], *, calls: int = 10, **more: Any) -> ComparedModel:
    return ComparedModel("openai", "p", "m", tuple(lines), prices=PRICES, calls=D(calls), **more)


def bill(*models: ComparedModel, currency: str = "USD", **more: Any) -> SourceBill:
    return SourceBill(1, "openai", currency, models, **more)


def told(gap: Gap) -> dict[str, Decimal]:
    """What is not zero."""
    return {key: amount for key, amount in gap.amounts.items() if amount}


def test_a_bill_that_the_traces_explain_has_no_gap() -> None:
    whole = usage(
        [line("input", 100, "200"), line("output", 10, "100")],
        traced=traced(input_uncached=100, output_text=10),
    )

    gap = gap_of(bill(whole))

    assert (gap.start, gap.total, told(gap)) == (D(300), D(0), {})


def test_calls_without_a_trace_are_priced_like_those_with_one() -> None:
    half = usage(
        [line("input", 100, "200"), line("output", 10, "100")],
        traced=traced(input_uncached=50, output_text=5),
    )

    assert told(gap_of(bill(half))) == {"untraced": D(150)}


def test_a_model_without_any_trace_is_untraced_at_its_list_price() -> None:
    dark = ComparedModel("openai", "p", "m", (line("input", 100, "200"),))

    assert told(gap_of(bill(dark))) == {"untraced": D(200)}


def test_calls_that_tell_no_usage_stand_apart_from_untraced_ones() -> None:
    """Ten calls, two of them silent, each as large as the eight: 300 x 2/8; the rest of what is
    missing is untraced.
    """
    silent = usage(
        [line("input", 200, "400"), line("output", 20, "200")],
        traced=traced(input_uncached=100, output_text=10),
        silent_calls=D(2),
    )

    assert told(gap_of(bill(silent))) == {"silent": D(75), "untraced": D(225)}


def test_more_traced_than_billed_is_a_negative_amount() -> None:
    twice = usage([line("input", 100, "200")], traced=traced(input_uncached=200), silent_calls=D(2))

    assert told(gap_of(bill(twice))) == {"untraced": D(-200)}


def test_cached_tokens_that_the_traces_call_input() -> None:
    """The bill has 40 of 100 input tokens at the cache's price; the traces took them for ordinary
    ones.
    """
    cached = usage(
        [line("input", 60, "120"), line("cache_read", 40, "40"), line("output", 10, "100")],
        traced=traced(input_uncached=100, output_text=10),
    )

    assert told(gap_of(bill(cached))) == {"cached": D(-40)}


def test_reasoning_that_the_traces_leave_out_of_the_output() -> None:
    thinking = usage(
        [line("input", 100, "200"), line("output", 30, "300")],
        traced=traced(input_uncached=100, output_text=10, reasoning=5),
    )

    assert told(gap_of(bill(thinking))) == {"reasoning": D(150)}


def test_batch_calls_that_the_traces_do_not_name() -> None:
    batch = usage(
        [line("input", 50, "100"), line("input", 50, "50", is_batch=True)],
        traced=traced(input_uncached=100),
    )

    assert told(gap_of(bill(batch))) == {"batch": D(-50)}


def test_a_price_list_without_batch_prices_learns_them_from_the_bill() -> None:
    batch = usage(
        [line("input", 50, "100"), line("input", 50, "25", is_batch=True)],
        traced=traced(input_uncached=100),
    )
    same = {"input_uncached": TokenPrice(D(2), D(2), D(2))}

    assert told(gap_of(bill(replace(batch, prices=same)))) == {"batch": D(-75)}


def test_the_bill_lists_another_price() -> None:
    dearer = usage([line("input", 100, "230")], traced=traced(input_uncached=100))

    assert told(gap_of(bill(dearer))) == {"prices": D(30)}


def test_a_model_without_a_price_is_a_matter_of_the_price_list_and_not_of_traces() -> None:
    unknown = ComparedModel(
        "openai", "p", "m", (line("input", 100, "200"),),
        traced={"input_uncached": TracedTokens(D(100), D(0), D(0))}, prices={},
        calls=D(3), unpriced_calls=D(3),
    )  # fmt: skip

    gap = gap_of(bill(unknown))

    assert (gap.start, told(gap)) == (D(0), {"prices": D(200)})
    assert (
        "3 traced calls have no list price (m)" in causes_of(gap)[CAUSES.index("prices")].evidence
    )


def test_discount_rounding_and_commitments_are_told_apart() -> None:
    whole = usage(
        [
            line(
                "input",
                100,
                "200",
                contracted_cost=D(180),
                billed_cost=D("170.004"),
                rounding=D("0.004"),
            )
        ],
        traced=traced(input_uncached=100),
    )

    gap = gap_of(bill(whole))

    assert told(gap) == {"discount": D(-20), "rounding": D("0.004"), "remainder": D(-10)}
    assert gap.above_contract == D(-10)


def test_credits_and_what_came_late() -> None:
    whole = usage([line("input", 100, "200")], traced=traced(input_uncached=100))

    gap = gap_of(bill(whole, credit=D(-30), credit_rows=1, late_cost=D(7), other_months_cost=D(2)))

    assert (gap.bill.billed, told(gap)) == (D(179), {"credit": D(-30), "late": D(9)})


def test_quantities_that_are_no_tokens_stay_in_the_remainder() -> None:
    hours = usage([line("input", 1, "200", quantity=None)], traced=traced(input_uncached=60))

    gap = gap_of(bill(hours))

    assert (told(gap), gap.not_by_token) == ({"remainder": D(80)}, D(80))


def advice(gap: Gap) -> dict[CauseKey, str]:
    return {cause.key: cause.fix for cause in causes_of(gap)}


INPUT = traced(input_uncached=100)


@pytest.mark.parametrize("tokens", [100, 150])
def test_wording_and_stray_names_that_cancel_out_are_not_nothing_to_do(tokens: int) -> None:
    """A model billed under words that nobody knows, and traced under a profile id."""
    billed = ComparedModel(
        "openai", "p", "acme words", (line("input", tokens, f"{tokens * 2}", is_known=False),)
    )
    stray = replace(usage([], traced=INPUT), model="profile/abc")

    told = advice(gap_of(bill(billed, stray)))["untraced"]

    assert "Nobody knows the model that the bill calls acme words" in told
    assert "a model that the bill does not have (profile/abc)" in told
    assert "counted twice" not in told
    assert "Send spans" not in told


def test_a_stray_name_without_a_price_is_no_matter_of_the_price_list() -> None:
    unpriced = {"input_uncached": TracedTokens(D(100), D(0), D(0))}
    stray = ComparedModel(
        "openai", "p", "profile/abc", traced=unpriced, calls=D(10), unpriced_calls=D(10)
    )
    whole = usage([line("input", 100, "200")], traced=INPUT)

    told = advice(gap_of(bill(whole, stray)))

    assert "profile/abc" in told["prices"]
    assert "newer price list" not in told["prices"]


def test_a_unit_that_is_not_understood_is_said_as_such() -> None:
    hours = usage([line("input", 1, "200", quantity=None)], traced=INPUT)

    # Billed as much as traced: what is left over is zero, and still nobody knows the tokens.
    gap = gap_of(bill(hours))

    assert gap.amounts["remainder"] == 0
    assert "unit of these lines is not understood" in advice(gap)["remainder"]


@pytest.mark.parametrize("missing", ["list_cost", "contracted_cost"])
def test_what_a_bill_does_not_state_is_not_a_matter_of_the_contract(missing: str) -> None:
    less = {"contracted_cost": D(150), "billed_cost": D(150), missing: None}
    unstated = usage([line("input", 100, "200", **less)], traced=INPUT)

    gap = gap_of(bill(unstated))

    assert gap.amounts["discount"] == D(-50)
    assert "state no list or no contracted cost" in advice(gap)["discount"]
    assert "Compare" not in advice(gap)["discount"]


def test_a_discount_that_the_bill_states_is_compared_with_the_contract() -> None:
    less = {"contracted_cost": D(150), "billed_cost": D(150)}
    stated = usage([line("input", 100, "200", **less)], traced=INPUT)

    assert advice(gap_of(bill(stated)))["discount"] == "Compare the percentage with the contract."


@pytest.mark.parametrize(("billed", "is_found"), [(25, True), (34, False)])
def test_more_than_three_times_traced_is_a_finding(billed: int, is_found: bool) -> None:
    """Counted over all projects: calls that no project had room for have none."""
    own = usage([line("input", billed, f"{billed * 2}")], traced=traced(input_uncached=billed))
    left = ComparedModel(
        "openai", None, "m", traced=traced(input_uncached=100 - billed), prices=PRICES, calls=D(5)
    )

    gap = gap_of(bill(own, left))
    found = {cause.key: cause for cause in causes_of(gap)}

    assert ("over_traced" in found) is is_found
    if is_found:
        assert "m: 100 tokens traced, 25 on the bill" in found["over_traced"].evidence
        assert "counted twice" in found["over_traced"].fix
    assert sum(cause.amount for cause in found.values()) == gap.total
    assert causes_of(gap)[-1].key == "remainder"


def test_a_bill_that_the_traces_explain_leaves_nothing_to_do() -> None:
    whole = usage([line("input", 100, "200")], traced=INPUT)

    assert set(advice(gap_of(bill(whole))).values()) == {"Nothing to do."}


def test_fault_035_a_bill_of_a_currency_without_a_rate_is_not_compared_and_never_zero() -> None:
    euro = bill(
        usage(
            [line("input", 100, "180", contracted_cost=D(162), billed_cost=D(162))],
            traced=traced(input_uncached=100),
        ),
        currency="EUR",
    )

    apart, compared = gap_of(euro), gap_of(euro, rate=D("0.9"))

    assert (apart.is_compared, apart.start, apart.bill.estimate) == (False, D(180), D(200))
    assert set(apart.amounts) == set(
        ON_THE_BILL
    )  # nothing is said of what only the estimate could tell
    assert told(apart) == told(compared) == {"discount": D(-18)}
    assert (compared.is_compared, compared.start) == (True, D(180))


def test_fault_020_evidence_is_told_in_the_minor_unit_of_the_bill() -> None:
    yen = bill(usage([line("input", 100, "180.4", contracted_cost=D("162.36"))]), currency="JPY")

    discount = next(cause for cause in causes_of(gap_of(yen)) if cause.key == "discount")

    assert (
        discount.evidence
        == "Contracted cost of 162 JPY is 10.0% below the bill's list cost of 180 JPY."
    )


# ---------------------------------------------------------------- whatever comes


def decimals(least: int, most: int, places: int) -> st.SearchStrategy[Decimal]:
    return st.integers(least, most).map(lambda number: Decimal(number).scaleb(-places))


amounts = decimals(-(10**18), 10**18, 9)
known_or_not = st.none() | amounts
tokens = decimals(0, 10**15, 3)
lines = st.builds(
    BilledLine,
    token_class=st.none() | st.sampled_from(sorted(CLASS_COLUMNS)),
    is_batch=st.booleans(),
    rows=st.integers(1, 9),
    quantity=st.none() | tokens,
    billed_cost=amounts,
    list_cost=known_or_not,
    contracted_cost=known_or_not,
    rounding=amounts,
)
prices = decimals(0, 10**13, 12)
columns = st.sampled_from(TOKEN_COLUMNS)
models = st.builds(
    ComparedModel,
    provider=st.just("openai"),
    project=st.sampled_from([None, "p"]),
    model=st.sampled_from([None, "m", "n"]),
    lines=st.lists(lines, max_size=4).map(tuple),
    traced=st.dictionaries(columns, st.builds(TracedTokens, tokens, tokens, amounts), max_size=4),
    prices=st.dictionaries(columns, st.builds(TokenPrice, prices, prices, prices), max_size=4),
    calls=tokens,
    silent_calls=tokens,
    unpriced_calls=tokens,
    batch_calls=tokens,
)
bills = st.builds(
    SourceBill,
    source_id=st.just(1),
    source=st.just("openai"),
    currency=st.sampled_from(["USD", "EUR", "JPY"]),
    models=st.lists(models, max_size=3).map(tuple),
    credit=amounts,
    late_cost=amounts,
    other_months_cost=amounts,
)


@given(bills, st.none() | decimals(1000, 200 * 10**6, 6))
def test_the_causes_add_up_exactly_and_the_remainder_comes_last(
    any_bill: SourceBill, rate: Decimal | None
) -> None:
    gap = gap_of(any_bill, rate=rate)

    causes = causes_of(gap)

    assert exact_sum([gap.start, *(cause.amount for cause in causes)]) == any_bill.billed
    assert causes[-1].key == "remainder"
    assert all(cause.evidence and cause.fix for cause in causes)


@given(bills)
def test_the_remainder_is_what_the_bill_itself_leaves_open(any_bill: SourceBill) -> None:
    """No repricing hides in it: only quantities without tokens, and billed cost that is not the
    contracted one.
    """
    gap = gap_of(any_bill)

    assert gap.amounts["remainder"] == exact_sum([gap.not_by_token, gap.above_contract])


@given(bills, st.randoms())
def test_the_order_of_models_and_lines_changes_nothing(any_bill: SourceBill, random: Any) -> None:
    def shuffled(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(random.sample(values, len(values)))

    mixed = replace(
        any_bill,
        models=shuffled(tuple(replace(m, lines=shuffled(m.lines)) for m in any_bill.models)),
    )

    def figures(one: SourceBill) -> dict[CauseKey, Decimal]:
        return dict(gap_of(one, rate=Decimal(1)).amounts)

    assert figures(mixed) == figures(any_bill)
