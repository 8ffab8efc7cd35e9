"""Plans beside what was spent: exact sums, each cost under one plan, and the pace."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from allocation.planning.holders import PlanHolder
from reports.analysis.on_plan import DaySpend, Pace, holders_of, on_plan

LAST = date(2026, 11, 30)
SEARCH, GROWTH = PlanHolder("team", "search"), PlanHolder("team", "growth")
CENTER = PlanHolder("cost_center", "4100")


def center_of(team: str | None, day: date) -> str | None:
    """Search stands in 4100 until the tenth, then in 4200; docs always in 4100."""
    if team == "search":
        return "4100" if day.day < 10 else "4200"
    return {"docs": "4100", "growth": "6100"}.get(team or "")


def spend(team: str | None, day: int, cost: str, left_out: str = "0") -> DaySpend:
    return DaySpend(team, "AWS", date(2026, 11, day), Decimal(cost), Decimal(left_out))


def test_a_centre_s_plan_holds_those_of_its_teams() -> None:
    plans = {holder: (holder.own, Decimal(100)) for holder in (CENTER, PlanHolder("team", "docs"))}

    counting, holder_of = holders_of(plans, center_of, LAST)
    found = on_plan(
        {holder: plans[holder] for holder in counting},
        [spend("docs", 1, "10.5"), spend("search", 9, "1"), spend("search", 10, "2")],
        holder_of,
        None,
    )

    assert counting == [CENTER]
    assert [(line.plan, line.actual, line.left) for line in found.lines] == [
        (Decimal(100), Decimal("11.5"), Decimal("88.5"))
    ]
    assert found.unplanned == 2


def test_cost_without_a_team_is_without_a_plan() -> None:
    counting, holder_of = holders_of([SEARCH], center_of, LAST)

    found = on_plan({SEARCH: ("Search", Decimal(5))}, [spend(None, 1, "7")], holder_of, None)

    assert (counting, found.unplanned, found.lines[0].actual) == ([SEARCH], 7, 0)


def test_the_pace_goes_by_each_source_s_days_and_takes_the_invoice_as_it_stands() -> None:
    spent = [
        spend("search", 1, "10"),
        spend("search", 2, "5", "5"),  # tax
        DaySpend("search", "Google", date(2026, 11, 1), Decimal(3), Decimal(0)),
    ]
    pace = Pace({"AWS": Fraction(30, 20), "Google": Fraction(30, 9)}, places=2)

    (line,) = on_plan(
        {SEARCH: ("Search", Decimal(20))}, spent, holders_of([SEARCH], center_of, LAST)[1], pace
    ).lines

    assert line.actual == 18
    assert line.pace == Decimal("30.00")  # 10 x 1.5, 3 x 3.33.. and 5 as they stand
    assert line.over == 10
    assert line.left == 2


def test_a_plan_of_nothing_has_no_share() -> None:
    found = on_plan({SEARCH: ("Search", Decimal(0))}, [], lambda *_: SEARCH, None)

    assert (found.lines[0].share, found.lines[0].left, found.has_pace) == (None, 0, False)


amounts = st.decimals(-1000, 1000, places=12)
spends = st.lists(
    st.builds(
        spend,
        st.sampled_from([None, "search", "docs", "growth", "nobody"]),
        st.integers(1, 30),
        amounts.map(str),
    ),
    max_size=30,
)


@given(spends, st.sets(st.sampled_from([SEARCH, GROWTH, CENTER, PlanHolder("team", "docs")])))
def test_every_cost_stands_under_one_plan_or_none(
    spent: list[DaySpend], plans: set[PlanHolder]
) -> None:
    ordered = sorted(plans)
    counting, holder_of = holders_of(ordered, center_of, LAST)

    found = on_plan(
        {holder: ("", Decimal(1)) for holder in counting},
        spent,
        holder_of,
        Pace({"AWS": Fraction(30, 7)}, places=2),
    )

    assert found.total.actual + found.unplanned == sum(one.cost for one in spent)
    assert (found.total.pace or 0) == sum(line.pace or 0 for line in found.lines)
    assert found.total.left == len(counting) - found.total.actual
