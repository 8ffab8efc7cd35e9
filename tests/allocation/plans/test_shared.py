"""What a split is read as, and the plan that comes of it: drivers, notes, rungs, time; without a
database.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from allocation.charges.split_keys import SourceSettings, SplitKey, into_pool
from allocation.organisation.targets import FeaturePlace, Organisation, Owner, Target, at_level
from allocation.plans.allocation_base import AllocationBase, BaseCost
from allocation.plans.drivers import DAY_USAGE, MONTH_USAGE, OTHER_DATA
from allocation.plans.plan import Part, Plan
from allocation.plans.shared import Splitter
from allocation.rules.methods import Member, Split, parse_split, percent_text
from allocation.usage.measures import Measure, Measures

EVE, DAY, NEXT = (
    date(2026, 10, 4),
    date(2026, 10, 5),
    date(2026, 10, 6),
)  # the tree changes with NEXT
SOURCE = SourceSettings(1, "cloud", "strict", "auto")
A, B, GHOST = Target(team="a"), Target(team="b"), Target(reason="unknown team: ghost")
TREE = Organisation(
    teams={"a": "a", "b": "b", "team b": "b"},
    features={
        "chat": (FeaturePlace(date(2026, 1, 1), "a", "suite"), FeaturePlace(NEXT, "b", None))
    },
    feature_names={"chat": "chat"},
)


def split_of(method: str, **keys: Any) -> Split:
    return parse_split(method, keys)


def key_of(split: Split | None, **columns: Any) -> SplitKey:
    return replace(
        SplitKey(
            SOURCE, "USD", "r", "fixed", "ai", None, None, "Usage", None, kind=None, split=split
        ),
        **columns,
    )


class Book:
    """Drivers by day, and numbers of targets."""

    def __init__(
        self, days: dict[date | None, dict[Target, Measure]] | None = None, places: int = 0
    ) -> None:
        self.days = days or {}
        self.places = places
        self.targets: list[Target] = []
        self.asked: list[date | None] = []
        self.splitter = Splitter(TREE, self, self.number)

    def __call__(self, split: Split, day: date | None) -> Measures:
        self.asked.append(day)
        return Measures(self.days.get(day, {}), self.places, "seats")

    def has_usage(self, split: Split, day: date) -> bool:
        return day in self.days

    def number(self, target: Target) -> int:
        if target not in self.targets:
            self.targets.append(target)
        return self.targets.index(target)

    def plan(self, split: Split | None, day: date = DAY, **columns: Any) -> Plan:
        return self.splitter.plan(key_of(split, **columns), day)

    def shown(self, part: Part) -> list[tuple[Target, int, int]]:
        return [(self.targets[number], weight, rung) for number, weight, rung in part.entries]


def test_a_split_reads_as_written_and_has_its_defaults() -> None:
    fixed = split_of(
        "fixed",
        shares=[{"team": "a", "share": "66.6"}, {"pool": "p", "share": 33.4}],
        name="r",
        when=None,
    )
    seats = split_of("proportional", by="seats", among="teams", min_share=0, max_share=100)
    series = split_of(
        "proportional",
        by="series",
        series="q",
        among=[{"team": 7, "environment": "prod"}],
        level="team",
    )
    calls = split_of(
        "proportional", by="requests", usage={"project": 1, "model": "x"}, weights="month"
    )
    cost = split_of("proportional", by="cost", of_rules=["x", "y"])

    assert fixed == Split(
        "fixed",
        '{"method": "fixed", "shares": [{"share": "66.6", "team": "a"}, '
        '{"pool": "p", "share": 33.4}]}',
        members=(
            Member(Owner(team="a"), None, Fraction("66.6")),
            Member(Owner(), "p", Fraction("33.4")),
        ),
    )
    assert fixed.pools == ("p",)
    assert (seats.driver, seats.series, seats.by_day, seats.level, seats.every_team) == (
        "seats",
        "seats",
        False,
        "feature",
        True,
    )
    assert (seats.min_share, seats.max_share, seats.members, seats.usage) == (0, 100, (), ())
    assert (series.series, series.by_day, series.level, series.every_team) == (
        "q",
        True,
        "team",
        False,
    )
    assert series.members == (Member(Owner(team="7", environment="prod")),)
    assert (series.min_share, series.max_share) == (None, None)
    assert (calls.usage, calls.by_day, calls.of_rules) == (
        (("model", "x"), ("project", "1")),
        False,
        (),
    )
    assert (cost.of_rules, cost.by_day, cost.series) == (("x", "y"), False, None)
    assert split_of("proportional", by="gpu_seconds").by_day
    assert split_of("proportional", by="tokens", usage={"provider": "é"}).text == (
        '{"by": "tokens", "method": "proportional", "usage": {"provider": "é"}}'
    )
    assert into_pool("p").text == '{"method": "fixed", "shares": [{"pool": "p", "share": 100}]}'
    assert split_of("even", among=[{"feature": "chat"}]).members == (Member(Owner(feature="chat")),)
    assert (
        split_of(
            "proportional", by="seats", min_share=50, among=[{"team": "a"}, {"team": "b"}]
        ).min_share
        == 50
    )
    assert split_of("proportional", by="seats", min_share=50, max_share=50).max_share == 50


@pytest.mark.parametrize(
    ("share", "text"), [(Fraction(50), "50"), (Fraction(1, 3), "0.333333"), (Fraction(5, 2), "2.5")]
)
def test_percentages_for_people(share: Fraction, text: str) -> None:
    assert percent_text(share) == text


def test_fixed_shares_are_smallest_whole_weights_and_zeros_are_left_out() -> None:
    book = Book()
    shares = [
        {"team": "ghost", "share": 0},
        {"team": "Team B", "share": 25},
        {"team": "a", "share": 75},
    ]

    plan = book.plan(split_of("fixed", shares=shares), model="gpt")

    assert plan == Plan(
        parts=(Part(4, "shared", ((0, 3, 4), (1, 1, 4))),),
        driver="fixed shares",
        driver_total=4,
        places=0,
    )
    assert book.targets == [A._replace(model="gpt"), B._replace(model="gpt")]


def test_equal_shares_of_teams_and_of_members_who_are_the_same_target() -> None:
    book = Book()

    every = book.plan(split_of("even", among="teams"), kind="adjustment")
    twice = book.plan(split_of("even", among=[{"team": "a"}, {"team": "b"}, {"team": "TEAM B"}]))

    assert every.parts == (Part(2, "adjustment", ((0, 1, 4), (1, 1, 4))),)
    assert every.driver == "equal shares"
    assert book.shown(twice.parts[0]) == [(A, 1, 4), (B, 2, 4)]
    nobody = Splitter(Organisation({}, {}, {}), book, book.number)
    assert nobody.plan(key_of(split_of("even", among="teams")), DAY).note == "no driver data"


def test_a_driver_weighs_in_its_own_places_with_the_rung_of_what_says_so() -> None:
    book = Book({None: {B: Measure(25, 2), A: Measure(75, 1), GHOST: Measure(0, 1)}}, places=2)

    plan = book.plan(split_of("proportional", by="seats"))

    assert plan == Plan(
        parts=(Part(100, "shared", ((0, 75, 1), (1, 25, 2))),),
        driver="seats",
        driver_total=100,
        places=2,
    )
    assert book.targets == [A, B]
    assert book.asked == [None]


def test_a_day_without_a_driver_takes_the_months_and_says_so() -> None:
    book = Book({DAY: {A: Measure(1, 1)}, None: {B: Measure(1, 1)}})
    daily = split_of("proportional", by="requests")

    here, there = book.plan(daily), book.plan(daily, EVE)

    assert (book.shown(here.parts[0]), here.widened) == ([(A, 1, 1)], None)
    assert (book.shown(there.parts[0]), there.widened) == ([(B, 1, 1)], "month")
    assert book.asked == [DAY, EVE, None]


def test_a_plan_of_the_month_is_made_once_and_again_where_a_feature_moves() -> None:
    book = Book({None: {A: Measure(1, 1)}})
    seats = split_of("proportional", by="seats")
    chat = split_of("even", among=[{"feature": "chat"}])

    assert book.plan(seats) is book.plan(seats, date(2026, 10, 1))
    assert book.plan(seats) is not book.plan(seats, model="gpt")
    before, after = book.plan(chat), book.plan(chat, NEXT)
    assert book.shown(before.parts[0]) == [
        (Target(team="a", feature="chat", product="suite"), 1, 4)
    ]
    assert book.shown(after.parts[0]) == [(Target(team="b", feature="chat"), 1, 4)]


@pytest.mark.parametrize(
    ("month", "members", "reason"),
    [
        ({}, None, "no driver data"),
        ({A: Measure(0, 1)}, None, "driver is zero"),
        ({B: Measure(3, 1)}, [{"team": "a"}], "driver is zero"),
        ({}, [{"team": "a"}], "no driver data"),
    ],
)
def test_fault_075_what_cannot_be_weighed_is_unallocated_and_says_why(
    month: dict[Target, Measure], members: list[dict[str, str]] | None, reason: str
) -> None:
    book = Book({None: month})

    plan = book.plan(
        split_of("proportional", by="seats", **({"among": members} if members else {})), model="gpt"
    )

    assert plan == Plan(parts=(Part(1, "unallocated", ((0, 1, 6),)),), note=reason)
    assert book.targets == [Target(model="gpt", reason=reason)]


def test_members_count_what_is_theirs() -> None:
    chat, tips = Target(team="a", feature="chat"), Target(team="a", feature="tips")
    book = Book({None: {chat: Measure(2, 1), tips: Measure(3, 3), B: Measure(5, 2)}})
    members = [
        {"team": "a"},
        {"feature": "chat"},
        {"team": "b", "feature": "chat"},
        {"team": "ghost"},
    ]

    plan = book.plan(split_of("proportional", by="seats", among=members))

    found = {target: (weight, rung) for target, weight, rung in book.shown(plan.parts[0])}
    assert found == {A: (5, 3), Target(team="a", feature="chat", product="suite"): (2, 1)}


def test_a_members_name_means_who_had_it_on_the_day() -> None:
    """The alias "chatters" passes from one team to another on the day NEXT."""
    tree = replace(
        TREE,
        team_aliases={"chatters": ((date(2026, 1, 1), "a"), (NEXT, "b"))},
        feature_aliases={"talk": ((date(2026, 1, 1), "chat"), (NEXT, "tips"))},
    )
    chat, tips = Target(team="a", feature="chat"), Target(team="b", feature="tips")
    book = Book({None: {chat: Measure(2, 1), tips: Measure(3, 1)}})
    splitter = Splitter(tree, book, book.number)
    for member in ({"team": "chatters"}, {"feature": "talk"}):
        split = split_of("proportional", by="seats", among=[member, {"team": "ghost"}])

        weights = [splitter.plan(key_of(split), day).parts[0].entries[0][1] for day in (DAY, NEXT)]

        assert weights == [2, 3]


def test_bounds_make_weights_of_shares_and_what_no_one_may_take_is_left() -> None:
    book = Book({None: {A: Measure(8, 1), B: Measure(1, 2), Target(team="c"): Measure(0, 1)}})

    capped = book.plan(split_of("proportional", by="seats", max_share=40))
    lifted = book.plan(split_of("proportional", by="seats", min_share="12.5"))
    members = book.plan(
        split_of("proportional", by="seats", min_share=10, among=[{"team": "a"}, {"team": "ghost"}])
    )

    assert [(part.weight, part.kind, book.shown(part)) for part in capped.parts] == [
        (4, "shared", [(A, 2, 1), (B, 2, 2)]),
        (1, "unallocated", [(Target(reason="over every cap"), 1, 6)]),
    ]
    assert (capped.driver, capped.driver_total, capped.note) == (
        "seats within bounds",
        5,
        "over every cap",
    )
    assert book.shown(lifted.parts[0]) == [(A, 7, 1), (B, 1, 2)]
    assert (lifted.note, lifted.places) == (None, 0)
    assert book.shown(members.parts[0]) == [(GHOST, 1, 4), (A, 9, 1)]


def test_pools_hand_on_what_enters_them_and_the_weakest_rung() -> None:
    book = Book({None: {A: Measure(3, 1), B: Measure(1, 2)}}, places=3)
    platform = split_of(
        "fixed", shares=[{"pool": "network", "share": 50}, {"team": "a", "share": 50}]
    )
    network = split_of("proportional", by="seats")
    pools = (("network", network), ("platform", platform))

    plan = book.plan(into_pool("platform"), pools=pools)
    alone = book.plan(into_pool("network"), pools=pools)

    assert book.shown(plan.parts[0]) == [(A, 7, 4), (B, 1, 2)]
    assert (plan.driver, plan.driver_total, plan.places) == ("fixed shares", 8, 0)
    assert plan.note == "through pool platform, pool network"
    assert (alone.driver, alone.note) == ("seats", "through pool network")
    assert book.shown(alone.parts[0]) == [(A, 3, 1), (B, 1, 2)]


def test_a_pool_without_a_driver_leaves_its_part_in_sight() -> None:
    book = Book()
    split = split_of(
        "fixed",
        shares=[{"pool": "p", "share": 30}, {"pool": "q", "share": 10}, {"team": "a", "share": 60}],
    )
    empty = split_of("proportional", by="seats")

    plan = book.plan(split, pools=(("p", empty), ("q", empty)))

    assert [(part.weight, part.kind) for part in plan.parts] == [(3, "shared"), (2, "unallocated")]
    assert book.targets == [A, Target(reason="no driver data")]
    assert (plan.note, plan.driver_total) == ("no driver data", 5)


def test_pools_within_a_cap_leave_what_no_one_may_take_and_are_all_named() -> None:
    book = Book({None: {A: Measure(1, 1), B: Measure(1, 2)}})
    split = split_of("fixed", shares=[{"pool": "p", "share": 50}, {"pool": "q", "share": 50}])
    capped, whole = (
        split_of("proportional", by="seats", max_share=40),
        split_of("even", among=[{"team": "a"}]),
    )

    plan = book.plan(split, pools=(("p", capped), ("q", whole)))
    named = book.plan(split, pools=(("p", whole), ("q", whole)), model="gpt")

    assert [(part.weight, part.kind) for part in plan.parts] == [(9, "shared"), (1, "unallocated")]
    assert book.shown(plan.parts[0]) == [(A, 7, 4), (B, 2, 2)]
    assert named.note == "through pool p, pool q"


def test_a_cap_alone_gives_nobody_a_minimum_and_says_how_far_the_driver_was_widened() -> None:
    book = Book({None: {A: Measure(999, 1), B: Measure(1, 1)}})

    plan = book.plan(split_of("proportional", by="requests", max_share=100))

    assert book.shown(plan.parts[0]) == [(A, 999, 1), (B, 1, 1)]
    assert (plan.driver, plan.widened) == ("seats within bounds", "month")


@pytest.mark.parametrize(
    ("split", "data"),
    [
        (split_of("fixed", shares=[{"team": "a", "share": 100}]), ()),
        (split_of("even", among="teams"), ()),
        (split_of("proportional", by="cost"), ()),
        (split_of("proportional", by="seats"), (OTHER_DATA,)),
        (split_of("proportional", by="series", series="q"), (OTHER_DATA,)),
        (split_of("proportional", by="gpu_seconds"), (OTHER_DATA,)),
        (split_of("proportional", by="requests"), (DAY_USAGE,)),
        (split_of("proportional", by="cached_tokens"), (DAY_USAGE,)),
        (split_of("proportional", by="requests", weights="month"), (MONTH_USAGE,)),
        (into_pool("calls"), (DAY_USAGE,)),
        (into_pool("people"), (MONTH_USAGE, OTHER_DATA)),
    ],
)
def test_a_plan_names_the_data_that_it_depends_on(split: Split, data: tuple[str, ...]) -> None:
    """On a day without calls, those of the month."""
    book = Book({DAY: {A: Measure(1, 1)}})
    pools = {
        "calls": (("calls", split_of("proportional", by="requests")),),
        "people": (
            ("calls", split_of("proportional", by="requests", weights="month")),
            ("people", split_of("proportional", by="seats")),
        ),
    }
    key = key_of(split, pools=pools[split.pools[0]] if split.pools else ())
    of_month = tuple(MONTH_USAGE if name == DAY_USAGE else name for name in data)

    assert book.splitter.goes_by(key, DAY) == tuple(sorted(data))
    assert book.splitter.goes_by(key, EVE) == tuple(sorted(of_month))


def test_pools_are_weighed_by_the_day_where_any_of_them_is() -> None:
    book = Book({DAY: {A: Measure(1, 1)}, EVE: {B: Measure(1, 1)}})
    daily = split_of("proportional", by="requests")

    here, there = (book.plan(into_pool("p"), day, pools=(("p", daily),)) for day in (DAY, EVE))

    assert TREE.epoch(DAY) == TREE.epoch(EVE)
    assert (book.shown(here.parts[0]), book.shown(there.parts[0])) == ([(A, 1, 1)], [(B, 1, 1)])


def test_a_split_key_without_a_split_is_an_error_of_the_program() -> None:
    with pytest.raises(LookupError, match=r"^rule r has no split$"):
        Book().plan(None)


# ---------------------------------------------------------------- by other cost


def base_of(*rows: tuple[SplitKey, Target, int]) -> AllocationBase:
    costs: dict[SplitKey, list[tuple[Target, BaseCost]]] = {}
    for rung, (of, target, effective) in enumerate(rows, 1):
        costs.setdefault(of, []).append((target, BaseCost(effective, rung=rung)))
    return AllocationBase(costs, 4)


def test_cost_weighs_by_the_first_stage_or_by_the_rules_named() -> None:
    first, second = key_of(None, rule="first"), key_of(None, rule="second", stage=1)
    book = Book()
    book.splitter.base = base_of(
        (first, A._replace(feature="chat", model="gpt"), 30),
        (first, A._replace(feature="tips"), 40),
        (first, GHOST, 1000),
        (second, B, 7),
    )

    by_team = book.plan(split_of("proportional", by="cost", level="team"))
    by_feature = book.plan(split_of("proportional", by="cost"))
    of_rule = book.plan(split_of("proportional", by="cost", of_rules=["second"]))

    assert book.shown(by_team.parts[0]) == [(A, 70, 2)]
    assert book.shown(by_feature.parts[0]) == [
        (A._replace(feature="chat"), 30, 1),
        (A._replace(feature="tips"), 40, 2),
    ]
    assert book.shown(of_rule.parts[0]) == [(B, 7, 4)]
    assert (by_team.driver, by_team.places, by_team.widened) == ("effective cost", 4, None)


@pytest.mark.parametrize(
    ("given", "weights"),
    [
        ((30, -5), [(A, 30, 1)]),
        ((-30, 5), [(A, 30, 1)]),
        ((-30, -10), [(A, 30, 1), (B, 10, 2)]),
        ((30, -30), None),
        ((0, 0), None),
    ],
)
def test_what_was_given_against_the_sign_of_the_whole_weighs_nothing(
    given: tuple[int, int], weights: list[tuple[Target, int, int]] | None
) -> None:
    book = Book()
    of = key_of(None, rule="first")
    book.splitter.base = base_of((of, A, given[0]), (of, B, given[1]))

    plan = book.plan(split_of("proportional", by="cost"))

    if weights is None:
        assert plan.note == "no driver data"
    else:
        assert book.shown(plan.parts[0]) == weights


def test_levels_of_a_target() -> None:
    whole = Target("a", "gpt", "chat", "suite", "prod", "customer", "build")

    assert at_level(whole, "team") == Target(team="a")
    assert at_level(whole, "feature") == Target(team="a", feature="chat", product="suite")
    assert at_level(GHOST, "feature") is None
