"""Any two dimensions: what the cells add up to, who may see them, and where they lead."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from allocation.values.money import exact_sum
from portal.accounts.models import Role
from tests.factories import Costs, client_of, make_team

pytestmark = pytest.mark.django_db
SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)


@pytest.fixture(autouse=True)
def two_months() -> None:
    make_team("search", cost_center="CC-1")
    make_team("support")
    for month, factor in ((SEPTEMBER, 1), (OCTOBER, 3)):
        costs = Costs(month)
        costs.add(1, f"{factor * 10}.123456789012", team="search", feature="rank", model="gpt-4o")
        costs.add(9, f"{factor * 20}", team="search", feature="rank", model="o3")
        costs.add(9, f"{factor * 5}", team="support", feature="reply", model="gpt-4o")
        costs.add(30, f"{factor}")
        costs.use(1, team="search", feature="rank", model="gpt-4o", calls=100, tokens=4000)
        costs.use(9, team="support", feature="reply", model="gpt-4o", calls=50 * factor, tokens=7)
        costs.balance()


def ask(client: Client, **asked: Any) -> Any:
    page = client.get("/explore/", {"period": "2026-10", **asked})
    assert page.status_code == 200
    return page


def lines(page: Any) -> dict[str, list[Any]]:
    """Name -> the figures, as shown."""
    table = page.context["table"]
    columns = [column.key for column in table.columns][1:]
    return {
        str(row["row"].value): [row[key].value for key in columns if key in row]
        for row in [*table.rows, table.total]
    }


def test_the_first_view_is_the_trend_of_every_team_over_all_months() -> None:
    page = ask(client_of(Role.EXECUTIVE))

    assert lines(page) == {
        "Search": [Decimal("30.123456789012"), Decimal("90.123456789012"), D("120.246913578024")],
        "Support": [5, 15, 20],
        "Unallocated": [1, 3, 4],
        "Total": [D("36.123456789012"), D("108.123456789012"), D("144.246913578024")],
    }
    assert [column.label for column in page.context["table"].columns] == [
        "Team",
        "Sep 2026",
        "Oct 2026",
        "Cost, USD",
    ]


def D(text: str) -> Decimal:
    return Decimal(text)


@pytest.mark.parametrize("rows", ["team", "feature", "model", "cost_center", "charge_kind", "day"])
@pytest.mark.parametrize("columns", ["none", "model", "week", "day", "month", "source"])
def test_cells_add_up_to_the_total_of_the_question(rows: str, columns: str) -> None:
    page = ask(client_of(Role.FINANCE), rows=rows, columns=columns, span="all")

    table = page.context["table"]
    assert exact_sum(row["sum"].value for row in table.rows) == D("144.246913578024")
    assert table.total["sum"].value == D("144.246913578024")
    for key in (column.key for column in table.columns if column.key.startswith("at")):
        assert exact_sum(row[key].value for row in table.rows) == table.total[key].value


def test_a_lead_sees_the_cost_of_their_team_alone() -> None:
    page = ask(client_of(Role.TEAM_LEAD, "support"), rows="model", columns="team", span="all")

    assert lines(page) == {"gpt-4o": [20, 20], "Total": [20, 20]}


def test_calls_and_unit_costs_are_of_what_has_both() -> None:
    client = client_of(Role.EXECUTIVE)

    calls = ask(client, rows="team", columns="none", measure="calls")
    unit = ask(client, rows="model", columns="none", measure="per_1000_calls")

    assert lines(calls) == {"Support": [150], "Search": [100], "Total": [250]}
    assert lines(unit) == {
        "gpt-4o": [D("45.123456789012") / 250 * 1000],
        "Total": [D("45.123456789012") / 250 * 1000],
    }


def test_a_unit_cost_of_a_row_is_of_all_its_columns() -> None:
    page = ask(client_of(Role.EXECUTIVE), rows="team", measure="per_1000_calls", span="all")

    cost = D("40.246913578024")  # gpt-4o of search, both months
    assert lines(page)["Search"][-1] == cost / 200 * 1000
    assert lines(page)["Total"][-1] == (cost + 20) / 400 * 1000


def test_a_unit_cost_is_the_one_of_the_executive_page() -> None:
    """What was done once to build, and cost of no model, are no cost of calls on either."""
    costs = Costs(date(2026, 7, 1))
    named = {"team": "search", "feature": "rank", "model": "gpt-4o"}
    costs.add(1, "30", **named, phase="run")
    costs.add(2, "500", **named, phase="build")
    costs.add(3, "70", team="search", feature="rank")
    costs.use(1, **named, calls=100, tokens=4000)
    costs.balance()
    client = client_of(Role.EXECUTIVE)

    unit = ask(client, rows="model", columns="none", measure="per_1000_calls", period="2026-07")
    executive = client.get("/executive/?period=2026-07")

    assert lines(unit) == {"gpt-4o": [300], "Total": [300]}
    assert executive.context["unit"].now == 300


def test_what_usage_does_not_know_is_said() -> None:
    page = ask(client_of(Role.EXECUTIVE), rows="provider", measure="calls")

    assert "Calls and tokens are known by team" in page.content.decode()


def test_a_filter_is_of_the_whole_table_and_stays_in_the_address() -> None:
    page = ask(client_of(Role.EXECUTIVE), rows="team", columns="none", model="o3", span="all")

    assert lines(page) == {"Search": [80], "Total": [80]}
    assert "model=o3" in page.context["table"].download_address


def test_every_amount_that_can_be_explained_leads_to_that_amount() -> None:
    client = client_of(Role.EXECUTIVE)
    for rows, columns in (("team", "model"), ("model", "month"), ("day", "feature")):
        page = ask(client, rows=rows, columns=columns, span="all")
        cells = [cell for row in page.context["table"].rows for cell in row.values()]
        linked = [cell for cell in cells if cell.href.startswith("/explain/")]
        assert linked
        for cell in linked:
            explained = client.get(f"{cell.href}&format=json").json()
            assert D(explained["amount"]) == cell.value, cell.href


def test_only_teams_of_the_organisation_have_a_page_to_lead_to() -> None:
    costs = Costs(date(2026, 8, 1))
    costs.add(1, "2", team="unheard-of", feature="rank", model="o3")
    costs.balance()
    client = client_of(Role.EXECUTIVE)

    explored = ask(client, rows="team", columns="none", span="all").context["table"]
    feature = client.get("/explore/feature/rank/?period=2026-08").context["tables"][0]

    linked = {row["row"].value: bool(row["row"].href) for row in explored.rows}
    assert linked == {"Search": True, "Support": True, "Unallocated": False, "unheard-of": False}
    assert [row["name"].href for row in feature.rows] == [""]


def test_the_download_is_the_table() -> None:
    text = ask(client_of(Role.FINANCE), rows="team", columns="none", download="explored")

    assert text.content.decode().splitlines() == [
        'Team,"Cost, USD"',
        "Search,90.123456789012",
        "Support,15",
        "Unallocated,3",
        "Total,108.123456789012",
    ]


def test_a_feature_and_a_model_have_a_page() -> None:
    client = client_of(Role.TEAM_LEAD, "search")

    feature = client.get("/explore/feature/rank/?period=2026-10")
    model = client.get("/explore/model/gpt-4o/?period=2026-10")

    assert feature.context["total"].now == D("90.123456789012")
    assert model.context["total"].now == D("30.123456789012")
    assert model.context["unit"].now == D("30.123456789012") / 100 * 1000
    for table in feature.context["tables"]:
        assert table.total["cost"].value == D("90.123456789012")
    assert client.get("/explore/feature/reply/?period=2026-10").status_code == 404
    assert client.get("/explore/model/unheard-of/?period=2026-10").status_code == 404
