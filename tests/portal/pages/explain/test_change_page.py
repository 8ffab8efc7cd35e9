"""Explain the change: then and now, adding up exactly, and never of another team."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from allocation.values.money import exact_sum
from portal.accounts.models import Role
from tests.factories import Costs, client_of, make_team
from tests.portal.pages.words import text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def company() -> None:
    for team in ("search", "support"):
        make_team(team)
    for month, factor, calls in ((9, "1.00", 1000), (10, "1.37", 1500)):
        costs = Costs(date(2026, month, 1))
        times = Decimal(factor)
        costs.add(3, f"{100 * times}", team="search", feature="ranking", model="gpt-4o")
        costs.add(4, f"{50 / times:.12f}", team="search", feature="ranking", phase="build")
        last = 30 if month == 9 else 31
        costs.add(last, "12.34", team="support", feature="replies", model="claude-sonnet-4")
        costs.use(
            3, team="search", feature="ranking", model="gpt-4o", calls=calls, tokens=calls * 900
        )
        costs.balance()


def opened(client: Any, query: str = "") -> Any:
    response = client.get(f"/explain/change/?period=2026-10&{query}")
    assert response.status_code == 200
    return response


@pytest.mark.parametrize("query", ["", "team=search", "feature=ranking", "model_group=training"])
def test_every_table_adds_up_to_the_change(company: None, query: str) -> None:
    context = opened(client_of(Role.FINANCE), query).context

    total = context["total"]
    assert context["tables"]
    for table in context["tables"]:
        for column, whole in (("now", total.now), ("before", total.before)):
            assert exact_sum(row[column].value for row in table.rows) == whole, table.name
    if context["why"]:
        moved = exact_sum(row["amount"].value for row in context["why"].rows)
        assert moved == total.now - total.before


def test_quantity_and_price_stand_then_and_now(company: None) -> None:
    (row,) = opened(client_of(Role.FINANCE), "feature=ranking").context["quantities"].rows

    found = {name: cell.value for name, cell in row.items()}
    rates = [round(Decimal(found.pop(name)), 4) for name in ("rate_before", "rate")]
    assert rates == [Decimal("111.1111"), Decimal("101.4815")]
    assert found == {
        "model": "gpt-4o",
        "calls_before": 1000,
        "calls": 1500,
        "tokens_before": 900_000,
        "tokens": 1_350_000,
    }


def test_it_opens_beside_a_page_and_amounts_open_then_and_now(company: None) -> None:
    client = client_of(Role.FINANCE)

    panel = client.get(
        "/explain/change/?period=2026-10&team=search", headers={"HX-Request": "true"}
    ).content.decode()

    assert "<html" not in panel
    assert "data-close-explain" in panel
    assert "from=2026-09-01&amp;to=2026-09-30" in panel
    assert "/explain/?period=2026-10" in panel


def test_a_lead_sees_the_change_of_no_other_team(company: None) -> None:
    lead = client_of(Role.TEAM_LEAD, "search")

    page = text_of(opened(lead).content)

    assert "replies" not in page
    assert "12.34" not in page
    assert lead.get("/explain/change/?period=2026-10&team=support").status_code == 404


def test_nothing_to_compare_with_says_so(company: None) -> None:
    client = client_of(Role.FINANCE)

    for query in ("period=2026-09", "period=2026-10&compare=none"):
        page = text_of(client.get(f"/explain/change/?{query}").content)
        assert "nothing to compare with" in page


def test_strange_parameters_are_refused_or_show_nothing(company: None) -> None:
    client = client_of(Role.FINANCE)

    assert client.get(f"/explain/change/?feature={'x' * 600}").status_code == 404
    assert "same" in text_of(opened(client, "feature=none-such&model_group=zz").content)
