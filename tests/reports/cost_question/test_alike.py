"""What of an open month is compared, and when a month is closed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
import time_machine

from allocation.models import AllocationRun
from allocation.values.periods import Period
from portal.accounts.models import Role
from reports.cost_question.alike import BilledMonth, Compared, alike, is_open, usual_invoice
from reports.cost_question.answers import CostRow, costs
from reports.cost_question.question import Alike, SourceDays
from reports.cost_question.runs import current_runs
from tests.factories import Costs, client_of, make_source, make_team
from tests.ledger_rows import add_cost, asked_about
from tests.portal.pages.words import text_of

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
MONTH = Period.month(NOVEMBER)
TODAY = date(2026, 11, 21)


def compared(through: date = MONTH.last_day, period: Period = MONTH) -> Compared:
    elapsed = period.through(through)
    return Compared((), period, elapsed, elapsed.before())


def billed(
    through: date | None, *, invoice: bool = True, month: date = NOVEMBER, source: int = 1
) -> BilledMonth:
    return BilledMonth(source, "AWS", month, through, invoice)


INVOICED_BEFORE = billed(date(2026, 10, 31), month=OCTOBER)
COMPLETE = billed(MONTH.last_day)


@pytest.mark.parametrize(
    ("periods", "november", "today", "expected"),
    [
        (compared(TODAY), COMPLETE, TODAY, True),  # bills reach the 21st
        (compared(), COMPLETE, date(2026, 11, 30), True),  # the month still runs
        (compared(), COMPLETE, date(2026, 12, 1), False),
        (compared(), billed(date(2026, 11, 29)), date(2026, 12, 2), True),  # a day is missing
        (compared(), billed(MONTH.last_day, invoice=False), date(2026, 12, 2), True),
        (compared(), billed(MONTH.last_day, invoice=False), date(2026, 12, 11), False),
        (compared(), billed(None), date(2026, 12, 1), False),  # nothing is charged by the day
        (compared(TODAY), COMPLETE, date(2027, 2, 1), True),  # bills end in the middle
    ],
)
def test_a_month_is_open_until_bills_and_invoice_are_there(
    periods: Compared, november: BilledMonth, today: date, expected: bool
) -> None:
    assert is_open(periods, [INVOICED_BEFORE, november], today=today) is expected


def test_a_source_without_invoice_charges_before_needs_none() -> None:
    before = INVOICED_BEFORE._replace(has_invoice=False)
    november = billed(MONTH.last_day, invoice=False)

    assert not is_open(compared(), [before, november], today=date(2026, 12, 2))


def test_days_of_an_open_month_are_open_and_those_of_a_closed_one_are_not() -> None:
    days = Period(date(2026, 11, 3), date(2026, 11, 8))
    earlier = Period(date(2026, 10, 3), date(2026, 10, 8))

    assert is_open(compared(days.last_day, days), [], today=TODAY)
    assert not is_open(compared(earlier.last_day, earlier), [], today=TODAY)


# ---------------------------------------------------------------- of stored runs


@pytest.fixture
def company(db: None) -> None:
    """October whole, with its invoice; November to the 20th, of one source to the 18th."""
    make_team("search")
    october = Costs(OCTOBER)
    for day in range(1, 32):
        october.add(day, "10", team="search", feature="chat", model="gpt-4o")
        october.add(day, "1", team="search", source="Google", provider_name="Google")
    october.add(10, "31", team="search", with_invoice="tax", charge_kind="tax")
    october.add(10, "20", team="search", with_invoice="support", charge_kind="shared")
    october.add(10, "-6", team="search", with_invoice="credit", charge_kind="credit")
    october.balance()
    november = Costs(NOVEMBER)
    for day in range(1, 21):
        november.add(day, "10.1", team="search", feature="chat", model="gpt-4o")
    for day in range(1, 19):
        november.add(day, "1", team="search", source="Google", provider_name="Google")
    november.add(4, "-50", team="search", with_invoice="credit", charge_kind="credit")
    november.balance()


@pytest.fixture
def mid_november() -> Iterator[None]:
    with time_machine.travel(datetime(2026, 11, 21, 8, tzinfo=UTC), tick=False):
        yield


def stored() -> Compared:
    return replace(compared(date(2026, 11, 20)), runs=tuple(current_runs()))


def test_each_source_is_compared_by_the_days_it_is_billed_for(company: None) -> None:
    assert alike(stored(), today=TODAY) == Alike(
        (
            SourceDays(make_source("AWS").pk, date(2026, 11, 21), date(2026, 10, 21)),
            SourceDays(make_source("Google").pk, date(2026, 11, 19), date(2026, 10, 19)),
        )
    )


def test_a_source_billed_to_the_end_of_its_month_is_compared_whole(company: None) -> None:
    """The others by their days, until the month is closed."""
    november = AllocationRun.objects.get(billing_month=NOVEMBER)
    cost = {"billed_cost": Decimal(1), "effective_cost": Decimal(1)}
    names = {"source_id": make_source("AWS").pk, "team": "search"}
    add_cost(november, date(2026, 11, 30), evidence=4, names=names, **cost)

    assert alike(replace(compared(), runs=tuple(current_runs())), today=date(2026, 12, 1)) == Alike(
        (
            SourceDays(make_source("AWS").pk, date(2026, 12, 1), date(2026, 11, 1)),
            SourceDays(make_source("Google").pk, date(2026, 11, 19), date(2026, 10, 19)),
        )
    )


def test_what_comes_with_the_invoice_is_left_out_on_both_sides(company: None) -> None:
    periods = stored()
    question = replace(
        asked_about(periods.runs[0].id),
        runs=periods.runs,
        period=periods.elapsed,
        compare=periods.before,
        alike=alike(periods, today=TODAY),
    )

    (row,) = costs(question.by("team"))

    # 20 days of 10.1 and 18 of 1, less a credit, against 20 of 10 and 18 of 1.
    assert row == CostRow(("search",), Decimal("170"), Decimal("218"), Decimal("-50"))
    assert usual_invoice(question, before=NOVEMBER) == {"tax": 31, "support": 20, "credit": -6}
    assert usual_invoice(question, before=OCTOBER) == {}


def test_a_source_that_is_not_billed_yet_is_not_compared(company: None) -> None:
    october = Costs(OCTOBER, currency="EUR")
    october.add(5, "7", team="search", source="Azure")
    october.balance()

    known = alike(replace(stored(), runs=tuple(current_runs())), today=TODAY)

    assert known is not None
    assert make_source("Azure").pk not in {one.source_id for one in known.days}


@pytest.mark.usefixtures("company", "mid_november")
def test_pages_compare_like_for_like_and_say_so() -> None:
    for address in ("/executive/?period=2026-11", "/showback/search/?period=2026-11"):
        context = (response := client_of(Role.EXECUTIVE).get(address)).context
        body = text_of(response.content)

        assert context["total"].now == 170
        assert (context["total"].compared, context["before"]) == (220, 218)
        assert "170 USD" in body
        assert "up 2 (0.9%) against 1 to 20 Oct 2026" in body
        assert "the same days of each source, without tax, support and credits" in body
        assert "About 45 USD of these come with the invoice" in body
        rows = context["change_chart"].table
        assert rows.total["amount"].value == 220
        assert sum(row["amount"].value for row in rows.rows) == 220
    teams = client_of(Role.EXECUTIVE).get("/showback/?period=2026-11").context["table"]
    assert teams.rows[0]["change"].moved() == 2
    assert teams.total["change"].moved() == 2


@pytest.mark.usefixtures("company", "mid_november")
def test_an_amount_that_is_all_left_out_has_no_comparison() -> None:
    make_team("legal")
    names = {
        "source_id": make_source().pk,
        "team": "legal",
        "rule": "support",
        "with_invoice": "support",
    }
    run = AllocationRun.objects.get(billing_month=NOVEMBER)
    add_cost(
        run,
        date(2026, 11, 4),
        evidence=4,
        names=names,
        billed_cost=Decimal(9),
        effective_cost=Decimal(9),
    )

    table = client_of(Role.EXECUTIVE).get("/showback/?period=2026-11").context["table"]
    legal = next(row for row in table.rows if row["name"].value == "Legal")

    assert (legal["cost"].value, legal["change"].before) == (9, None)
    assert table.total["change"].moved() == 2


@pytest.mark.usefixtures("company")
def test_a_closed_month_is_compared_whole() -> None:
    with time_machine.travel(datetime(2026, 11, 21, 8, tzinfo=UTC), tick=False):
        response = client_of(Role.EXECUTIVE).get("/executive/?period=2026-10")

    assert response.context["total"].now == response.context["total"].compared == 386
    assert response.context["like_for_like"] == ""
