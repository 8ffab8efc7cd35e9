"""/plan/: typed and uploaded plans, previewed, in versions; and plans beside spend."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from allocation.models import AllocationRun, ExchangeRate, SpendPlanAmount, SpendPlanVersion
from allocation.planning.store import preview_plans
from portal.accounts.models import AuditEntry, Role
from portal.decisions.plans import change_plans
from tests.factories import Costs, client_of, make_source, make_team
from tests.ledger_rows import add_cost
from tests.portal.pages.words import text_of

pytestmark = pytest.mark.django_db
HEADER = "month,cost_center,team,account,amount,currency\n"
OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)


@pytest.fixture
def company() -> None:
    make_team("search", cost_center="4100")
    make_team("support", cost_center="4200")
    make_team("legal")
    october = Costs(OCTOBER)
    for day in range(1, 32):
        october.add(day, "10", team="search", feature="ranking", model="gpt-4o")
    october.add(31, "31", team="search", charge_kind="tax", with_invoice="tax")
    october.balance()
    november = Costs(NOVEMBER)
    for day in range(1, 11):
        november.add(day, "12.5", team="search", feature="ranking", model="gpt-4o")
        november.add(day, "2", team="support", feature="replies", source="Google")
    november.add(4, "0.25", team="legal")
    november.add(5, "3")
    november.balance()


@pytest.fixture
def mid_november() -> Any:
    with time_machine.travel(datetime(2026, 11, 11, 8, tzinfo=UTC), tick=False):
        yield


def plan(*rows: str) -> None:
    text = HEADER + "".join(f"{row}\n" for row in rows)
    change_plans(
        text=text,
        previewed=preview_plans(text).token,
        origin="plans.csv",
        acting_user="fin",
        now=timezone.now(),
    )


def hidden(body: str) -> dict[str, str]:
    return {
        name: unescape(value)
        for name, value in re.findall(
            r'name="(text|origin|previewed)" value="([^"]*)"', body, re.DOTALL
        )
    }


def uploaded(client: Client, text: str, name: str = "plan.csv") -> Any:
    file = SimpleUploadedFile(name, text.encode(), "text/csv")
    return client.post("/plan/preview/", {"file": file})


# ---------------------------------------------------------------- changing


def test_a_typed_plan_is_previewed_then_applied(company: None) -> None:
    finance = client_of(Role.FINANCE)
    asked = {"month": "2026-11", "holder": "team:search", "account": "6420", "currency": "USD"}

    shown = finance.post("/plan/type/", {**asked, "amount": "375.50"})

    assert "This would change 1 plan: 1 new." in text_of(shown.content)
    assert not SpendPlanVersion.objects.exists()
    done = finance.post("/plan/apply/", hidden(shown.content.decode()), follow=True)
    assert "The plans are changed: 1 new" in text_of(done.content)
    assert done.redirect_chain == [("/plan/?period=2026-11", 302)]
    amount = SpendPlanAmount.objects.select_related("version").get()
    assert (amount.amount, amount.account, amount.version.origin) == (
        Decimal("375.50"),
        "6420",
        "typed",
    )
    entry = AuditEntry.objects.get(action="plans changed")
    assert entry.actor == amount.version.created_by
    assert entry.detail["changes"] == ["2026-11 team search, account 6420: none to 375.5 USD"]


def test_a_file_is_previewed_as_difference_then_applied(company: None) -> None:
    plan("2026-11,,search,,100,USD", "2026-11,4200,,,50,USD")
    finance = client_of(Role.FINANCE)
    text = HEADER + "2026-11,,search,,120,USD\n2026-11,4200,,,,\n2026-12,,search,,130,USD\n"

    shown = uploaded(finance, text)

    body = text_of(shown.content)
    assert "This would change 3 plans: 1 new, 1 changed, 1 taken away." in body
    assert "100 USD 120 USD" in body
    finance.post("/plan/apply/", hidden(shown.content.decode()))
    page = finance.get("/plan/?period=2026-11")
    assert [row["amount"].value for row in page.context["table"].rows] == [Decimal(120)]
    history = [row["says"].value for row in page.context["history"].rows]
    assert sorted(history) == sorted(
        ["120.00 USD", "taken away", "130.00 USD", "100.00 USD", "50.00 USD"]
    )
    csv = finance.get("/plan/plans.csv").content.decode()
    assert csv == HEADER + "2026-11,,search,,120,USD\n2026-12,,search,,130,USD\n"


def test_each_wrong_line_is_refused_and_nothing_applied(company: None) -> None:
    finance = client_of(Role.FINANCE)

    shown = uploaded(finance, HEADER + '2026-11,,search,,"1,5",USD\n2026-11,,nobody,,1,USD\n')

    body = text_of(shown.content)
    assert "This can't be used yet: 2 problems." in body
    assert "Line 2 an amount is digits and at most one point" in body
    assert "Line 3 there is no team &#x27;nobody&#x27;" in body
    assert "Do it?" not in body
    assert not SpendPlanVersion.objects.exists()


def test_what_changed_since_the_preview_is_shown_anew(company: None) -> None:
    finance = client_of(Role.FINANCE)
    shown = uploaded(finance, HEADER + "2026-11,,search,,120,USD\n")
    plan("2026-11,,search,,100,USD")

    answer = finance.post("/plan/apply/", hidden(shown.content.decode()))

    assert answer.status_code == 409
    body = text_of(answer.content)
    assert "Nothing has changed: the file or the plans are not those" in body
    assert "100 USD 120 USD" in body
    assert SpendPlanVersion.objects.count() == 1


def test_a_file_that_is_no_text_is_refused(company: None) -> None:
    file = SimpleUploadedFile("plan.csv", b"month\xff", "text/csv")

    answer = client_of(Role.FINANCE).post("/plan/preview/", {"file": file})

    assert answer.status_code == 400
    assert "no UTF-8 text: byte 5" in text_of(answer.content)


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '"><img src=x>', "=1+1", "‮abc"])
def test_hostile_text_stays_text(company: None, hostile: str) -> None:
    finance = client_of(Role.FINANCE)
    asked = {"month": "2026-11", "holder": "team:search", "currency": "USD", "amount": "1"}

    shown = finance.post("/plan/type/", {**asked, "account": hostile})
    wrong = finance.post("/plan/type/", {**asked, "month": hostile[:9], "holder": hostile})
    if 'name="previewed"' in shown.content.decode():  # nothing is wrong with it
        finance.post("/plan/apply/", {**hidden(shown.content.decode()), "origin": hostile})
    pages = [shown, wrong, finance.get("/plan/?period=2026-11")]

    for page in pages:
        body = page.content.decode()
        assert page.status_code == 200
        assert "<script>alert" not in body
        assert "<img src=x" not in body
    assert ",=1+1" not in finance.get("/plan/plans.csv").content.decode()


def test_executives_see_plans_and_change_none(company: None) -> None:
    plan("2026-11,,search,,100,USD")
    executive = client_of(Role.EXECUTIVE)

    page = executive.get("/plan/?period=2026-11")

    assert page.context["table"].rows[0]["amount"].value == 100
    assert "Plan one amount" not in text_of(page.content)
    assert executive.post("/plan/type/", {}).status_code == 404
    assert client_of(Role.TEAM_LEAD, "search").get("/plan/").status_code == 404


# ---------------------------------------------------------------- beside spend


@pytest.mark.usefixtures("company", "mid_november")
def test_the_executive_page_shows_plan_pace_and_what_is_left() -> None:
    plan("2026-11,4100,,6420,300,USD", "2026-11,4100,,6430,100.5,USD", "2026-11,,search,,5,USD")
    plan("2026-11,,support,,50,USD")

    response = client_of(Role.EXECUTIVE).get("/executive/?period=2026-11")

    table = response.context["on_plan"]
    shown = [
        [row[name].value for name in ("name", "plan", "actual", "pace", "left", "outcome")]
        for row in table.rows
    ]
    assert shown == [
        ["Support", 50, 20, 60, 30, "pace over by 10.00"],
        ["Centre 4100", Decimal("400.5"), 125, 375, Decimal("275.5"), "within plan"],
    ]
    assert [table.total[name].value for name in ("plan", "actual", "pace", "left")] == [
        Decimal("450.5"),
        145,
        435,
        Decimal("305.5"),
    ]
    without = response.context["plans"].whole.unplanned
    assert without == Decimal("3.25")
    assert table.total["actual"].value + without == response.context["total"].now
    body = text_of(response.content)
    assert "3.25 USD were spent without a plan." in body
    assert "going on evenly to 30 November. It is no forecast." in body
    assert "Left out of it, until the invoice is there: tax, about 31 USD a month." in body
    csv = client_of(Role.EXECUTIVE).get("/executive/?period=2026-11&download=plans")
    assert csv.content.decode().splitlines()[1] == "Support,50,20,60,30,pace over by 10.00"


@pytest.mark.usefixtures("company", "mid_november")
def test_what_comes_with_the_invoice_does_not_go_on_in_the_pace() -> None:
    plan("2026-11,,search,,500,USD")
    names = {"team": "search", "rule": "tax", "with_invoice": "tax", "charge_kind": "tax"}
    add_cost(
        AllocationRun.objects.get(billing_month=NOVEMBER),
        date(2026, 11, 3),
        evidence=4,
        names={"source_id": make_source("AWS").pk, **names},
        billed_cost=Decimal(40),
        effective_cost=Decimal(40),
    )

    line = client_of(Role.EXECUTIVE).get("/showback/search/?period=2026-11").context["plan"]

    assert (line.actual, line.pace, line.left) == (165, 415, 335)


@pytest.mark.usefixtures("company", "mid_november")
def test_a_closed_month_has_no_pace() -> None:
    plan("2026-10,,search,,400,USD")
    with time_machine.travel(datetime(2026, 12, 20, 8, tzinfo=UTC), tick=False):
        response = client_of(Role.EXECUTIVE).get("/executive/?period=2026-10")

    assert "pace" not in [column.key for column in response.context["on_plan"].columns]
    assert response.context["on_plan"].rows[0]["left"].value == 59
    assert "no forecast" not in text_of(response.content)


@pytest.mark.usefixtures("company", "mid_november")
def test_showback_and_team_page_show_the_plans_of_teams() -> None:
    plan("2026-11,,search,,100.25,USD", "2026-11,4200,,,70,USD")
    client = client_of(Role.EXECUTIVE)

    rows = {
        row["name"].value: row
        for row in client.get("/showback/?period=2026-11").context["table"].rows
    }
    page = client.get("/showback/search/?period=2026-11")

    assert [rows["Search"][name].value for name in ("plan", "pace", "left")] == [
        Decimal("100.25"),
        375,
        Decimal("-24.75"),
    ]
    assert "plan" not in rows["Support"]
    assert page.context["plan"].left == Decimal("-24.75")
    assert "over plan" in text_of(page.content)
    assert client.get("/showback/support/?period=2026-11").context["plan"] is None


@pytest.mark.usefixtures("company", "mid_november")
def test_a_lead_sees_the_plan_of_the_own_team_alone() -> None:
    plan(
        "2026-11,,search,,100.25,USD",
        "2026-11,,support,,777.31,USD",
        "2026-11,4100,,,888.31,USD",
        "2026-10,,support,,778.31,USD",
    )
    lead = client_of(Role.TEAM_LEAD, "search")

    own = lead.get("/showback/search/?period=2026-11")

    assert own.context["plan"].plan == Decimal("100.25")
    assert [one.name for one in own.context["plans"].plans] == ["Search"]
    for digits in ("777", "888", "778"):
        assert digits not in own.content.decode()
    assert lead.get("/showback/support/?period=2026-11").status_code == 404


@pytest.mark.usefixtures("company", "mid_november")
def test_nothing_is_said_of_plans_where_there_is_none() -> None:
    client = client_of(Role.EXECUTIVE)
    for address in ("/executive/", "/showback/", "/showback/search/"):
        for query in ("period=2026-11", "from=2026-11-01&to=2026-11-05"):
            body = text_of(client.get(f"{address}?{query}").content)
            assert "on plan" not in body
            assert "Left of plan" not in body
    plan("2026-11,,search,,100,USD")
    days = client.get("/executive/?from=2026-11-01&to=2026-11-05")
    assert days.context["plans"] is None
    assert client.get("/executive/?period=2026-11&environment=staging").context["plans"] is None


@pytest.mark.usefixtures("company", "mid_november")
def test_a_plan_in_another_currency_is_never_added() -> None:
    plan("2026-11,,search,,100,EUR", "2026-11,,support,,50,USD")

    response = client_of(Role.EXECUTIVE).get("/executive/?period=2026-11")

    assert [row["name"].value for row in response.context["on_plan"].rows] == ["Support"]
    assert response.context["on_plan"].total["plan"].value == 50
    body = text_of(response.content)
    assert "without a rate into USD, so not compared: Search 100.00 EUR." in body
    assert NOVEMBER.isoformat() not in [
        row["month"].value
        for row in response.context["month_chart"].table.rows
        if row["plan"].value is not None
    ]


@pytest.mark.usefixtures("company", "mid_november")
def test_a_plan_is_converted_at_the_rate_of_its_month() -> None:
    euro = Costs(NOVEMBER, currency="EUR")
    euro.add(2, "4", team="legal", source="Azure")
    euro.balance()
    ExchangeRate.objects.create(
        month=NOVEMBER,
        base="EUR",
        quote="USD",
        rate=Decimal("1.25"),
        source="bank",
        uploaded_at=timezone.now(),
    )
    plan("2026-11,,legal,,100.01,EUR")

    response = client_of(Role.EXECUTIVE).get("/executive/?period=2026-11&currency=USD")

    (row,) = response.context["on_plan"].rows
    assert (row["plan"].value, row["actual"].value) == (Decimal("125.0125"), Decimal("5.25"))


# ---------------------------------------------------------------- months


@pytest.mark.usefixtures("company", "mid_november")
def test_every_month_is_charted_with_its_plan() -> None:
    plan("2026-11,4100,,,300,USD", "2026-11,,search,,5,USD", "2026-11,,legal,,2.5,USD")
    client = client_of(Role.EXECUTIVE)

    chart = client.get("/executive/?period=2026-11").context["month_chart"]
    team = client.get("/showback/search/?period=2026-11").context["month_chart"]

    rows = [(row["month"].value, row["total"].value, row["plan"].value) for row in chart.table.rows]
    assert rows == [
        ("2026-10", Decimal(341), None),
        ("2026-11", Decimal("148.25"), Decimal("302.5")),
    ]
    assert [trace["name"] for trace in chart.figure["data"]][-1] == "Plan"
    assert [
        (row["month"].value, row["total"].value, row["plan"].value) for row in team.table.rows
    ] == [("2026-10", Decimal(341), None), ("2026-11", Decimal(125), Decimal(5))]


@pytest.mark.usefixtures("company", "mid_november")
def test_recent_days_lead_to_the_page_that_says_the_same() -> None:
    client = client_of(Role.EXECUTIVE)

    for address in ("/executive/", "/showback/search/"):
        recent = client.get(f"{address}?period=2026-11").context["recent"]
        assert [one.days for one in recent] == [7, 30]
        for one in recent:
            page = client.get(f"{address}{one.href}")
            assert page.context["total"].now == one.cost
            assert page.context["state"].period.length == one.days
