"""What teams provided to each other, and hosting that nobody uses, on the pages of finance and of
each team.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from allocation.models import Feature, Team
from portal.accounts.models import Role
from tests.allocation.bills import OPENAI, Bill, allocate, usage, utc
from tests.factories import client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def month() -> None:
    for slug in ("shop", "search", "ads", "lab"):
        Team.objects.create(slug=slug, name=slug.title())
    Feature.objects.create(slug="checkout", name="Check-out")
    for serving, feature, tokens in (("search", "lookup", 300), ("ads", "ranking", 100)):
        entry = {"entry_team": "shop", "entry_feature": "checkout"}
        usage(serving, feature, input_uncached=tokens, at=utc(5), about=entry)
    usage("lab", input_uncached=100, at=utc(5))
    bill = Bill()
    bill.charge("50", at=utc(5), quantity="500", **{**OPENAI, "sku_meter": "gpt-4o input tokens"})
    hosted = {"charge_description": "Fine-tuned model hosting hours", "tags": {"team": "lab"}}
    bill.charge(
        "24", at=utc(5), **{**OPENAI, "sku_meter": "ft:gpt-4.1-nano-2025-04-14:acme::x2", **hosted}
    )
    allocate()


def test_finance_sees_every_exchange_and_hosting_without_calls(month: None) -> None:
    context = client_of(Role.FINANCE).get("/chargeback/?period=2026-10").context

    rows = [
        (row["from"].value, row["to"].value, row["cost"].value) for row in context["between"].rows
    ]
    assert rows == [
        ("Search / lookup", "Shop / Check-out", Decimal(30)),
        ("Ads / ranking", "Shop / Check-out", Decimal(10)),
    ]
    assert context["between"].total["cost"].value == 40
    assert [(row["model"].value, row["cost"].value) for row in context["hosting"].rows] == [
        ("ft:gpt-4.1-nano", Decimal(24))
    ]


def test_a_team_sees_its_own_exchanges_only(month: None) -> None:
    page = client_of(Role.TEAM_LEAD, "ads").get("/showback/ads/?period=2026-10")

    rows = [
        (row["from"].value, row["to"].value, row["cost"].value)
        for row in page.context["between"].rows
    ]
    assert rows == [("Ads / ranking", "Shop / Check-out", Decimal(10))]
    assert "lookup" not in page.content.decode()
