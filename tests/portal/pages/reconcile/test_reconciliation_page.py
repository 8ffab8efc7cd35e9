"""The reconciliation page, its downloads and its JSON: each gap by cause, for those who may read
whole bills.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from decimal import Decimal

import pytest
from playwright.sync_api import Browser
from pytest_django.live_server_helper import LiveServer

from allocation.catalogue.price_store import ensure_prices
from allocation.catalogue.prices import reprice
from allocation.models import ChargeScope
from portal.accounts.models import Role
from tests.allocation.bills import OPENAI, Bill, allocate, usage
from tests.factories import client_of, make_team
from tests.portal.browser import NARROW, WIDE, Walk, chromium, new_context, open_page, sign_in
from tests.portal.pages.words import text_of
from tests.portal.two_teams import person

pytestmark = pytest.mark.django_db

D = Decimal
INPUT = {**OPENAI, "sku_meter": "gpt-4o, input"}
OUTPUT = {**OPENAI, "sku_meter": "gpt-4o, output"}


def seed_month() -> None:
    """October: half of OpenAI's bill is traced, a credit, ten percent off; the same model from a
    seller in euro.
    """
    make_team("search")
    bill = Bill()
    bill.charge("9", listed="10", quantity="4000000", **INPUT)
    bill.charge("9", listed="10", quantity="1000000", **OUTPUT)
    bill.charge("-2", category="Credit", **OPENAI)
    Bill("euro").charge(
        "2",
        listed="2.2",
        quantity="1000000",
        currency="EUR",
        **{**INPUT, "sub_account_id": "proj-2"},
    )
    told = {"model_answered": "gpt-4o"}
    usage("search", about=told, input_uncached=2_000_000, output_text=500_000)
    usage("search", about=told, project="proj-2", input_uncached=1_000_000)
    usage("search", about=told, provider="larkspur", input_uncached=7)
    reprice(ensure_prices()[0].pk)
    for name, currency, cost in (("openai", "USD", "16"), ("euro", "EUR", "2")):
        totals = [{"currency": currency, "billed_cost": cost, "effective_cost": cost}]
        ChargeScope.objects.filter(source__name=name).update(totals=totals)
    allocate()


@pytest.fixture
def month() -> None:
    seed_month()


def test_the_page_shows_bills_gaps_and_what_is_on_no_bill(month: None) -> None:
    response = client_of(Role.FINANCE).get("/reconciliation/?period=2026-10")

    body = response.content.decode()
    sources = {row["source"].value: row for row in response.context["sources"].rows}
    assert sources["euro"]["difference"].value == 0
    dollars, euros = response.context["blocks"]
    lines = {row["cause"].value: row["amount"].value for row in dollars.table.rows}
    assert lines == {
        "Traces at list price": D(10),
        "Calls without a trace": D(10),
        "Calls without token count": D(0),
        "Cached tokens": D(0),
        "Reasoning tokens": D(0),
        "Batch tier": D(0),
        "Price list age": D(0),
        "Negotiated discount": D(-2),
        "Credit": D(-2),
        "Late bill": D(0),
        "Rounding": D(0),
        "Remainder": D(0),
    }
    assert dollars.table.total["amount"].value == sum(lines.values()) == 16
    assert "without a rate from USD to EUR the two can't be compared" in " ".join(body.split())
    assert [row["cause"].value for row in euros.table.rows][:2] == [
        "Bill at its own list price",
        "Negotiated discount",
    ]
    assert [row["provider"].value for row in response.context["off_the_bill"].rows] == ["larkspur"]


def test_the_page_says_what_of_each_source_is_attributed(month: None) -> None:
    address = "/reconciliation/?period=2026-10&download=attributed"
    head, euro, openai = client_of(Role.FINANCE).get(address).content.decode().splitlines()

    assert head.startswith("Source,Currency,Attributed,")
    assert euro == "euro,EUR,2,0,0,0,0,1"
    # Half has no trace and no owner; the seven tokens of a framework are among the others.
    assert openai == "openai,USD,8.000014,0,0,0,7.999986,0.500000875"


def test_causes_of_zero_stand_aside_and_the_sum_stays(month: None) -> None:
    response = client_of(Role.FINANCE).get("/reconciliation/?period=2026-10")

    dollars = response.context["blocks"][0]
    assert [row["cause"].value for row in dollars.moving.rows] == [
        "Traces at list price", "Calls without a trace", "Negotiated discount", "Credit",
        "Remainder",
    ]  # fmt: skip
    assert (
        sum(row["amount"].value for row in dollars.moving.rows)
        == dollars.moving.total["amount"].value
    )
    assert [row["amount"].value for row in dollars.still.rows] == [0] * 7
    assert (
        "7 causes of 0.00 : Calls without token count, Cached tokens, Reasoning tokens, Batch tier,"
        " Price list age, Late bill, Rounding" in text_of(response.content)
    )


def test_fault_020_each_source_is_rounded_by_its_own_currency() -> None:
    Bill("yen").charge("300.4", currency="JPY", **INPUT)
    Bill("dinar").charge("1.2345", currency="KWD", **INPUT)
    Bill().charge("9", **INPUT)
    allocate()

    body = client_of(Role.FINANCE).get("/reconciliation/?period=2026-10").content.decode()

    assert '<span class="n" title="300.4">300</span>' in body
    assert '<span class="n" title="1.2345">1.234</span>' in body
    assert '<span class="n" title="9">9.00</span>' in body


def test_a_bill_that_changed_after_the_run_is_named(month: None) -> None:
    totals = [{"currency": "USD", "billed_cost": "99", "effective_cost": "99"}]
    ChargeScope.objects.filter(source__name="openai").update(totals=totals)

    body = client_of(Role.FINANCE).get("/reconciliation/?period=2026-10").content.decode()

    assert "bills changed since the month was allocated" in body


@pytest.mark.parametrize(
    ("role", "opens_chargeback"),
    [(Role.FINANCE, True), (Role.FINOPS_ADMIN, True), (Role.EXECUTIVE, False)],
)
def test_fixes_link_only_to_pages_that_the_reader_may_open(
    month: None, role: Role, opens_chargeback: bool
) -> None:
    body = client_of(role).get("/reconciliation/?period=2026-10").content.decode()

    links = body[body.index("<main") :]
    assert ('href="/chargeback/' in links) is opens_chargeback
    assert "kind=untraced" in links


@pytest.mark.parametrize("role", [Role.ON_CALL, Role.TEAM_LEAD])
def test_others_find_nothing(month: None, role: Role) -> None:
    client = client_of(role)

    assert client.get("/reconciliation/").status_code in (403, 404)
    assert client.get("/reconciliation/gap.csv?period=2026-10").status_code in (403, 404)
    assert client.get("/api/v1/reconcile/gap/?period=2026-10").status_code == 403


def test_downloads_are_exact_and_add_up(month: None) -> None:
    client = client_of(Role.EXECUTIVE)

    whole = client.get("/reconciliation/gap.csv?period=2026-10").content.decode()
    block = client.get("/reconciliation/?period=2026-10").context["blocks"][0]
    one = client.get(block.table.download_address).content.decode()

    rows = [row for row in csv.DictReader(whole.splitlines()) if row["BillingCurrency"] == "USD"]
    assert sum(D(row["Amount"]) for row in rows[:-1]) == D(rows[-1]["Amount"]) == 16
    assert [row["Line"] for row in rows[:2]] == ["traces at list price", "calls without a trace"]
    amounts = [D(row["Amount, USD"]) for row in csv.DictReader(one.splitlines())]
    assert sum(amounts[:-1]) == amounts[-1] == 16


def test_json_tells_the_same(month: None) -> None:
    answer = client_of(Role.FINANCE).get("/api/v1/reconcile/gap/?period=2026-10")

    dollars, euros = json.loads(answer.content)["sources"]
    told = {
        "source": "openai",
        "currency": "USD",
        "billed": "16",
        "compared": True,
        "start": "10",
        "gap": "6",
    }
    assert dollars | told == dollars
    moving = [cause for cause in dollars["causes"] if cause["amount"] != "0"]
    assert [(cause["key"], cause["amount"]) for cause in moving] == [
        ("untraced", "10"),
        ("discount", "-2"),
        ("credit", "-2"),
    ]
    assert (euros["compared"], euros["estimate_usd"], euros["start"]) == (False, "2.5", "2.2")


def test_months_without_bills_say_so(month: None) -> None:
    client = client_of(Role.FINANCE)

    assert (
        "No bills in this month" in client.get("/reconciliation/?period=2025-01").content.decode()
    )
    empty = client.get("/reconciliation/gap.csv?period=2025-01").content.decode()
    assert empty.splitlines() == [
        "BillingMonth,Source,BillingCurrency,Line,Amount,ShareOfBilled,Evidence,Fix"
    ]


@pytest.fixture
def browser(chromium_path: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with chromium(chromium_path) as started:
        yield started


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_each_role_sees_the_waterfall_in_a_real_browser(
    browser: Browser, live_server: LiveServer
) -> None:
    seed_month()
    for role in (Role.EXECUTIVE, Role.FINANCE, Role.FINOPS_ADMIN):
        person(role.value, role)
        for width, theme in ((WIDE, "light"), (NARROW, "dark")):
            walk = Walk(live_server.url)
            context = new_context(browser, width=width, theme=theme)
            page = context.new_page()
            walk.watch(page)
            sign_in(page, live_server.url, role.value)
            open_page(walk, page, f"{live_server.url}/reconciliation/?period=2026-10")

            page.locator(".chart .waterfalllayer").first.wait_for()
            assert page.locator(".chart .waterfalllayer").count() == 2
            assert "Calls without a trace" in page.locator(".chart").first.inner_text()
            too_wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            assert not page.evaluate(too_wide), (role, width)
            page.locator(
                "main a[hx-get*='kind=untraced'], main a[href*='kind=untraced']"
            ).first.click()
            page.wait_for_load_state("networkidle")
            assert "no trace" in page.inner_text("body").lower()
            assert walk.problems == []
            context.close()
