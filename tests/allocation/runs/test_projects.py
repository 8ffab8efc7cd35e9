"""Bills that tell projects apart, and calls that name none (or one the bill does not know)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from allocation.models import LedgerGroup
from tests.allocation.bills import OPENAI, Bill, allocate, billed_by_team, shares, usage, utc
from tests.allocation.runs.test_methods import money, rules, teams

pytestmark = pytest.mark.django_db

RULE = "rules: [{name: calls, method: traced_usage, owner: {team: {tag: team}}}]"
INPUT = {**OPENAI, "sku_meter": "gpt-4o input tokens"}


@pytest.fixture(autouse=True)
def organisation() -> None:
    teams("search", "ads", "quiet")
    rules(RULE)


def project(
    bill: Bill, name: str | None, cost: str, quantity: str | None, *, day: int = 5, **more: Any
) -> None:
    bill.charge(cost, at=utc(day), quantity=quantity, **{**INPUT, "sub_account_id": name, **more})


def calls(team: str | None, tokens: int, *, project: str | None = None, day: int = 5) -> None:
    usage(team, project=project, input_uncached=tokens, at=utc(day))


def rungs_by_team() -> dict[str | None, set[int]]:
    found: dict[str | None, set[int]] = {}
    for share in shares():
        if share.billed:
            found.setdefault(share.team or share.reason, set()).add(share.rung)
    return found


def test_calls_without_a_project_fill_what_projects_that_nobody_owns_lack() -> None:
    bill = Bill()
    project(bill, "proj-a", "60", "600")
    project(bill, "proj-b", "40", "400")
    calls("search", 750)
    calls("ads", 250)

    allocate()

    assert billed_by_team() == money(search="75", ads="25")
    assert rungs_by_team() == {"search": {1}, "ads": {1}}
    assert set(LedgerGroup.objects.values_list("coverage", flat=True)) == {Decimal(1)}


def test_calls_that_name_a_project_come_first_in_it() -> None:
    bill = Bill()
    project(bill, "proj-a", "60", "600")
    project(bill, "proj-b", "40", "400")
    calls("search", 600, project="proj-a")
    calls("ads", 400)

    allocate()

    assert billed_by_team() == money(search="60", ads="40")


def test_a_team_has_its_own_projects_first() -> None:
    bill = Bill()
    project(bill, "proj-search", "50", "500", tags={"team": "search"})
    project(bill, "proj-ads", "20", "500", tags={"team": "ads"})
    calls("search", 500)
    calls("ads", 500)

    allocate()

    assert billed_by_team() == money(search="50", ads="20")
    assert rungs_by_team() == {"search": {1}, "ads": {1}}


def test_a_project_of_a_team_that_sends_nothing_has_no_share_on_evidence_of_traces() -> None:
    bill = Bill()
    project(bill, "proj-quiet", "50", "500", tags={"team": "quiet"})
    project(bill, "proj-a", "50", "500")
    calls("search", 600)

    allocate()

    by_traces = sum(share.billed for share in shares() if share.rung == 1)
    assert by_traces == 50  # all of proj-a, nothing of proj-quiet
    assert rungs_by_team()["search"] == {1, 5}
    assert billed_by_team() == money(search="60", quiet="40")


def test_what_the_bill_does_not_know_as_a_project_is_none() -> None:
    bill = Bill()
    project(bill, "proj-a", "60", "600")
    calls("search", 600, project="123456789012")  # the cloud account that the application runs in

    allocate()

    assert billed_by_team() == money(search="60")


def test_calls_beyond_what_projects_lack_have_no_part_and_are_said() -> None:
    bill = Bill()
    project(bill, "proj-a", "60", "600")
    project(bill, "proj-b", "40", "400")
    calls("search", 600, project="proj-a")
    calls("search", 400, project="proj-b")
    calls("ads", 300)

    allocate()

    assert billed_by_team() == money(search="100")
    assert set(LedgerGroup.objects.values_list("note", flat=True)) == {"over-traced"}


def test_the_month_is_asked_only_where_a_day_has_no_calls_at_all() -> None:
    bill = Bill()
    project(bill, "proj-a", "60", "600", day=5)
    project(bill, "proj-a", "40", "400", day=6)
    calls("search", 600, day=5)
    calls("ads", 400, day=7)

    allocate()

    found = dict(LedgerGroup.objects.values_list("day__day", "widened"))
    assert found == {5: "calls without a project", 6: "calls without a project, month"}


def test_without_quantities_rooms_are_what_projects_cost_beyond_their_calls() -> None:
    bill = Bill()
    project(bill, "proj-a", "60", None, sku_meter="gpt-4o usage")
    project(bill, "proj-b", "40", None, sku_meter="gpt-4o usage")
    usage("search", project=None, input_uncached=750, at=utc(5), list_cost="75")
    usage("ads", project=None, input_uncached=250, at=utc(5), list_cost="25")

    allocate()

    assert billed_by_team() == money(search="75", ads="25")


def test_a_line_without_a_project_is_one_more_room() -> None:
    bill = Bill()
    project(bill, "proj-a", "60", "600")
    project(bill, None, "40", "400")
    calls("search", 600, project="proj-a")
    calls("ads", 400)

    allocate()

    assert billed_by_team() == money(search="60", ads="40")


def test_a_day_without_lines_of_a_project_has_no_room_in_it() -> None:
    bill = Bill()
    project(bill, "proj-a", "60", "600", day=5)
    project(bill, "proj-b", "40", "400", day=6)
    calls("search", 600, day=5)
    calls("ads", 400, day=6)

    allocate()

    assert billed_by_team() == money(search="60", ads="40")
    assert set(LedgerGroup.objects.values_list("coverage", flat=True)) == {Decimal(1)}
