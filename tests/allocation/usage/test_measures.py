"""What proportional splits go by: sums by target and day are exact, and those of the month are of
all days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocation.catalogue.canonical import TOKEN_COLUMNS
from allocation.organisation.targets import NAMED, FeaturePlace, Organisation, Owner, Target
from allocation.rules.methods import Split, parse_split
from allocation.usage.index import Usage
from allocation.usage.keys import Key
from allocation.usage.measures import (
    GpuRow,
    Measure,
    MeasureBook,
    Measures,
    Reading,
    summed,
    whole_numbers,
)
from allocation.values.money import exact_sum, plain
from tests.allocation.calls import DAY, GPT, LATER, MINI, NEXT, Days, index_of, used

DAYS = (None, date(2026, 10, 5), date(2026, 10, 6))
TARGETS = (Target(team="ads"), Target(team="search"), Target(reason="unknown team"))
NUMBERS = st.integers(-3, 10**18).map(str) | st.decimals(-2, 10**6, places=6).map(plain)
READINGS = st.lists(
    st.builds(Reading, st.sampled_from(DAYS), st.sampled_from(TARGETS), NUMBERS, st.integers(1, 5)),
    max_size=12,
)


@given(READINGS)
def test_sums_are_those_of_the_readings(readings: list[Reading]) -> None:
    sums = summed(readings)

    used = [reading for reading in readings if Decimal(reading.quantity)]
    assert {(day, target) for day, (by_target, _) in sums.items() for target in by_target} == {
        (day, reading.target) for reading in used for day in (reading.day, None)
    }
    for day, (by_target, places) in sums.items():
        for target, measure in by_target.items():
            own = [r for r in used if r.target == target and (day is None or r.day == day)]
            assert Decimal(measure.weight).scaleb(-places) == exact_sum(
                Decimal(r.quantity) for r in own
            )
            assert measure.rung == max(r.rung for r in own)
        assert not places or any(measure.weight % 10 for measure in by_target.values())


@given(
    st.lists(
        st.integers(0, 10**20)
        | st.integers(0, 10**6).map(lambda n: n * 10**6)
        | st.decimals(0, 10**6, places=6).map(Fraction),
        max_size=6,
    ),
    st.integers(0, 6),
)
def test_whole_numbers_have_no_more_places_than_they_need(
    numbers: list[int | Fraction], places: int
) -> None:
    sums = {Target(team=str(n)): number for n, number in enumerate(numbers)}

    whole, least = whole_numbers(sums, places)

    assert all(type(number) is int for number in whole.values())
    assert {target: Fraction(number, 10**least) for target, number in whole.items()} == {
        target: Fraction(number) / 10**places for target, number in sums.items()
    }
    if all(type(number) is int for number in numbers):
        assert 0 <= least <= places
    assert least in (0, places) or any(number % 10 for number in whole.values())


# ---------------------------------------------------------------- a month's measures


SUITE = FeaturePlace(date(2026, 1, 1), "ads", "suite")
TREE = Organisation({"ads": "ads", "search": "search"}, {"chat": (SUITE,)}, {"chat": "chat"})
EVE, AFTER = date(2026, 9, 30), date(2026, 11, 1)
WHO = (
    Target(team="ads", feature="chat", product="suite", model="gpt-4o"),
    Target(team="ads", environment="prod", model="gpt-4o"),
    Target(team="search", feature="tips", model="gpt-4o"),
    Target(reason="unknown team: ghost", feature="chat", model="gpt-4o"),
)
ADS, SEARCH, GHOST = (
    Target(team="ads"),
    Target(team="search"),
    Target(reason="unknown team: ghost"),
)


class Book:
    """Numbers that are given already."""

    targets = list(WHO)
    teamless: set[int] = set()

    def number(self, target: Target) -> int:
        raise LookupError(target)


def book_of(
    days: dict[Key, Days],
    *,
    gpu: Sequence[GpuRow] = (),
    series: Mapping[str, Sequence[Reading]] | None = None,
    places: int = 0,
) -> MeasureBook:
    traces = index_of(days, places=places)
    return MeasureBook(date(2026, 10, 1), TREE, Book(), traces, gpu, series or {})


def split(**keys: Any) -> Split:
    return parse_split("proportional", {"level": "team", **keys})


def weights(measures: Measures) -> dict[Target, int]:
    return {target: measure.weight for target, measure in measures.by_target.items()}


def calls(target: int, number: int | Fraction, *, rung: int = 1, count: int = 0) -> Usage:
    return used(target, count, rung=rung)._replace(calls=number)


def test_calls_are_counted_by_team_or_feature_on_a_day_and_in_the_month() -> None:
    rows = [calls(0, 3), calls(1, 4, rung=2), calls(2, 5), calls(3, 6)]
    book = book_of({GPT: {DAY: rows, NEXT: [calls(0, 10)]}})

    by_team = book(split(by="requests"), DAY)
    by_feature = book(split(by="requests", level="feature"), DAY)

    assert by_team.by_target == {ADS: Measure(7, 2), SEARCH: Measure(5, 1), GHOST: Measure(6, 1)}
    assert (by_team.name, by_team.places) == ("requests", 0)
    assert weights(by_feature) == {
        Target(team="ads", feature="chat", product="suite"): 3,
        ADS: 4,
        Target(team="search", feature="tips"): 5,
        GHOST: 6,
    }
    assert weights(book(split(by="requests"), None)) == {ADS: 17, SEARCH: 5, GHOST: 6}
    assert weights(book(split(by="requests"), LATER)) == {}


@pytest.mark.parametrize(
    ("by", "columns"),
    [
        ("tokens", TOKEN_COLUMNS),
        (
            "input_tokens",
            ("input_uncached", "cache_write_5m", "cache_write_1h", "input_audio", "input_image"),
        ),
        ("output_tokens", ("output_text", "reasoning", "output_audio", "output_image")),
        ("cached_tokens", ("cache_read",)),
    ],
)
def test_each_token_driver_counts_its_own_columns(by: str, columns: tuple[str, ...]) -> None:
    """A row that has a power of two in each column shows which of them were counted."""
    row = Usage(0, 1, tuple(2**n for n in range(len(TOKEN_COLUMNS))), None, calls=999)

    measures = book_of({GPT: {DAY: [row]}})(split(by=by), DAY)

    assert weights(measures) == {ADS: sum(2 ** TOKEN_COLUMNS.index(name) for name in columns)}
    assert measures.name == by.replace("_", " ")


def test_counts_stand_in_the_places_that_they_need() -> None:
    days = {GPT: {DAY: [calls(0, Fraction(5, 2), count=2_500_000), calls(2, 1, count=1_000_000)]}}
    book = book_of({**days, MINI: {DAY: [calls(0, 0, count=0)]}}, places=6)

    requests, tokens = book(split(by="requests"), DAY), book(split(by="tokens"), DAY)

    assert (weights(requests), requests.places) == ({ADS: 25, SEARCH: 10}, 1)
    assert (weights(tokens), tokens.places) == ({ADS: 25, SEARCH: 10}, 1)
    whole = book(split(by="requests", usage={"model": "gpt-4o-mini"}), DAY)
    assert (weights(whole), whole.places) == ({}, 0)


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (None, 11111),
        ({"model": "gpt-4o"}, 10111),
        ({"project": "proj-1"}, 11011),
        ({"provider": "openai"}, 1111),
        ({"provider": "gcp.vertex_ai"}, 10000),
        ({"provider": "gcp.gen_ai"}, 10000),  # another name of the same door
        ({"provider": "openai", "model": "gpt-4o", "project": "proj-1"}, 11),
        ({"model": "o1"}, 0),
    ],
)
def test_only_calls_of_what_the_split_names_are_counted(
    usage: dict[str, str] | None, counted: int
) -> None:
    days: dict[Key, Days] = {
        GPT: {DAY: [calls(0, 1)]},
        GPT._replace(is_batch=True): {DAY: [calls(0, 10)]},
        GPT._replace(project="proj-2"): {DAY: [calls(0, 100)]},
        MINI: {DAY: [calls(0, 1000)]},
        GPT._replace(provider="gcp.vertex_ai"): {DAY: [calls(0, 10000)]},
    }
    book, wanted = book_of(days), split(by="requests", usage=usage)

    assert weights(book(wanted, DAY)) == ({ADS: counted} if counted else {})
    assert weights(book(wanted, None)) == ({ADS: counted} if counted else {})
    assert book.has_usage(wanted, DAY) == bool(counted)


def test_days_outside_the_month_do_not_count() -> None:
    """They are there for charges that reach beyond it."""
    first, last = date(2026, 10, 1), date(2026, 10, 31)
    days = {day: [calls(0, 10**n)] for n, day in enumerate((EVE, first, last, AFTER))}
    owner = Owner(team="ads")
    gpu = [GpuRow(day, "n", owner, Decimal(10**n), None) for n, day in enumerate(days)]
    book = book_of({GPT: days}, gpu=gpu)

    for by in ("requests", "gpu_seconds"):
        assert weights(book(split(by=by), None)) == {ADS: 110}
    requests = split(by="requests")
    assert [weights(book(requests, day)) for day in days] == [{}, {ADS: 10}, {ADS: 100}, {}]
    assert [book.has_usage(requests, day) for day in days] == [False, True, True, False]


def test_a_day_has_usage_where_its_calls_count_for_something() -> None:
    nothing = {DAY: [calls(0, 0)], NEXT: [calls(0, 0, count=3)], LATER: [calls(0, 3)]}
    book = book_of({GPT: nothing})

    requests, tokens = split(by="requests"), split(by="tokens")

    assert [book.has_usage(requests, day) for day in nothing] == [False, False, True]
    assert [book.has_usage(tokens, day) for day in nothing] == [False, True, False]
    for driver in (requests, tokens):
        for day in nothing:
            assert book.has_usage(driver, day) == bool(weights(book(driver, day)))


def test_booked_gpu_seconds_count_for_who_booked_them() -> None:
    gpu = [
        GpuRow(DAY, "n", Owner(team="ads"), Decimal("1.50"), None),
        GpuRow(DAY, "m", Owner(feature="chat"), Decimal(2), None),
        GpuRow(NEXT, "n", Owner(team="ghost"), Decimal(7), None),
        GpuRow(DAY, "n", None, Decimal(0), Decimal(9)),
    ]
    book = book_of({}, gpu=gpu)

    of_day, of_month = (book(split(by="gpu_seconds"), day) for day in (DAY, None))

    assert (weights(of_day), of_day.places) == ({ADS: 35}, 1)
    assert (weights(of_month), of_month.places) == ({ADS: 35, GHOST: 70}, 1)
    assert (of_day.name, of_day.by_target[ADS].rung) == ("GPU-seconds booked", NAMED)


def test_series_count_by_their_days_and_seats_by_the_month() -> None:
    series = {
        "seats": [Reading(None, ADS, "3", 4), Reading(None, SEARCH, "1", 4)],
        "tickets": [Reading(DAY, ADS, "5", 4), Reading(None, SEARCH, "0.5", 4)],
    }
    book = book_of({}, series=series)

    tickets = split(by="series", series="tickets")

    assert weights(book(split(by="seats"), None)) == {ADS: 3, SEARCH: 1}
    assert book(split(by="seats"), None).name == "seats"
    assert (weights(book(tickets, DAY)), book(tickets, DAY).name) == ({ADS: 5}, "tickets")
    assert weights(book(tickets, None)) == {ADS: 50, SEARCH: 5}
    assert weights(book(tickets, NEXT)) == {}
    assert weights(book(split(by="series", series="none"), None)) == {}


def test_a_driver_that_there_is_none_of_is_an_error_of_the_program() -> None:
    with pytest.raises(LookupError, match=r"^there is no driver cost$"):
        book_of({})(split(by="cost"), DAY)
