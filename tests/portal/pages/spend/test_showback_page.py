from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from allocation.models import Feature, Team
from portal.accounts.models import Role
from tests.factories import Costs, make_source, make_team, make_user
from tests.ledger_rows import add_split_key

pytestmark = pytest.mark.django_db


@pytest.fixture
def teams() -> list[Team]:
    made = [make_team("search"), make_team("support"), make_team("fraud")]
    costs = Costs(date(2026, 10, 1))
    costs.add(2, "10.5", team="search", feature="ranking", model="gpt-4o")
    costs.add(
        2, "2", team="search", feature="ranking", model="o3", charge_kind="shared", rule="platform"
    )
    costs.add(3, "1.5", team="search", feature="answers", model="gpt-4o")
    costs.add(3, "3", team="search", charge_kind="idle", rule="gpu")
    costs.add(4, "77", team="support", feature="replies", model="gpt-4o")
    costs.add(4, "5")
    costs.use(2, team="search", feature="ranking", model="gpt-4o", calls=500, tokens=9000)
    add_split_key(
        costs.run,
        source=make_source("aws"),
        rule="platform",
        method="even",
        ai_scope="ai",
        charge_category="Usage",
        split_key={},
    )
    costs.balance()
    return made


def lead(*teams: Team) -> Client:
    client = Client()
    client.force_login(make_user(Role.TEAM_LEAD, teams=list(teams)))
    return client


def test_every_table_of_a_team_makes_the_same_total(teams: list[Team]) -> None:
    response = lead(teams[0]).get("/showback/search/?period=2026-10")

    assert response.context["total"].now == Decimal(17)
    assert response.context["matrix"].total["all"].value == Decimal(17)
    assert response.context["features"].total["cost"].value == Decimal(17)
    assert response.context["parts"].total["cost"].value == Decimal(17)
    assert response.context["day_chart"].table.total["total"].value == Decimal(17)


def test_matrix_puts_features_against_models(teams: list[Team]) -> None:
    response = lead(teams[0]).get("/showback/search/?period=2026-10")

    rows = {row["feature"].value: row for row in response.context["matrix"].rows}
    assert rows["ranking"]["model:gpt-4o"].value == Decimal("10.5")
    assert rows["ranking"]["model:o3"].value == Decimal(2)
    assert rows["no feature"]["other-models"].value == Decimal(3)
    assert [head.column.label for head in response.context["matrix"].heads][-2:] == [
        "no model",
        "All, USD",
    ]
    assert rows["answers"]["model:o3"].value is None


def test_features_are_called_by_their_names(teams: list[Team]) -> None:
    Feature.objects.create(slug="ranking", name="Search ranking")
    context = lead(teams[0]).get("/showback/search/?period=2026-10").context

    shown = {"Search ranking", "answers", "no feature"}
    assert {row["feature"].value for row in context["matrix"].rows} == shown
    assert {row["name"].value for row in context["features"].rows} == shown
    assert {row["feature"].value for row in context["unit_costs"].rows} == {"Search ranking"}
    assert {column.label for column in context["day_chart"].table.columns} >= shown
    ranking = next(row for row in context["features"].rows if row["name"].value == "Search ranking")
    assert "feature=ranking" in ranking["cost"].href


def test_parts_name_kind_and_rule(teams: list[Team]) -> None:
    response = lead(teams[0]).get("/showback/search/?period=2026-10")

    parts = [
        (row["kind"].value, row["rule"].value, row["cost"].value)
        for row in response.context["parts"].rows
    ]
    assert parts == [
        ("Tagged to you", "by tag", Decimal(12)),
        ("Idle capacity", "gpu", Decimal(3)),
        ("Shared platform", "platform", Decimal(2)),
    ]


def test_a_lead_never_sees_another_team(teams: list[Team]) -> None:
    client = lead(teams[0])

    assert client.get("/showback/search/").status_code == 200
    assert client.get("/showback/support/").status_code == 404
    assert client.get("/showback/nowhere/").status_code == 404
    assert client.get("/showback/search/?team=support").status_code == 404
    assert client.get("/showback/?team=support").status_code == 404


def test_a_lead_of_one_team_goes_straight_to_it(teams: list[Team]) -> None:
    response = lead(teams[0]).get("/showback/?period=2026-10")

    assert response.status_code == 302
    assert response["Location"].startswith("/showback/search/?period=2026-10")


def test_a_lead_of_two_teams_sees_and_switches_between_these(teams: list[Team]) -> None:
    client = lead(teams[0], teams[1])
    overview = client.get("/showback/?period=2026-10")
    page = client.get("/showback/search/?period=2026-10")

    assert [row["name"].value for row in overview.context["table"].rows] == ["Support", "Search"]
    assert overview.context["table"].total["cost"].value == Decimal(94)
    assert "Fraud" not in overview.content.decode()
    assert [(name, here) for name, _, here in page.context["others"]] == [
        ("Search", True),
        ("Support", False),
    ]


def test_unallocated_cost_is_shown_to_those_who_see_everything(teams: list[Team]) -> None:
    client = Client()
    client.force_login(make_user(Role.EXECUTIVE))
    table = client.get("/showback/?period=2026-10").context["table"]

    assert table.total["cost"].value == Decimal(99)
    assert ("Unallocated", Decimal(5)) in [
        (row["name"].value, row["cost"].value) for row in table.rows
    ]


def test_a_team_without_costs_says_so(teams: list[Team]) -> None:
    response = lead(teams[2]).get("/showback/fraud/?period=2026-10")

    assert response.status_code == 200
    assert response.context["total"].now == 0


def test_empty_portal_says_what_will_be_here() -> None:
    response = lead(make_team("search")).get("/showback/search/")

    assert "What each team costs, and why" in response.content.decode()


def test_csv_of_the_matrix_is_exact_and_safe(teams: list[Team]) -> None:
    costs = Costs(date(2026, 9, 1))
    costs.add(1, "0.000000000123456789", team="search", feature="=HYPERLINK(1)", model="gpt-4o")
    costs.balance()
    response = lead(teams[0]).get("/showback/search/?period=2026-09&download=matrix")

    assert response.content.decode().split("\r\n") == [
        'Feature,gpt-4o,"All, USD"',
        "'=HYPERLINK(1),0.000000000123456789,0.000000000123456789",
        "Total,0.000000000123456789,0.000000000123456789",
        "",
    ]


def test_number_of_statements_does_not_grow(
    teams: list[Team], django_assert_num_queries: Any
) -> None:
    client = lead(teams[0])

    with django_assert_num_queries(23):
        client.get("/showback/search/?period=2026-10")


def test_a_feature_keeps_its_colour_from_month_to_month(teams: list[Team]) -> None:
    """Whatever it costs beside the others, and whether the organisation knows it or not."""
    before = Costs(date(2026, 9, 1))
    before.add(2, "9", team="search", feature="answers", model="gpt-4o")
    before.add(2, "3", team="search", feature="ranking", model="gpt-4o")
    before.balance()
    Feature.objects.create(slug="ranking", name="Ranking")

    def colours(month: str) -> dict[str, str]:
        chart = lead(teams[0]).get(f"/showback/search/?period={month}").context["day_chart"]
        bars = chart.figure["data"]
        return {bar["name"]: bar["marker"].get("color", "") for bar in bars if bar["type"] == "bar"}

    september, october = colours("2026-09"), colours("2026-10")

    assert set(september) == {"Ranking", "answers"}
    assert september.items() <= october.items()
