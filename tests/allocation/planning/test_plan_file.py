"""Plans as a file: what it changes, and each line that is refused, in words."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from allocation.planning.holders import PlanHolder
from allocation.planning.plan_file import (
    PlannedAmount,
    Plans,
    SpendPlanKey,
    csv_of,
    difference,
    one_line,
)

SEARCH, CENTER = PlanHolder("team", "search"), PlanHolder("cost_center", "4100")
KNOWN = [SEARCH, CENTER]
HEADER = "month,cost_center,team,account,amount,currency\n"
NOVEMBER = date(2026, 11, 1)


def key(holder: PlanHolder = SEARCH, account: str = "") -> SpendPlanKey:
    return SpendPlanKey(NOVEMBER, holder, account)


STANDING: Plans = {
    key(): PlannedAmount(Decimal("100.10"), "USD"),
    key(CENTER, "6420"): PlannedAmount(Decimal(500), "USD"),
}


def test_a_file_changes_what_it_names_and_nothing_else() -> None:
    text = (
        HEADER
        + "2026-11,,search,,100.1,USD\n"
        + "2026-11,4100,,6420,,\n"
        + "2026-12,4100,,6420,750.005,USD\n"
    )

    found = difference(text, STANDING, KNOWN)

    assert not found.problems
    assert found.unchanged == 1
    assert [(change.line, change.action) for change in found.changes] == [
        (3, "taken away"),
        (4, "new"),
    ]
    assert found.changes[1].after == PlannedAmount(Decimal("750.005"), "USD")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("11/2026,,search,,1,USD", "month is written as 2026-11, not '11/2026'"),
        ("2026-13,,search,,1,USD", "month is written as 2026-11, not '2026-13'"),
        ("2026-11,4100,search,,1,USD", "it names both a cost centre and a team"),
        ("2026-11,,,,1,USD", "it names neither a cost centre nor a team"),
        ("2026-11,,serach,,1,USD", "there is no team 'serach'; see the page Ownership"),
        ("2026-11,9999,,,1,USD", "there is no cost centre '9999'"),
        ("2026-11,,search,,-1,USD", "a plan is not negative: '-1'"),
        ('2026-11,,search,,"12,500.00",USD', "an amount is digits and at most one point"),
        ("2026-11,,search,,12,500.00,USD", "it has 7 cells, the header has 6"),
        ("2026-11,,search,,NaN,USD", "such as 12500.00, not 'NaN'"),
        ("2026-11,,search,,1e9,USD", "such as 12500.00, not '1e9'"),
        ("2026-11,,search,,١٢,USD", "such as 12500.00, not '١٢'"),
        ("2026-11,,search,,1000000000000000,USD", "such as 12500.00"),
        ("2026-11,,search,,1,Dollar", "currency is an ISO 4217 code such as USD, not 'Dollar'"),
        ("2026-11,,search,,1,", "currency is an ISO 4217 code such as USD, not empty"),
        ("2026-11,,search,a\0b,1,USD", "letters that can be printed"),
        (f"2026-11,,search,{'6' * 61},1,USD", "an account has up to 60 letters"),
    ],
)
def test_a_line_that_can_t_be_used_is_refused_in_words(row: str, words: str) -> None:
    found = difference(f"{HEADER}2026-12,,search,,1,USD\n{row}\n", STANDING, KNOWN)

    (problem,) = found.problems
    assert problem.line == 3
    assert words in problem.text


def test_two_lines_for_the_same_are_refused() -> None:
    found = difference(HEADER + "2026-11,,search,,1,USD\n2026-11,,search,,2,USD\n", {}, KNOWN)

    assert [(one.line, one.text) for one in found.problems] == [
        (3, "line 2 plans the same already")
    ]


def test_accounts_of_one_plan_have_one_currency() -> None:
    found = difference(HEADER + "2026-11,4100,,6430,5,EUR\n", STANDING, KNOWN)

    assert [problem.line for problem in found.problems] == [2]
    assert "cost centre 4100 for 2026-11 would be in EUR and USD" in found.problems[0].text


def test_a_plan_may_move_to_another_currency_as_a_whole() -> None:
    found = difference(HEADER + "2026-11,4100,,6420,5,EUR\n", STANDING, KNOWN)

    assert not found.problems
    assert found.changes[0].after == PlannedAmount(Decimal(5), "EUR")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the header has no column month and no amount and no currency"),
        ("month,amount,currency\n", "no column cost_center and no team"),
        ("month,team,amount,currency,color\n", "there is no column 'color'"),
        ("month,team,amount,currency,team\n", "names a column twice"),
        (HEADER + '2026-11,,"search', "this is no CSV"),
    ],
)
def test_a_file_that_is_no_plan_says_so(text: str, words: str) -> None:
    found = difference(text, STANDING, KNOWN)

    assert words in found.problems[0].text
    assert not found.changes


def test_what_is_exported_changes_nothing_when_loaded_again() -> None:
    plans = {
        **STANDING,
        key(SEARCH, "=HYPERLINK(1)"): PlannedAmount(Decimal("0.000000000001"), "USD"),
    }

    text = csv_of(plans)

    assert ",'=HYPERLINK(1)," in text
    again = difference(text.replace("\n", "\r\n"), plans, KNOWN)
    assert (again.changes, again.problems, again.unchanged) == ((), (), 3)


def test_the_token_is_of_this_file_and_these_plans() -> None:
    tokens = {
        difference(text, plans, KNOWN).token
        for text in (HEADER, HEADER + "2026-11,,search,,1,USD\n")
        for plans in ({}, STANDING)
    }

    assert len(tokens) == 4


def test_a_typed_plan_is_a_file_of_one_line() -> None:
    text = one_line(
        month="2026-11", holder="team:search", account='a "b", c', amount="7", currency="USD"
    )

    (change,) = difference(text, {}, KNOWN).changes
    assert (change.key, change.after) == (key(SEARCH, 'a "b", c'), PlannedAmount(Decimal(7), "USD"))
