"""Who used what: rows by key and day, and the weights that they give."""

from __future__ import annotations

import pytest

from allocation.catalogue.canonical import ALL_COLUMNS
from allocation.usage.index import (
    COST_PLACES,
    LIST_COST,
    TOKENS,
    Row,
    Usage,
    UsageIndex,
    Weighing,
    billed_classes,
    token_label,
)
from allocation.usage.keys import ANY_PROJECT
from tests.allocation.calls import DAY, GPT, LATER, MINI, NEXT, index_of, tokens, used

INPUT, OUTPUT = (0,), (4,)
BY_INPUT = Weighing(GPT, DAY, TOKENS, INPUT)


def test_a_target_weighs_once_with_the_weakest_rung_behind_it() -> None:
    rows = [used(2, 5, rung=1), used(1, 3, rung=2), used(2, 10, rung=3), used(3, 0, rung=1)]

    found = index_of({GPT: {DAY: rows}}).weights(BY_INPUT)

    assert found.entries == ((1, 3, 2), (2, 15, 3))
    assert (found.total, found.name, found.places) == (18, "input_uncached tokens", 0)


def test_targets_stand_in_canonical_order_whatever_their_numbers() -> None:
    rows = [(GPT, DAY, used(number, 1)) for number in (0, 1, 2)]

    found = UsageIndex.of(rows, places=0, order=[2, 0, 1]).weights(BY_INPUT)

    assert [target for target, _, _ in found.entries] == [1, 2, 0]


def test_weights_are_of_the_day_or_of_all_days() -> None:
    index = index_of({GPT: {DAY: [used(1, 5)], NEXT: [used(1, 7), used(2, 1)]}})

    by_month = index.weights(BY_INPUT._replace(day=None))

    assert index.weights(BY_INPUT).entries == ((1, 5, 1),)
    assert index.weights(BY_INPUT._replace(day=NEXT)).entries == ((1, 7, 1), (2, 1, 1))
    assert by_month.entries == ((1, 12, 1), (2, 1, 1))
    assert by_month is index.weights(BY_INPUT._replace(day=None))
    assert index.weights(BY_INPUT._replace(day=LATER)).entries == ()


def test_columns_are_added_up() -> None:
    row = Usage(1, 1, tokens(input_uncached=1, cache_read=20, output_text=300), None)
    index = index_of({GPT: {DAY: [row]}})

    both = index.weights(BY_INPUT._replace(columns=(0, 1)))

    assert (both.entries, both.name) == (((1, 21, 1),), "input_uncached + cache_read tokens")
    assert index.weights(BY_INPUT._replace(columns=ALL_COLUMNS)).entries == ((1, 321, 1),)


def test_list_cost_weighs_in_places_of_its_own() -> None:
    rows = [Usage(1, 1, tokens(input_uncached=9), 5), Usage(2, 1, tokens(), None)]

    found = index_of({GPT: {DAY: rows}}, places=6).weights(BY_INPUT._replace(by=LIST_COST))

    assert (found.entries, found.name, found.places) == (((1, 5, 1),), "list cost", COST_PLACES)


def test_a_whole_provider_weighs_alike_for_all_of_its_models() -> None:
    index = index_of(
        {
            GPT: {DAY: [used(1, 5)]},
            MINI: {DAY: [used(2, 7)]},
            GPT._replace(project="proj-2"): {DAY: [used(3, 9)]},
        }
    )
    wide = BY_INPUT._replace(of_provider=True)

    assert index.weights(wide).entries == ((1, 5, 1), (2, 7, 1))
    assert index.weights(wide._replace(key=MINI)) is index.weights(wide)
    assert index.weights(BY_INPUT).entries == ((1, 5, 1),)
    everywhere = index.weights(wide._replace(key=GPT._replace(project=ANY_PROJECT)))
    assert everywhere.total == 21


def test_rows_that_come_later_are_found_with_those_of_other_days() -> None:
    rows = [(GPT, DAY, used(1, 5)), (GPT, NEXT, used(2, 7))]
    index = UsageIndex.of(rows[:1], places=0, order=range(9))
    index.add(rows[1:])

    assert index.weights(BY_INPUT._replace(day=NEXT)).entries == ((2, 7, 1),)
    assert index.rows([GPT], DAY) == [used(1, 5)]
    assert index.rows([MINI, GPT], NEXT) == [used(2, 7)]


def test_the_month_is_read_once_and_only_where_something_goes_by_it() -> None:
    days = index_of({GPT: {DAY: [used(1, 5)]}})
    asked: list[str] = []

    def month() -> list[Row]:
        asked.append("month")
        return [(GPT, DAY, used(1, 12)), (MINI, DAY, used(2, 1))]

    index = UsageIndex(days.facts, range(9), month)
    index.add([(GPT, DAY, used(1, 5))])

    assert (index.weights(BY_INPUT).total, asked) == (5, [])
    assert index.weights(BY_INPUT._replace(day=None)).total == 12
    assert index.rows([GPT, MINI], None) == [used(1, 12), used(2, 1)]
    assert asked == ["month"]


@pytest.mark.parametrize(
    ("by", "columns", "row", "weight"),
    [
        # x + v/X, with v a side's variance by the square of the class's part of it
        (TOKENS, (0,), Usage(1, 1, tokens(input_uncached=50), None, (3000, 0)), 80),
        (TOKENS, (0,), Usage(1, 1, tokens(input_uncached=50, cache_read=50), None, (12000, 0)), 80),
        (TOKENS, (4,), Usage(1, 1, tokens(output_text=50), None, (0, 3000)), 80),
        (TOKENS, (4,), Usage(1, 1, tokens(output_text=50), None, (3000, 0)), 50),
        (
            TOKENS,
            (0, 4),
            Usage(1, 1, tokens(input_uncached=25, output_text=25), None, (1, 2999)),
            80,
        ),
        (LIST_COST, (0,), Usage(1, 1, tokens(input_uncached=10, output_text=9), 50, (120, 0)), 80),
        (LIST_COST, (0,), Usage(1, 1, tokens(output_text=10), 50, (0, 120)), 80),
        (LIST_COST, (0,), Usage(1, 1, tokens(input_uncached=10, output_text=9), 50, (0, 120)), 50),
    ],
)
def test_a_weight_is_corrected_by_the_variance_of_its_own_side(
    by: str, columns: tuple[int, ...], row: Usage, weight: int
) -> None:
    """Beside another target of 50, of which every span was kept."""
    plain = Usage(2, 1, tuple(50 * (n == columns[0]) for n in range(10)), 50)

    found = index_of({GPT: {DAY: [row, plain]}}).weights(Weighing(GPT, DAY, by, columns))

    assert found.entries == ((1, weight, 1), (2, 50, 1))
    assert found.name.endswith(", corrected for sampling") == (weight != 50)


@pytest.mark.parametrize(
    ("columns", "label"),
    [
        (ALL_COLUMNS, "total tokens"),
        (OUTPUT, "output_text tokens"),
        ((0, 9), "input_uncached + output_image tokens"),
    ],
)
def test_drivers_are_named_by_their_columns(columns: tuple[int, ...], label: str) -> None:
    assert token_label(columns) == label


def test_classes_on_the_bill_are_known_by_key() -> None:
    lines = [(GPT, "input"), (GPT, "output"), (MINI, "input"), (GPT, "input"), (GPT, None)]

    assert billed_classes(lines) == {GPT: {"input", "output"}, MINI: {"input"}}
    assert billed_classes([(GPT, None)]) == {}
