"""One amount, wherever it is read: page, table CSV, chargeback CSV and API agree to the digit."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from allocation.models import Team
from allocation.values.money import exact_sum
from portal.accounts.models import Role
from tests.allocation.bills import OPENAI, Bill, allocate, usage, utc
from tests.factories import make_user

pytestmark = pytest.mark.django_db

METRICS = ("effective_cost", "billed_cost")
ENDPOINTS = (
    "costs/?group_by=team,feature,model,day&period=2026-10",
    "costs/?group_by=team&period=2026-10&metric=billed_cost",
    "runs/?period=2026-10",
    "reconcile/?period=2026-10",
    "teams/",
    "imports/",
    "prices/unpriced/",
)


@pytest.fixture
def reader() -> Client:
    """A month with amounts that no float can hold, read by who may read everything."""
    for slug in ("search", "ads", "shop"):
        Team.objects.create(slug=slug, name=slug.title())
    usage("search", "lookup", input_uncached=1, at=utc(5))
    usage("ads", "ranking", input_uncached=2, at=utc(5))
    usage("shop", input_uncached=4, at=utc(6))
    bill = Bill()
    row = {**OPENAI, "sku_meter": "gpt-4o input tokens"}
    bill.charge(
        "100000000000.000000000000000001",
        "0.1000000000000000055511151231257827",
        at=utc(5),
        quantity="3",
        **row,
    )
    bill.charge("0.3", "-0.000000000000000000000000000007", at=utc(6), quantity="4", **row)
    bill.charge("12.345678901234567890", "7", at=utc(7), category="Tax", **row)
    allocate()
    client = Client()
    client.force_login(make_user(Role.FINOPS_ADMIN))
    return client


def lines(response: Any) -> list[dict[str, str]]:
    content = b"".join(response) if response.streaming else response.content
    return list(csv.DictReader(io.StringIO(content.decode())))


def from_api(reader: Client, metric: str) -> dict[str | None, Decimal]:
    body = json.loads(
        reader.get(f"/api/v1/costs/?period=2026-10&group_by=team&metric={metric}").content
    )
    return {row["key"]["team"]: Decimal(row["cost"]) for row in body["rows"]}


def from_chargeback(reader: Client, metric: str) -> dict[str | None, Decimal]:
    found: dict[str | None, list[Decimal]] = defaultdict(list)
    for line in lines(reader.get("/api/v1/chargeback/?period=2026-10")):
        if line["period"] != "CONTROL TOTAL":
            found[line["team"] or None].append(Decimal(line[metric]))
    return {team: exact_sum(costs) for team, costs in found.items()}


def team_rows(reader: Client, metric: str) -> list[dict[str, str]]:
    return lines(reader.get(f"/showback/?period=2026-10&metric={metric}&download=teams"))


def test_fault_084_page_table_csv_chargeback_and_api_agree(reader: Client) -> None:
    for metric in METRICS:
        api = from_api(reader, metric)
        csv_rows = {row["Team"]: Decimal(row["Cost, USD"]) for row in team_rows(reader, metric)}
        page = html.unescape(
            reader.get(f"/showback/?period=2026-10&metric={metric}").content.decode()
        )
        shown = {Decimal(text) for text in re.findall(r'<span class="n" title="(-?[0-9.]+)"', page)}

        assert set(api) == {"search", "ads", "shop"}
        assert from_chargeback(reader, metric) == api
        assert csv_rows.pop("Total") == exact_sum(api.values())
        assert {team.lower(): cost for team, cost in csv_rows.items()} == api
        assert set(api.values()) <= shown


def test_fault_085_no_answer_of_the_api_has_money_as_a_float(reader: Client) -> None:
    """A JSON number with a point or an exponent would be read as a float by most readers."""
    floats: list[str] = []

    def seen(text: str) -> float:
        floats.append(text)
        return float(text)

    for path in ENDPOINTS:
        response = reader.get(f"/api/v1/{path}")
        assert response.status_code == 200, path
        json.loads(response.content, parse_float=seen)

    assert floats == []


def test_page_and_api_give_the_same_chargeback_file(reader: Client) -> None:
    page = reader.get("/chargeback/lines.csv?period=2026-10")
    api = reader.get("/api/v1/chargeback/?period=2026-10")

    assert b"".join(page.streaming_content) == b"".join(api.streaming_content)  # type: ignore[attr-defined]
