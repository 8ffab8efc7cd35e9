"""Calls without a project: where they are placed, by example and for any rooms."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from allocation.plans.placing import Placed, Placement, ProjectRoom, place

SEARCH, ADS, SUPPORT = "search", "ads", "support"


def placed(calls: Mapping[str | None, int], *rooms: ProjectRoom) -> Placement:
    return place({team: Fraction(amount) for team, amount in calls.items()}, rooms)


def room(project: str, owner: str | None, uncovered: int) -> ProjectRoom:
    return ProjectRoom(project, owner, Fraction(uncovered))


def test_calls_go_to_their_own_teams_projects_first() -> None:
    found = placed(
        {SEARCH: 60, ADS: 50}, room("s", SEARCH, 100), room("a", ADS, 50), room("free", None, 90)
    )

    assert found.in_project == {
        "s": [Placed(SEARCH, Fraction(60), False)],
        "a": [Placed(ADS, Fraction(50), False)],
    }
    assert not found.left


def test_what_ones_own_projects_lack_goes_to_those_that_nobody_owns() -> None:
    found = placed({SEARCH: 160, ADS: 30}, room("s", SEARCH, 100), room("free", None, 60))

    assert found.in_project["free"] == [
        Placed(SEARCH, Fraction(40), False),
        Placed(ADS, Fraction(20), False),
    ]
    assert found.left == {SEARCH: 20, ADS: 10}


def test_other_teams_projects_are_an_inference_and_the_last_resort() -> None:
    found = placed({SEARCH: 150}, room("s", SEARCH, 100), room("a", ADS, 80))

    assert found.in_project["a"] == [Placed(SEARCH, Fraction(50), True)]


def test_a_team_that_sends_nothing_gets_nothing_on_evidence_of_traces() -> None:
    found = placed({SEARCH: 40, None: 10}, room("quiet", ADS, 100))

    assert {each.is_inferred for each in found.in_project["quiet"]} == {True}


def test_calls_that_find_no_room_have_no_part() -> None:
    found = placed({SEARCH: 7}, room("s", SEARCH, 0), room("free", None, -3))

    assert found.total("s") == found.total("free") == 0
    assert found.left == {SEARCH: 7}


TEAMS = st.sampled_from([SEARCH, ADS, SUPPORT, None])
AMOUNTS = st.fractions(min_value=0, max_value=1000, max_denominator=50)
CALLS = st.dictionaries(TEAMS, AMOUNTS)
ROOMS = st.lists(
    st.tuples(TEAMS, st.fractions(min_value=-100, max_value=1000, max_denominator=50)), max_size=6
).map(lambda pairs: [ProjectRoom(f"p{n}", *pair) for n, pair in enumerate(pairs)])


@given(CALLS, ROOMS)
def test_nothing_is_lost_and_no_room_is_overfilled(
    calls: dict[str | None, Fraction], rooms: list[ProjectRoom]
) -> None:
    found = place(calls, rooms)

    in_rooms = sum((found.total(each.project) for each in rooms), Fraction(0))
    assert in_rooms + sum(found.left.values()) == sum(calls.values())
    assert all(found.total(each.project) <= max(each.uncovered, Fraction(0)) for each in rooms)
    assert in_rooms == min(
        sum(calls.values()), sum((max(each.uncovered, Fraction(0)) for each in rooms), Fraction(0))
    )
    for one in (one for each in found.in_project.values() for one in each):
        assert one.amount > 0


@given(CALLS, ROOMS)
def test_no_order_matters(calls: dict[str | None, Fraction], rooms: list[ProjectRoom]) -> None:
    shuffled_calls = dict(reversed(list(calls.items())))
    found, again = place(calls, rooms), place(shuffled_calls, list(reversed(rooms)))

    assert found.left == again.left
    for each in rooms:
        assert sorted(map(repr, found.in_project.get(each.project, ()))) == sorted(
            map(repr, again.in_project.get(each.project, ()))
        )


@given(CALLS, ROOMS, TEAMS, st.integers(0, 5))
def test_one_named_call_more_changes_only_what_it_covers(
    calls: dict[str | None, Fraction], rooms: list[ProjectRoom], team: str | None, which: int
) -> None:
    """A token that names its project is placed no longer, and takes one other's room at the most,
    which finds another: three tokens that are not where they were.
    """
    if which >= len(rooms) or calls.get(team, Fraction(0)) < 1:
        return
    named = [*rooms]
    named[which] = rooms[which]._replace(uncovered=rooms[which].uncovered - 1)
    before = place(calls, rooms)
    after = place({**calls, team: calls[team] - 1}, named)

    moved = sum(
        (abs(before.total(each.project) - after.total(each.project)) for each in rooms),
        Fraction(0),
    )
    assert moved <= 3


@given(CALLS, ROOMS)
def test_only_other_teams_projects_are_inferred(
    calls: dict[str | None, Fraction], rooms: list[ProjectRoom]
) -> None:
    found = place(calls, rooms)
    owner = {each.project: each.owner for each in rooms}

    for project, those in found.in_project.items():
        for one in those:
            assert one.is_inferred == (owner[project] not in (None, one.team))
