"""What a line of traced usage is joined with, and how much of it goes to whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from allocation.catalogue.canonical import ALL_COLUMNS, TOKEN_COLUMNS
from allocation.plans.plan import Billed, Money, Part, Plan
from allocation.plans.traced import (
    Join,
    MonthSums,
    TracedLine,
    Untraced,
    Usual,
    is_loss_of_a_few,
    traced_join,
    traced_plan,
)
from allocation.usage.index import LIST_COST, TOKENS, Usage, UsageIndex, Weighing
from allocation.usage.keys import Key
from tests.allocation.calls import DAY, GPT, LATER, MINI, NEXT, index_of, tokens, used

OWNER, NOBODY = 8, 9
TO_OWNER, TO_NOBODY = ((OWNER, 1, 4),), ((NOBODY, 1, 6),)
EAST = GPT._replace(region="east")
UNKNOWN = Billed({}, None)


def line(key: Key = GPT, token_class: str | None = "input", **columns: Any) -> TracedLine:
    plain = TracedLine(key, token_class, frozenset({"input", "output"}), "auto", None, 4, NOBODY)
    return replace(plain, **columns)


def billed(*quantities: int | None) -> Billed:
    """Tokens of DAY and of the days after it."""
    days = dict(zip((DAY, NEXT, LATER), quantities, strict=False))
    known = {day: Fraction(count) for day, count in days.items() if count is not None}
    return Billed(known, sum(known.values(), Fraction(0)) if len(known) == len(days) else None)


def join(of: TracedLine, index: UsageIndex, on_bill: Billed = UNKNOWN, day: date = DAY) -> Join:
    return traced_join(of, day, index.facts, on_bill)


def plan(of: TracedLine, index: UsageIndex, on_bill: Billed = UNKNOWN, day: date = DAY) -> Plan:
    return traced_plan(of, join(of, index, on_bill, day), index)


# ---------------------------------------------------------------- joins


def test_joins_widen_only_where_the_narrower_has_nothing() -> None:
    here = index_of({GPT: {DAY: [used(1, 5, column="output_text")]}})
    later = index_of({GPT: {NEXT: [used(1, 5, column="output_text")]}})
    output = line(token_class="output")

    assert plan(output, here).widened is None
    assert plan(output, later).widened == "month"
    assert plan(line(), here).widened == "model"
    assert plan(line(), later).widened == "model, month"
    assert plan(line(GPT._replace(model=None)), here).widened == "every model"
    assert plan(line(GPT._replace(model=None)), later).widened == "every model, month"
    assert plan(line(GPT._replace(model=None, project=None)), here).note == "no traces"


@pytest.mark.parametrize("policy", ["auto", "spread", "owner", "unallocated"])
@pytest.mark.parametrize("on_bill", [UNKNOWN, billed(5)])
def test_a_model_is_never_spread_over_the_others_of_its_provider(
    policy: str, on_bill: Billed
) -> None:
    index = index_of({GPT: {DAY: [used(1, 5)], NEXT: [used(2, 5)]}})
    known = line(MINI, policy=policy)

    assert plan(known, index, on_bill).note == "no traces"
    assert plan(replace(known, is_known=False), index, on_bill).note == "unknown wording"
    assert plan(known, index, on_bill).parts == (Part(1, "unallocated", TO_NOBODY),)


def test_a_wider_join_is_of_the_day_where_that_has_any_and_weighs_by_list_cost() -> None:
    priced = [used(target, 5, column="output_text")._replace(list_cost=7) for target in (1, 2)]
    index = index_of({GPT: {DAY: priced[:1], NEXT: priced[1:]}})

    for of, of_provider in ((line(), False), (line(GPT._replace(model=None)), True)):
        weighing = Weighing(of.key, DAY, LIST_COST, ALL_COLUMNS, of_provider)
        assert join(of, index).weighing == weighing
        assert join(of, index, day=LATER).weighing == weighing._replace(day=None)
        assert plan(of, index).parts == (Part(1, "shared", ((1, 7, 5),)),)
        assert plan(of, index, day=LATER).parts[0].entries == ((1, 7, 5), (2, 7, 5))


def test_a_class_that_is_known_to_be_billed_is_spread_over_the_model_only_where_told_to() -> None:
    index = index_of({GPT: {DAY: [used(1, 5, column="output_text")]}})

    left, spread = plan(line(), index, billed(5)), plan(line(policy="spread"), index, billed(5))

    assert (left.note, left.parts) == ("no traces", (Part(1, "unallocated", TO_NOBODY),))
    assert (spread.widened, spread.parts) == ("model", (Part(1, "shared", ((1, 5, 5),)),))


def test_a_line_about_no_model_goes_by_all_calls_of_the_provider_in_its_project() -> None:
    index = index_of(
        {
            GPT: {DAY: [used(1, 3)]},
            MINI: {DAY: [used(2, 1)]},
            GPT._replace(project="proj-2"): {DAY: [used(3, 7)]},
            GPT._replace(provider="anthropic"): {DAY: [used(4, 7)]},
        }
    )

    found = plan(line(GPT._replace(model=None)), index, billed(5))
    everywhere = plan(line(GPT._replace(model=None, project="*")), index, billed(5))

    assert found.parts == (Part(1, "shared", ((1, 3, 5), (2, 1, 5))),)
    assert (found.widened, found.coverage, found.driver) == ("every model", None, "total tokens")
    assert everywhere.parts == (Part(1, "shared", ((1, 3, 5), (2, 1, 5), (3, 7, 5))),)


def test_batch_jobs_are_never_spread_over_interactive_calls() -> None:
    index = index_of({GPT: {DAY: [used(1, 3)], NEXT: [used(1, 3)]}})
    fee = line(GPT._replace(model=None), policy="spread")

    assert plan(line(GPT._replace(is_batch=True), policy="spread"), index).note == "no traces"
    assert plan(replace(fee, key=fee.key._replace(is_batch=True)), index).note == "no traces"
    assert plan(fee, index).widened == "every model"


def test_one_project_for_all_where_the_source_says_so() -> None:
    index = index_of(
        {GPT: {DAY: [used(1, 3)]}, GPT._replace(project=None): {DAY: [used(2, 1)]}},
    )

    found = plan(line(GPT._replace(project="*")), index, billed(4))

    assert found.parts == (Part(1, "shared", ((1, 3, 1), (2, 1, 1))),)
    assert found.coverage == 1


def test_calls_of_all_regions_stand_in_for_one_that_has_none_of_its_own() -> None:
    """What was billed in one region says nothing about the coverage of calls in all."""
    both = index_of({EAST: {DAY: [used(1, 3)]}, GPT: {DAY: [used(2, 1)]}})
    others = index_of({GPT: {DAY: [used(2, 1)]}})
    later = index_of({EAST: {NEXT: [used(1, 3)]}, GPT: {DAY: [used(2, 1)]}})
    west = index_of({EAST._replace(region="west"): {NEXT: [used(1, 3)]}})

    own, wide = join(line(EAST), both, billed(4)), join(line(EAST), others, billed(4))

    assert (own.coverage, own.widened) == (Fraction(3, 4), None)
    assert (wide.coverage, wide.untraced, wide.widened) == (None, None, "region")
    assert join(line(EAST), later, billed(4)).widened == "month"
    assert join(line(EAST), west, billed(4)).widened == "region, month"
    assert plan(line(GPT), both, billed(4)).parts == (Part(1, "shared", ((1, 3, 1), (2, 1, 1))),)


def test_a_line_that_goes_by_the_month_has_one_price_for_all_days() -> None:
    index = index_of({GPT: {DAY: [used(1, 30)], NEXT: [used(2, 10)]}})
    monthly = line(by_month=True)

    found = plan(monthly, index, billed(20, 20))

    assert found.parts == (Part(1, "shared", ((1, 30, 1), (2, 10, 1))),)
    assert (found.widened, found.coverage) == (None, 1)
    wide = plan(replace(monthly, key=EAST), index, billed(20, 20))
    assert (wide.widened, wide.coverage) == ("region, month", None)


def test_writing_to_a_pooled_cache_is_weighed_by_reading_from_it() -> None:
    """Where nobody reads, by writing."""
    read = index_of(
        {GPT: {DAY: [used(1, 3, column="cache_write_5m"), used(2, 7, column="cache_read")]}}
    )
    unread = index_of({GPT: {DAY: [used(1, 3, column="cache_write_5m")]}})
    pooled = line(token_class="cache_write_5m", pool_cache_writes=True)

    assert plan(pooled, read, billed(3)).parts == (Part(1, "shared", ((2, 7, 1),)),)
    assert plan(pooled, read).driver == "cache_read tokens"
    assert plan(pooled, unread, billed(3)).parts == (Part(1, "shared", ((1, 3, 1),)),)
    assert plan(replace(pooled, pool_cache_writes=False), read).driver == "cache_write_5m tokens"
    assert plan(replace(pooled, token_class="cache_read"), read).driver == "cache_read tokens"
    # A line of output is none of a cache, whatever the rule asks for.
    output = replace(pooled, token_class="output")
    assert join(output, read, billed(1)).note == "no traces"


def test_a_line_without_a_class_is_weighed_by_list_cost() -> None:
    """By total tokens where some of them have no price, or where all of it costs nothing."""
    priced = [Usage(1, 1, tokens(input_uncached=30), 5), Usage(2, 2, tokens(output_text=10), 20)]
    unpriced = [priced[0], priced[1]._replace(list_cost=None)]
    free = [row._replace(list_cost=0) for row in priced]
    plain = line(token_class=None)

    by_cost = plan(plain, index_of({GPT: {DAY: priced}}), billed(40))

    assert (by_cost.driver, by_cost.places, by_cost.driver_total) == ("list cost", 18, 25)
    assert by_cost.parts == (Part(1, "shared", ((1, 5, 1), (2, 20, 2))),)
    for rows in (unpriced, free):
        index = index_of({GPT: {DAY: rows}})
        by_tokens = plan(plain, index, billed(40))
        assert join(plain, index).weighing == Weighing(GPT, DAY, TOKENS, ALL_COLUMNS)
        assert (by_tokens.driver, by_tokens.places) == ("total tokens", 0)
        assert by_tokens.parts == (Part(1, "shared", ((1, 30, 1), (2, 10, 2))),)


# ---------------------------------------------------------------- coverage


@pytest.mark.parametrize(
    ("policy", "traced", "note", "rest"),
    [
        ("auto", 80, "untraced spread", "spread"),
        ("auto", 79, "untraced to owner", "owner"),
        ("spread", 1, "untraced spread", "spread"),
        ("owner", 99, "untraced to owner", "owner"),
        ("unallocated", 99, "untraced unallocated", "nobody"),
        ("auto", 100, None, None),
        ("unallocated", 100, None, None),
        ("auto", 101, "over-traced", None),
    ],
)
def test_what_is_billed_beyond_the_traces_goes_where_the_source_says(
    policy: str, traced: int, note: str | None, rest: str | None
) -> None:
    index = index_of({GPT: {DAY: [used(1, traced)]}})

    found = plan(line(policy=policy, owner=OWNER), index, billed(100))

    own = ((1, traced, 1),)
    after = {"spread": own, "owner": TO_OWNER, "nobody": TO_NOBODY}
    kind = "unallocated" if rest == "nobody" else "untraced"
    assert (found.note, found.coverage) == (note, Fraction(traced, 100))
    assert (found.driver, found.driver_total) == (
        "input_uncached + cache_read + cache_write_5m + cache_write_1h + input_audio"
        " + input_image tokens",
        traced,
    )
    if rest is None:
        assert found.parts == (Part(1, "shared", own),)
        return
    shared, untraced = found.parts
    assert (shared.kind, shared.entries) == ("shared", own)
    assert (untraced.kind, untraced.entries) == (kind, after[rest])
    assert Fraction(shared.weight, shared.weight + untraced.weight) == Fraction(traced, 100)


def test_the_untraced_part_of_a_line_without_an_owner_is_unallocated() -> None:
    found = plan(line(), index_of({GPT: {DAY: [used(1, 1)]}}), billed(4))

    assert found.note == "untraced unallocated"
    assert found.parts == (Part(1, "shared", ((1, 1, 1),)), Part(3, "unallocated", TO_NOBODY))


@pytest.mark.parametrize("quantity", [None, 0, -5])
def test_coverage_is_unknown_where_the_bill_has_no_quantity_above_zero(
    quantity: int | None,
) -> None:
    found = plan(line(owner=OWNER), index_of({GPT: {DAY: [used(1, 1)]}}), billed(quantity))

    assert (found.coverage, found.note) == (None, "unknown coverage")
    assert found.parts == (Part(1, "shared", ((1, 1, 5),)),)  # a guess


@pytest.mark.parametrize(
    ("cost", "note", "traced"),
    [
        (100, "untraced to owner; coverage derived", Fraction(1, 100)),
        (3, "untraced to owner; coverage derived", Fraction(1, 3)),
        ("2.5", "split; coverage derived", Fraction(1)),
        ("0.5", "split; coverage derived", Fraction(1)),
        ("0.1", "over-traced beyond 3x; coverage derived", Fraction(1)),
    ],
)
@pytest.mark.parametrize("token_class", ["input", None])
def test_where_nobody_knows_the_tokens_money_tells_the_coverage(
    cost: int | str, note: str, traced: Fraction, token_class: str | None
) -> None:
    """One USD of usage at list price. Below 0.4 of what was billed the rest is the owner's."""
    row = used(1, 4)._replace(list_cost=10**18)
    money = Money(Fraction(cost), Fraction(1, 4) if token_class else None)
    on_bill = Billed({DAY: None}, None, money={DAY: money})

    found = plan(line(token_class=token_class, owner=OWNER), index_of({GPT: {DAY: [row]}}), on_bill)

    whole = sum(part.weight for part in found.parts)
    assert (found.note, found.coverage) == (note, 1 / Fraction(cost))
    assert Fraction(found.parts[0].weight, whole) == traced
    assert {rung for part in found.parts for _, _, rung in part.entries} <= {1, 4}


def test_a_model_without_any_price_has_no_coverage_in_money() -> None:
    money: dict[date | None, Money] = {DAY: Money(Fraction(100), None)}
    index = index_of({GPT: {DAY: [used(1, 4)]}})

    found = plan(line(), index, Billed({DAY: None}, None, money=money))

    assert (found.coverage, found.note) == (None, "unknown coverage")


@pytest.mark.parametrize(("traced", "note"), [(300, "over-traced"), (301, "over-traced beyond 3x")])
def test_more_than_three_times_of_what_was_billed_is_a_finding(traced: int, note: str) -> None:
    assert plan(line(), index_of({GPT: {DAY: [used(1, traced)]}}), billed(100)).note == note


def test_without_any_calls_the_line_is_the_owners_and_nothing_of_it_is_covered() -> None:
    """Unless it is not known what was billed: then nothing is known of its coverage."""
    nothing = index_of({})

    assert join(line(), nothing, billed(4)) == Join(None, coverage=Fraction(0), note="no traces")
    assert join(line(), nothing, billed(None)) == Join(None, note="no traces")
    owned = plan(line(owner=OWNER), nothing, billed(4))
    assert (owned.parts, owned.coverage) == ((Part(1, "untraced", TO_OWNER),), 0)
    unallocated = line(owner=OWNER, policy="unallocated")
    assert plan(unallocated, nothing, billed(4)).parts == (Part(1, "unallocated", TO_NOBODY),)


def test_coverage_is_of_the_day_or_month_that_answers_the_line() -> None:
    index = index_of({GPT: {DAY: [used(1, 9)], NEXT: [used(1, 5)]}}, places=1)
    on_bill = billed(1, 1, 2)

    assert join(line(), index, on_bill).coverage == Fraction(9, 10)
    assert join(line(), index, on_bill, NEXT).coverage == Fraction(1, 2)
    assert join(line(), index, on_bill, LATER).coverage == Fraction(14, 40)
    assert join(line(), index, on_bill).untraced == Untraced(9, 1, is_spread=True)


@pytest.mark.parametrize(("traced", "told"), [(30, "spread"), (23, "spread"), (22, "to owner")])
def test_a_day_of_few_calls_is_judged_by_the_months_coverage(traced: int, told: str) -> None:
    """A tenth of the month's calls is lost, ten tokens each. Of a day's six calls, half may well
    be; three errors, by hand, are 0.9 - sqrt(9 * 0.9 * 0.1 * 2 * 10 / 60), 22.8 tokens of 60.
    """
    rows = [used(1, traced)._replace(calls=Fraction(traced, 10))]
    others = [used(1, 1620 - traced)._replace(calls=162 - Fraction(traced, 10))]
    index = index_of({GPT: {DAY: rows, NEXT: others}})

    assert plan(line(owner=OWNER), index, billed(60, 1740)).note == f"untraced {told}"
    # Where the source spreads nothing, no loss is spread either.
    assert plan(line(owner=OWNER, policy="owner"), index, billed(60, 1740)).note == (
        "untraced to owner"
    )


def test_a_day_of_many_calls_is_judged_by_itself() -> None:
    rows = [used(1, 3000)._replace(calls=300)]
    others = [used(1, 60000)._replace(calls=6000)]
    index = index_of({GPT: {DAY: rows, NEXT: others}})

    assert plan(line(owner=OWNER), index, billed(6000, 64000)).note == "untraced to owner"


def test_a_line_that_goes_by_the_month_has_nothing_to_compare_its_coverage_with() -> None:
    index = index_of({GPT: {DAY: [used(1, 79)._replace(calls=1)]}})

    found = plan(line(owner=OWNER, by_month=True), index, billed(100))

    assert found.note == "untraced to owner"


@pytest.mark.parametrize(
    ("traced", "calls", "quantity", "is_usual"),
    [
        (80, 10, 100, True),
        (79, 10, 100, False),
        (100, 10, 100, False),
        (80, 0, 100, False),
        (80, 10, None, False),
        (80, 10, 0, False),
        (-80, 10, -100, False),
    ],
)
def test_only_a_high_coverage_of_known_calls_is_usual(
    traced: int, calls: int, quantity: int | None, is_usual: bool
) -> None:
    known = None if quantity is None else Fraction(quantity)
    month = MonthSums(Fraction(traced), Fraction(calls), known)

    usual = Usual.of(month)

    # 9 * C (1 - C) * (1 + d) * tokens of a call, with d the relative variance of a call's tokens
    expected = Usual(Fraction(4, 5), 9 * Fraction(4, 25) * 2 * 8)
    assert usual == (expected if is_usual else None)


def test_a_month_of_a_single_token_may_have_a_usual_coverage() -> None:
    assert Usual.of(MonthSums(Fraction(9, 10), Fraction(1), Fraction(1))) is not None


@pytest.mark.parametrize(
    ("traced", "usual", "is_loss"),
    [
        (1, Usual(Fraction(3, 4), Fraction(1, 8)), True),  # (3/4 - 1/2)^2 * 2
        (1, Usual(Fraction(3, 4), Fraction(1, 9)), False),
        (1, None, False),
    ],
)
def test_a_few_lost_calls_put_a_day_off_by_no_more_than_is_usual(
    traced: int, usual: Usual | None, is_loss: bool
) -> None:
    assert is_loss_of_a_few(Fraction(traced), Fraction(2), usual) == is_loss


# ---------------------------------------------------------------- sampling


@pytest.mark.parametrize(
    ("variance", "note"), [(50, "within sampling error"), (49, "untraced to owner")]
)
def test_a_day_within_three_standard_errors_of_its_bill_lacks_nothing(
    variance: int, note: str
) -> None:
    """Half of 60 tokens is traced: 0.5 is three errors of 0.5 sqrt(50 / 30^2 / 0.5), exactly. What
    another day lacks, which no sampling explains, does not matter.
    """
    sampled = used(1, 30)._replace(variance=(variance, 0))
    index = index_of({GPT: {DAY: [sampled], NEXT: [used(1, 10)]}})

    for month in (billed(60, 1000), billed(60, None)):
        found = plan(line(owner=OWNER), index, month)

        assert (found.note, found.coverage) == (note, Fraction(1, 2))
        assert len(found.parts) == (1 if note == "within sampling error" else 2)


def test_sampling_of_output_says_nothing_about_input() -> None:
    index = index_of({GPT: {DAY: [used(1, 50)._replace(variance=(0, 10**6))]}})

    assert plan(line(owner=OWNER), index, billed(100)).note == "untraced to owner"


def test_a_day_of_nothing_but_calls_that_are_always_kept_is_sampled_like_its_month() -> None:
    """A sampler at the tail keeps an error for itself; the calls that it left out that day were
    not untraced.
    """
    sampled = used(1, 1000)._replace(variance=(90 * 10**3, 0))
    index = index_of({GPT: {DAY: [used(1, 5)], NEXT: [sampled]}})

    found = plan(line(owner=OWNER), index, billed(10, 1000))

    assert (found.note, len(found.parts)) == ("within sampling error", 1)


@pytest.mark.parametrize(
    ("of_month", "note"), [(794, "untraced to owner"), (795, "within sampling error")]
)
def test_a_sampled_month_of_usual_coverage_speaks_for_its_days(of_month: int, note: str) -> None:
    """Its variance is next to nothing, so that only 80% of the month decide."""
    sampled = used(1, of_month)._replace(variance=(1, 0), calls=10**9)
    index = index_of({GPT: {DAY: [used(1, 5)], NEXT: [sampled]}})

    assert plan(line(owner=OWNER), index, billed(10, 990)).note == note


def test_columns_of_a_line_are_those_that_the_bill_has_no_other_line_for() -> None:
    assert line(token_class="output").columns == (4, 5, 8, 9)
    assert line(token_class=None).columns == tuple(range(len(TOKEN_COLUMNS)))
