"""Reviews of team statements: who may mark, what finance sees, and that marks only grow."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client

from allocation.models import AllocationRun, Team
from portal.accounts.keys import create_key
from portal.accounts.models import Role
from portal.demo.reviews import ensure_reviews
from portal.reviews.marks import MarkError, line_reference, standing_of
from portal.reviews.models import MonthReview, ReviewMark
from tests.factories import Costs, make_team, make_user
from tests.portal.pages.words import text_of

pytestmark = pytest.mark.django_db

OCTOBER = date(2026, 10, 1)
ADDRESS = "/showback/search/review/?period=2026-10"


@pytest.fixture
def teams() -> list[Team]:
    made = [make_team(slug, cost_center="CC-1") for slug in ("search", "ads")]
    costs = Costs(OCTOBER)
    costs.add(2, "100.10", team="search", feature="chat")
    costs.add(3, "50", team="ads", feature="banner")
    costs.balance()
    return made


def client_for(role: Role, *teams: Team) -> Client:
    client = Client()
    client.force_login(make_user(role, teams=list(teams)))
    return client


def mark(client: Client, state: str, line: str = "", comment: str = "") -> int:
    data = {"state": state, "line": line, "comment": comment}
    return client.post(ADDRESS, data).status_code


def test_a_lead_marks_a_line_and_finance_sees_it(teams: list[Team]) -> None:
    lead = client_for(Role.TEAM_LEAD, teams[0])

    assert mark(lead, "seen") == 302
    assert mark(lead, "questioned", "feature=chat", "=why so much?") == 302

    statement = lead.get("/showback/search/?period=2026-10")
    review = statement.context["review"]
    assert review.charged == Decimal("100.10")
    assert (review.standing.state, review.may_mark, review.is_outdated) == (
        "questioned",
        True,
        False,
    )
    assert [row["state"].value for row in review.table.rows] == ["questioned", "seen"]
    page = client_for(Role.FINANCE).get("/chargeback/?period=2026-10")
    (question,) = page.context["reviews"].questions.rows
    assert [question[name].value for name in ("team", "line", "comment")] == [
        "Search",
        "chat",
        "=why so much?",
    ]
    assert [
        (row["team"].value, row["cost"].value, row["state"].value)
        for row in page.context["reviews"].teams.rows
    ] == [("Search", Decimal("100.10"), "questioned"), ("Ads", Decimal(50), "not seen")]
    reviewed = page.context["stations"][-1]
    assert (reviewed.name, reviewed.state, reviewed.evidence) == (
        "Reviewed",
        "trouble",
        "accepted: 0 of 2 teams, questioned: 1",
    )
    finance = client_for(Role.FINANCE)
    download = finance.get("/chargeback/?period=2026-10&download=questions").content.decode()
    assert "'=why so much?" in download


def test_a_statement_says_what_chargeback_says_of_the_team(teams: list[Team]) -> None:
    Costs(date(2026, 11, 1)).add(-3, "7", team="search", feature="chat")  # a late line of October

    lead = client_for(Role.TEAM_LEAD, teams[0])
    page = lead.get("/showback/search/?period=2026-10")

    assert page.context["total"].now == Decimal("107.10")
    assert page.context["review"].charged == Decimal("100.10")
    explained = lead.get(f"{page.context['review'].charged_address}&format=json").json()
    assert explained["amount"] == "100.1"


def test_all_accepted_is_done(teams: list[Team]) -> None:
    for team in teams:
        lead = client_for(Role.TEAM_LEAD, team)
        lead.post(f"/showback/{team.slug}/review/?period=2026-10", {"state": "accepted"})

    page = client_for(Role.FINANCE).get("/chargeback/?period=2026-10")

    assert (page.context["stations"][-1].state, page.context["reviews"].accepted) == ("done", 2)


def test_a_team_that_is_billed_in_another_currency_is_awaited_too(teams: list[Team]) -> None:
    euros = Costs(OCTOBER, "EUR")
    euros.add(2, "7", team=make_team("papers").slug)

    page = client_for(Role.FINANCE).get("/chargeback/?period=2026-10&currency=USD")

    rows = page.context["reviews"].teams.rows
    assert [(row["team"].value, row["cost"].value) for row in rows] == [
        ("Ads", Decimal(50)),
        ("Papers", None),
        ("Search", Decimal("100.10")),
    ]


def test_only_a_lead_of_this_very_team_marks(teams: list[Team]) -> None:
    other = client_for(Role.TEAM_LEAD, teams[1])
    finance = client_for(Role.FINANCE)
    both = make_user(Role.FINANCE)
    both.memberships.create(role=Role.TEAM_LEAD, team=teams[1])
    finance_and_lead = Client()
    finance_and_lead.force_login(both)

    assert [mark(client, "accepted") for client in (other, finance, finance_and_lead)] == [404] * 3
    assert not ReviewMark.objects.exists()
    assert "Accept</button>" not in finance.get("/showback/search/?period=2026-10").content.decode()
    assert client_for(Role.TEAM_LEAD, teams[0]).get(ADDRESS).status_code == 405


def test_what_says_nothing_is_refused_in_words(teams: list[Team]) -> None:
    lead = client_for(Role.TEAM_LEAD, teams[0])

    for state, line, comment in (
        ("questioned", "", "  "),
        ("approved", "", ""),
        ("seen", "team=ads", ""),
        ("seen", "x" * 700, ""),
        ("seen", "", "x" * 2001),
    ):
        mark(lead, state, line, comment)
        assert "Not kept:" in text_of(lead.get("/showback/search/?period=2026-10").content)
    assert not ReviewMark.objects.exists()


def test_a_range_of_days_has_no_review(teams: list[Team]) -> None:
    lead = client_for(Role.TEAM_LEAD, teams[0])

    page = lead.get("/showback/search/?from=2026-10-02&to=2026-10-05")
    sent = lead.post("/showback/search/review/?from=2026-10-02&to=2026-10-05", {"state": "seen"})

    assert page.context["review"] is None
    assert sent.status_code == 404


def test_a_month_calculated_again_says_so_at_its_review(teams: list[Team]) -> None:
    lead = client_for(Role.TEAM_LEAD, teams[0])
    mark(lead, "accepted")

    AllocationRun.objects.update(sha256="another")

    page = lead.get("/showback/search/?period=2026-10")
    assert page.context["review"].is_outdated
    (first, _) = client_for(Role.FINANCE).get("/chargeback/").context["reviews"].teams.rows
    assert (first["team"].value, first["state"].note) == ("Ads", "")


def test_marks_are_never_changed_or_removed(teams: list[Team]) -> None:
    mark(client_for(Role.TEAM_LEAD, teams[0]), "seen")

    for statement in (
        "UPDATE reviews_reviewmark SET state = 'accepted'",
        "DELETE FROM reviews_reviewmark",
    ):
        with (
            pytest.raises(DatabaseError, match="never changed or removed"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


def test_where_marks_leave_a_review() -> None:
    """Over every sequence of four marks: a question is open until its line or all is accepted."""
    kinds = [(state, line) for state in ("seen", "accepted", "questioned") for line in ("", "a")]
    for marks in product(kinds, repeat=4):
        made = [ReviewMark(state=state, line=line) for state, line in marks]
        standing = standing_of(made)
        still_open = {
            line
            for n, (state, line) in enumerate(marks)
            if state == "questioned"
            and not any(s == "accepted" and of in ("", line) for s, of in marks[n + 1 :])
        }
        assert {mark.line for mark in standing.open_questions} == still_open
        expected = (
            "questioned" if still_open else "accepted" if ("accepted", "") in marks else "seen"
        )
        assert standing.state == expected
    assert standing_of([]).state == "not seen"


def test_a_line_has_one_spelling() -> None:
    assert (
        line_reference("rule=r&kind=tax") == line_reference("kind=tax&rule=r") == "kind=tax&rule=r"
    )
    assert line_reference("") == ""
    with pytest.raises(MarkError):
        line_reference("bill=0-0")


def test_programs_read_reviews_of_their_teams(teams: list[Team]) -> None:
    mark(client_for(Role.TEAM_LEAD, teams[0]), "questioned", "feature=chat", "why?")
    _, everything = create_key("pipeline", "read", None, None)
    _, ads = create_key("ads", "read", teams[1], None)

    answers = [
        Client()
        .get("/api/v1/reviews/?period=2026-10", headers={"authorization": f"Bearer {secret}"})
        .json()
        for secret in (everything, ads)
    ]

    (review,) = answers[0]
    assert (review["team"], review["state"], review["outdated"]) == ("search", "questioned", False)
    (question,) = review["open_questions"]
    assert (question["line"], question["comment"]) == ("feature=chat", "why?")
    assert answers[1] == []


def test_the_demo_has_a_month_that_was_accepted_and_questioned(teams: list[Team]) -> None:
    for slug in ("support", "recommendations", "vision"):
        make_team(slug)

    ensure_reviews(OCTOBER)
    ensure_reviews(OCTOBER)
    ensure_reviews(date(2026, 9, 1))

    assert MonthReview.objects.count() == 3
    page = client_for(Role.FINANCE).get("/chargeback/?period=2026-10")
    assert [row["state"].value for row in page.context["reviews"].teams.rows][:2] == [
        "questioned",
        "not seen",
    ]
    assert page.context["reviews"].accepted == 1


def test_the_parts_of_a_statement_add_up_to_its_figure(teams: list[Team]) -> None:
    costs = Costs(date(2026, 9, 1))
    amounts: dict[str, dict[str, Any]] = {
        "10.000000000001": {"evidence": 1, "charge_kind": "shared", "rule": "model calls"},
        "0.3": {"evidence": 1, "charge_kind": "untraced", "rule": "model calls"},
        "7": {"evidence": 4, "charge_kind": "direct", "rule": "by tag"},
        "-1.1": {"evidence": 4, "charge_kind": "credit", "rule": "credits"},
    }
    for cost, values in amounts.items():
        costs.add(2, cost, team="search", feature="chat", **values)
    costs.balance()

    page = client_for(Role.TEAM_LEAD, teams[0]).get("/showback/search/?period=2026-09").context

    kinds = {words: cost for words, cost, _ in page["kinds"]}
    assert sum(kinds.values()) == page["total"].now == Decimal("16.200000000001")
    assert {"Measured by your traces", "No trace, shared out", "Tagged to you"} <= set(kinds)
    assert "Shared" not in kinds
