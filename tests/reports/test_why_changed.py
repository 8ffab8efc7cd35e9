from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from allocation.values.money import exact_sum
from reports.analysis.spend import why_changed
from reports.cost_question.answers import SpendCell, UsageCell


def cell(
    now: str,
    before: str,
    *,
    feature: str | None = "ranking",
    model: str | None = "a",
    kind: str = "direct",
) -> SpendCell:
    return SpendCell("search", feature, model, "OpenAI", kind, None, Decimal(now), Decimal(before))


def use(
    model: str,
    *,
    calls: int,
    tokens: int,
    calls_before: int,
    tokens_before: int,
    feature: str = "ranking",
) -> UsageCell:
    return UsageCell(
        "search",
        feature,
        model,
        Decimal(calls),
        Decimal(tokens),
        Decimal(calls_before),
        Decimal(tokens_before),
    )


def parts(cells: list[SpendCell], usage: list[UsageCell]) -> dict[str, Decimal]:
    """By label, of features that are told by themselves too."""
    found: dict[str, Decimal] = {}
    for part in why_changed(cells, usage):
        found[part.label] = found.get(part.label, Decimal(0)) + part.amount
    return found


def test_twice_the_calls_is_volume() -> None:
    usage = [use("a", calls=200, tokens=2000, calls_before=100, tokens_before=1000)]

    assert parts([cell("20", "10")], usage) == {"Volume": Decimal(10)}


def test_longer_calls_are_tokens_per_call() -> None:
    usage = [use("a", calls=100, tokens=1500, calls_before=100, tokens_before=1000)]

    assert parts([cell("15", "10")], usage) == {"Tokens per call": Decimal(5)}


def test_a_price_cut_is_price() -> None:
    usage = [use("a", calls=100, tokens=1000, calls_before=100, tokens_before=1000)]

    assert parts([cell("8", "10")], usage) == {"Price": Decimal(-2)}


def test_moving_to_a_cheaper_model_is_mix() -> None:
    usage = [
        use("a", calls=50, tokens=500, calls_before=50, tokens_before=500),
        use("b", calls=50, tokens=500, calls_before=50, tokens_before=500),
    ]
    moved = [
        use("a", calls=0, tokens=0, calls_before=50, tokens_before=500),
        use("b", calls=100, tokens=1000, calls_before=50, tokens_before=500),
    ]

    assert parts([cell("8", "8"), cell("2", "2", model="b")], usage) == {}
    assert parts([cell("0", "8"), cell("4", "2", model="b")], moved) == {"Model mix": Decimal(-6)}


def test_new_gone_and_untraced_features_stand_apart() -> None:
    cells = [
        cell("5", "0", feature="new"),
        cell("0", "3", feature="old"),
        cell("9", "7", feature="gpu", model=None),
        cell("6", "2", feature="silent"),
        cell("-2", "0", kind="credit"),
        cell("4", "1", feature=None, model=None, kind="unallocated"),
    ]

    assert parts(cells, []) == {
        "New": Decimal(5),
        "Gone": Decimal(-3),
        "GPU and infrastructure": Decimal(2),
        "No trace": Decimal(4),
        "Unallocated": Decimal(3),
        "Credits": Decimal(-2),
    }


amounts = st.decimals(min_value=-1000, max_value=1000, places=15)
quantities = st.integers(min_value=0, max_value=10**9)
cells_of = st.builds(
    lambda now, before, feature, model, kind: SpendCell(
        "t", feature, model, "p", kind, None, now, before
    ),
    amounts,
    amounts,
    st.sampled_from(["f", "g", None]),
    st.sampled_from(["a", "b", None]),
    st.sampled_from(["direct", "shared", "credit", "untraced", "tax"]),
)
usage_of = st.builds(
    lambda feature, model, a, b, c, d: UsageCell(
        "t", feature, model, Decimal(a), Decimal(b), Decimal(c), Decimal(d)
    ),
    st.sampled_from(["f", "g"]),
    st.sampled_from(["a", "b"]),
    quantities,
    quantities,
    quantities,
    quantities,
)


@given(st.lists(cells_of, max_size=8), st.lists(usage_of, max_size=6))
def test_parts_always_make_the_difference_exactly(
    cells: list[SpendCell], usage: list[UsageCell]
) -> None:
    made = exact_sum(part.amount for part in why_changed(cells, usage))

    assert made == exact_sum([*(cell.now for cell in cells), *(-cell.before for cell in cells)])


def test_calls_that_another_currency_pays_for_are_no_volume() -> None:
    usage = [
        use("a", calls=100, tokens=1000, calls_before=100, tokens_before=1000),
        use("b", calls=900, tokens=9000, calls_before=100, tokens_before=1000),
    ]

    assert parts([cell("12", "10")], usage) == {"Price": Decimal(2)}


def test_the_largest_changes_without_calls_are_told_by_feature() -> None:
    cells = [cell(str(n), "0", feature=f"feature-{n}", model=None) for n in range(1, 8)]

    found = [(part.label, part.subject, part.amount) for part in why_changed(cells, [])]

    assert found == [
        ("New", ("search", "feature-7"), 7),
        ("New", ("search", "feature-6"), 6),
        ("New", ("search", "feature-5"), 5),
        ("New", ("search", "feature-4"), 4),
        ("New", None, 6),
    ]
