"""What a charge group is cut by: pure plans, and that carrying any plan out keeps every quantum."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocation.catalogue.token_classes import ALL_COLUMNS, TOKEN_COLUMNS, columns_of
from allocation.charges.groups import Amount, Group
from allocation.ledger.writer import cut_group
from allocation.organisation.targets import Organisation, Owner, Target, resolve
from allocation.plans.plan import Part, Plan
from allocation.plans.traced import Billed, TracedLine, traced_plan
from allocation.usage.index import Key, Usage, UsageIndex

DAY, NEXT = date(2026, 10, 5), date(2026, 10, 6)
GPT = Key("openai", "proj-1", "gpt-4o", False)
MINI = GPT._replace(model="gpt-4o-mini")
OWNER, NOBODY = 8, 9


def tokens(**counts: int) -> tuple[int, ...]:
    return tuple(counts.get(name, 0) for name in TOKEN_COLUMNS)


def index(days: dict[Key, dict[date, list[Usage]]]) -> UsageIndex:
    return UsageIndex(token_places=0, order=list(range(10)), days=days)


def line(
    key: Key = GPT,
    token_class: str | None = "input",
    *,
    policy: str = "auto",
    owner: int | None = None,
) -> TracedLine:
    return TracedLine(key, token_class, frozenset({"input", "output"}), policy, owner, 4, NOBODY)


def billed(quantity: int | None) -> Billed:
    known = None if quantity is None else Fraction(quantity)
    return Billed({DAY: known}, known)


def names(columns: tuple[int, ...]) -> set[str]:
    return {TOKEN_COLUMNS[n] for n in columns}


@pytest.mark.parametrize(
    ("token_class", "on_bill", "expected"),
    [
        ("input", {"input"}, {"input_uncached", "cache_read", "cache_write_5m", "cache_write_1h", "input_audio", "input_image"}),
        ("input", {"input", "cache_read"}, {"input_uncached", "cache_write_5m", "cache_write_1h", "input_audio", "input_image"}),
        ("input", {"input", "cache_write", "input_audio"}, {"input_uncached", "cache_read", "input_image"}),
        ("output", {"output"}, {"output_text", "reasoning", "output_audio", "output_image"}),
        ("output", {"output", "reasoning", "output_audio", "output_image"}, {"output_text"}),
        ("cache_write", {"cache_write"}, {"cache_write_5m", "cache_write_1h"}),
        ("cache_write", {"cache_write", "cache_write_1h"}, {"cache_write_5m"}),
        ("cache_write_1h", {"cache_write_1h"}, {"cache_write_1h"}),
        ("reasoning", {"reasoning"}, {"reasoning"}),
    ],
)  # fmt: skip
def test_a_class_takes_in_what_the_bill_has_no_line_for(
    token_class: str, on_bill: set[str], expected: set[str]
) -> None:
    assert names(columns_of(token_class, frozenset(on_bill))) == expected


def test_every_column_is_paid_by_exactly_one_line_whatever_lines_a_bill_has() -> None:
    for lines in (
        {"input", "output"},
        {"input", "output", "cache_read", "cache_write"},
        {"input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning"},
        {"input", "output", "input_audio", "output_audio", "input_image", "output_image"},
    ):
        paid = [column for name in lines for column in columns_of(name, frozenset(lines))]
        assert sorted(paid) == list(ALL_COLUMNS)


def test_joins_widen_only_where_the_narrower_has_nothing() -> None:
    usage = Usage(1, 1, tokens(output_text=5), None)
    here, later = {GPT: {DAY: [usage]}}, {GPT: {NEXT: [usage]}}
    output, unknown = line(token_class="output"), billed(None)

    assert traced_plan(output, DAY, index(here), unknown).widened is None
    assert traced_plan(output, DAY, index(later), unknown).widened == "month"
    assert traced_plan(line(), DAY, index(here), unknown).widened == "model"
    assert traced_plan(line(), DAY, index(later), unknown).widened == "model, month"
    assert traced_plan(line(MINI), DAY, index(here), unknown).widened == "provider"
    assert traced_plan(line(MINI), DAY, index(later), unknown).widened == "provider, month"
    assert traced_plan(line(MINI), DAY, index(here), billed(5)).note == "no traces"
    assert (
        traced_plan(line(MINI._replace(project=None)), DAY, index(here), unknown).note
        == "no traces"
    )


def test_one_project_for_all_where_the_source_says_so() -> None:
    usage = {GPT: {DAY: [Usage(1, 1, tokens(input_uncached=3), None)]},
             GPT._replace(project=None): {DAY: [Usage(2, 1, tokens(input_uncached=1), None)]}}  # fmt: skip

    plan = traced_plan(line(GPT._replace(project="*")), DAY, index(usage), billed(4))

    assert plan.parts == (Part(1, "shared", ((1, 3, 1), (2, 1, 1))),)


LOSSES = [(3, "spread"), (1, "to owner")]  # of a day's six calls, traced


@pytest.mark.parametrize(("traced", "told"), LOSSES)
def test_a_day_of_few_calls_is_judged_by_the_months_coverage(traced: int, told: str) -> None:
    """A tenth of the month's calls is lost. Half of a day's six calls may well be; five of six is
    no chance.
    """
    rows = [Usage(1, 1, tokens(input_uncached=10 * traced), None, calls=Fraction(traced))]
    others = [
        Usage(1, 1, tokens(input_uncached=1620 - 10 * traced), None, calls=Fraction(162 - traced))
    ]

    plan = traced_plan(
        line(owner=OWNER),
        DAY,
        index({GPT: {DAY: rows, NEXT: others}}),
        Billed({DAY: Fraction(60), NEXT: Fraction(1740)}, Fraction(1800)),
    )

    assert plan.note == f"untraced {told}"


def test_a_day_of_many_calls_is_judged_by_itself() -> None:
    rows = [Usage(1, 1, tokens(input_uncached=3000), None, calls=Fraction(300))]
    others = [Usage(1, 1, tokens(input_uncached=60000), None, calls=Fraction(6000))]

    plan = traced_plan(
        line(owner=OWNER),
        DAY,
        index({GPT: {DAY: rows, NEXT: others}}),
        Billed({DAY: Fraction(6000), NEXT: Fraction(64000)}, Fraction(70000)),
    )

    assert plan.note == "untraced to owner"


def test_a_day_of_nothing_but_calls_that_are_always_kept_is_sampled_like_its_month() -> None:
    """A sampler at the tail keeps an error for itself; the calls that it left out that day were not
    untraced.
    """
    kept = [Usage(1, 1, tokens(input_uncached=5), None)]
    sampled = [Usage(1, 1, tokens(input_uncached=1000), None, variance=(90 * 10**3, 0))]

    plan = traced_plan(
        line(owner=OWNER),
        DAY,
        index({GPT: {DAY: kept, NEXT: sampled}}),
        Billed({DAY: Fraction(10), NEXT: Fraction(1000)}, Fraction(1010)),
    )

    assert (plan.note, len(plan.parts)) == ("within sampling error", 1)


def test_unpriced_usage_turns_list_price_into_tokens_for_everyone() -> None:
    rows = [Usage(1, 1, tokens(input_uncached=30), 5), Usage(2, 2, tokens(output_text=10), None)]

    plan = traced_plan(line(token_class=None), DAY, index({GPT: {DAY: rows}}), billed(None))

    assert plan.driver == "total tokens"
    assert plan.parts[0].entries == ((1, 30, 1), (2, 10, 2))


entries = st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 10**15), st.integers(1, 6)),
    min_size=1,
    max_size=8,
    unique_by=lambda e: e[0],
).map(lambda found: tuple(sorted(found)))
parts = st.lists(
    st.builds(
        Part,
        st.integers(1, 10**12),
        st.sampled_from(["shared", "untraced", "unallocated"]),
        entries,
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda part: part.kind,
).map(tuple)
amounts = st.builds(Amount, st.integers(-(10**22), 10**22), st.integers(12, 20))


@given(
    parts, amounts, amounts, st.none() | amounts, st.lists(st.booleans(), min_size=10, max_size=10)
)
def test_fault_074_no_plan_loses_or_makes_money(
    pieces: tuple[Part, ...],
    billed_cost: Amount,
    effective_cost: Amount,
    list_cost: Amount | None,
    known: list[bool],
) -> None:
    group = Group(1, DAY, 1, billed_cost, effective_cost, list_cost, None, None)
    plan = Plan(parts=pieces, driver="tokens", driver_total=1)

    rows = cut_group(group, plan, kind=None, is_allocated=known, rank=list(range(10)))

    assert sum(row[2] for row in rows) == billed_cost.quanta
    assert sum(row[3] for row in rows) == effective_cost.quanta
    if list_cost is not None:
        assert sum(row[4] or 0 for row in rows) == list_cost.quanta
    assert len({row[:2] for row in rows}) == len(rows)
    assert all((row[1] == "unallocated") == (row[6] == 6) for row in rows if not known[row[0]])


@given(parts, amounts)
def test_a_refund_of_a_whole_group_mirrors_it(pieces: tuple[Part, ...], amount: Amount) -> None:
    def cut(quanta: int) -> list[tuple[int, str, int]]:
        group = Group(1, DAY, 1, Amount(quanta, 12), Amount(quanta, 12), None, None, None)
        rows = cut_group(
            group, Plan(parts=pieces), kind=None, is_allocated=[True] * 10, rank=list(range(10))
        )
        return [(row[0], row[1], row[2]) for row in rows]

    assert [(t, k, -quanta) for t, k, quanta in cut(amount.quanta)] == cut(-amount.quanta)


# ---------------------------------------------------------------- names


TREE = Organisation(
    teams={"search": "search", "search engine": "search"},
    features={},
    feature_names={"chat": "chat", "the chat": "chat"},
)


@pytest.mark.parametrize(
    ("told", "target"),
    [
        (Owner(team="search"), Target(team="search")),
        (Owner(team=" SEARCH "), Target(team="search")),
        (Owner(team="Search  Engine"), Target(team="search")),
        (Owner(team="ｓearch"), Target(team="search")),
        (Owner(team="search", feature="The Chat"), Target(team="search", feature="chat")),
        (Owner(team="Serach"), Target(reason="unknown team: Serach")),
        (Owner(feature="new"), Target(feature="new", reason="no team")),
    ],
)
def test_fault_080_names_are_compared_without_case_width_and_spaces(
    told: Owner, target: Target
) -> None:
    assert resolve(TREE, told, model=None, day=DAY) == target


def test_amounts_meet_at_the_finer_scale() -> None:
    amount = Amount.of("1.5")
    amount.plus(1, 15)

    assert (amount.quanta, amount.places) == (1_500_000_000_000_001, 15)
    assert Amount.of(str(Decimal("0.25"))) == Amount(250_000_000_000, 12)
