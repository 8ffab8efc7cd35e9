from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from portal.accounts.models import Role
from tests.factories import Costs, make_team, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def company() -> None:
    make_team("search")
    make_team("support")
    before = Costs(date(2026, 9, 1))
    before.add(3, "100", team="search", feature="ranking", model="gpt-4o")
    before.use(3, team="search", feature="ranking", model="gpt-4o", calls=1000, tokens=1_000_000)
    before.balance()
    now = Costs(date(2026, 10, 1))
    now.add(2, "150.25", team="search", feature="ranking", model="gpt-4o")
    now.add(31, "60", team="support", feature="replies", model="claude-sonnet-4")
    now.add(
        31,
        "-10.05",
        team="support",
        feature="replies",
        model="claude-sonnet-4",
        charge_kind="credit",
    )
    now.add(5, "20")
    now.add(5, "700", ai_scope="other")
    now.use(2, team="search", feature="ranking", model="gpt-4o", calls=1200, tokens=1_500_000)
    now.balance()


def signed_in(role: Role = Role.EXECUTIVE, **values: Any) -> Client:
    client = Client()
    client.force_login(make_user(role, **values))
    return client


def test_totals_are_those_of_the_rollup(company: None) -> None:
    response = signed_in().get("/executive/?period=2026-10")

    assert response.status_code == 200
    assert response.context["total"].now == Decimal("220.20")
    assert response.context["before"] == Decimal(100)
    for table in ("by_team", "by_model", "by_feature", "by_provider"):
        assert response.context[table].total["cost"].value == Decimal("220.20"), table
    assert response.context["other_cost"] == Decimal(700)
    assert "October 2026:" in response.content.decode()


def test_the_waterfall_adds_up_exactly(company: None) -> None:
    response = signed_in().get("/executive/?period=2026-10")

    rows = {
        row["part"].value: row["amount"].value
        for row in response.context["change_chart"].table.rows
    }
    assert rows == {
        "September 2026": Decimal(100),
        "replies": Decimal(60),
        "Volume": Decimal(20),
        "Tokens per call": Decimal(30),
        "Price": Decimal("0.25"),
        "Unallocated": Decimal(20),
        "Credits": Decimal("-10.05"),
    }


def test_what_moved_most_is_told_in_words_and_opens(company: None) -> None:
    response = signed_in().get("/executive/?period=2026-10")

    found = [(mover.name, mover.about, mover.reason) for mover in response.context["movers"]]
    assert found == [
        ("replies", "claude-sonnet-4, Support", "new"),
        (
            "ranking",
            "gpt-4o, Search",
            "longer calls, 1,000 \u2192 1,250 tokens each",
        ),
        ("Unallocated", "", "up"),
    ]
    opened = signed_in(username="second").get(response.context["movers"][1].href)
    assert opened.context["total"].now == Decimal("150.25")


def test_cost_without_a_model_is_told_apart(company: None) -> None:
    now = Costs(date(2026, 11, 1))
    for cost, values in (
        ("1", {"model": "gpt-4o"}),
        ("2", {"phase": "build"}),
        ("4", {"phase": "run"}),
        ("8", {"phase": "move", "ai_scope": "ai_supporting"}),
        ("16", {"phase": "build", "charge_kind": "tax"}),
    ):
        now.add(2, cost, team="search", feature="ranking", **values)
    now.balance()

    table = signed_in().get("/executive/?period=2026-11").context["by_model"]

    assert {row["name"].value: row["cost"].value for row in table.rows} == {
        "gpt-4o": 1,
        "Training": 2,
        "Own models on GPUs": 4,
        "Other infrastructure": 8,
        "Fees, tax and credits": 16,
    }


def test_unit_cost_counts_only_features_with_calls(company: None) -> None:
    response = signed_in().get("/executive/?period=2026-10")

    assert response.context["unit"].now == Decimal("150.25") * 1000 / 1200
    assert response.context["unit"].before == Decimal(100)


def test_only_executives_finance_and_admins_open_it(company: None) -> None:
    assert signed_in(Role.FINANCE).get("/executive/").status_code == 200
    assert signed_in(Role.ON_CALL).get("/executive/").status_code == 404


def test_empty_portal_says_what_will_be_here() -> None:
    response = signed_in(Role.FINOPS_ADMIN).get("/executive/")

    assert response.status_code == 200
    assert "What AI costs, on one page" in response.content.decode()


def test_a_period_without_costs_compares_with_nothing(company: None) -> None:
    response = signed_in().get("/executive/?period=2026-09")

    assert response.context["before"] is None
    assert "no comparison" in response.content.decode()


def test_the_csv_has_the_exact_numbers_shown(company: None) -> None:
    response = signed_in().get("/executive/?period=2026-10&download=teams")

    lines = response.content.decode().split("\r\n")
    assert lines[0] == 'Team,"Cost, USD",Share,Change,"Per 1,000 calls"'
    assert lines[1].startswith("Search,150.25,0.68")
    assert lines[-2].startswith("Total,220.2,1,120.2")


def test_number_of_statements_does_not_grow(company: None, django_assert_num_queries: Any) -> None:
    client = signed_in()

    with django_assert_num_queries(27):
        client.get("/executive/?period=2026-10")
