from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from allocation.charges.groups import pinned_scopes
from allocation.models import (
    AllocationRun,
    ChargeScope,
    CostCenter,
    CostCenterPlacement,
    Import,
    RunSource,
    Team,
    TeamPlacement,
)
from allocation.organisation.stored import load_organisation
from allocation.rules.rule_sets import rule_set_for
from portal.accounts.models import Role
from reports.asking import TeamScope
from reports.queries.reconcile.bridge import bridges
from tests.allocation.bills import AWS, OCTOBER, OPENAI, Bill, allocate
from tests.factories import Costs, make_source, make_team, make_user
from tests.portal.pages.words import text_of

pytestmark = pytest.mark.django_db


def loaded_bill(source: str, cost: str, *, rejected: int = 0) -> None:
    """A published bill of October 2026, as importing leaves it, without its rows."""
    delivered = Import.objects.create(
        source=make_source(source), status="loaded", file_name="bill.csv", rows_rejected=rejected
    )
    ChargeScope.objects.create(
        source=make_source(source),
        bill_import=delivered,
        billing_account_id="1",
        billing_period_start=datetime(2026, 10, 1, tzinfo=UTC),
        billing_period_end=datetime(2026, 11, 1, tzinfo=UTC),
        billing_month=date(2026, 10, 1),
        delivery="overwrite",
        state="current",
        rows=12,
        totals=[{"currency": "USD", "billed_cost": cost, "effective_cost": cost}],
    )


@pytest.fixture
def month() -> None:
    make_team("search", cost_center="CC-1")
    make_team("support", cost_center="CC-2")
    costs = Costs(date(2026, 10, 1))
    costs.add(2, "100.10", billed="90", team="search", source="AWS")
    costs.add(3, "50", team="support", source="OpenAI")
    costs.add(3, "9.9", source="AWS")
    costs.add(4, "40", source="AWS", ai_scope="other", reason="not AI")
    costs.balance()
    loaded_bill("AWS", "150")
    loaded_bill("OpenAI", "50")
    AllocationRun.objects.update(
        inputs={
            "scopes": pinned_scopes(date(2026, 10, 1)),
            "rules_sha256": rule_set_for(date(2026, 10, 1)).content_sha256,
            "organisation_sha256": load_organisation().digest(),
            "price_version": None,
            "sources": {},
        }
    )


def finance() -> Client:
    client = Client()
    client.force_login(make_user(Role.FINANCE))
    return client


def test_sources_reconcile_line_by_line(month: None) -> None:
    response = finance().get("/chargeback/?period=2026-10")

    table = response.context["sources"]
    rows = {row["source"].value: row for row in table.rows}
    assert rows["AWS"]["loaded"].value == Decimal(150)
    assert rows["AWS"]["allocated"].value == Decimal("100.1")
    assert rows["AWS"]["unallocated"].value == Decimal("9.9")
    assert rows["AWS"]["outside"].value == Decimal(40)
    assert [row["difference"].value for row in table.rows] == [0, 0]
    assert table.total["loaded"].value == Decimal(200)


def test_only_stations_that_exist_are_drawn(month: None) -> None:
    stations = finance().get("/chargeback/?period=2026-10").context["stations"]

    assert [(station.name, station.state) for station in stations] == [
        ("Imported", "done"),
        ("Reconciled", "done"),
        ("Allocated", "done"),
        ("Reviewed", "open"),
    ]


def test_a_run_that_is_out_of_date_says_why(month: None) -> None:
    make_team("new")

    stations = finance().get("/chargeback/?period=2026-10").context["stations"]

    assert stations[2].state == "trouble"
    assert "out of date: the organisation changed. Allocate the month again" in stations[2].evidence


def test_a_bill_that_changed_after_the_run_is_trouble(month: None) -> None:
    ChargeScope.objects.filter(source__name="AWS").update(
        totals=[{"currency": "USD", "effective_cost": "151"}]
    )

    stations = finance().get("/chargeback/?period=2026-10").context["stations"]

    assert (stations[1].state, "allocate the month again" in stations[1].evidence) == (
        "trouble",
        True,
    )


def test_rejected_rows_are_trouble(month: None) -> None:
    Import.objects.filter(source__name="AWS").update(rows_rejected=2)

    stations = finance().get("/chargeback/?period=2026-10").context["stations"]

    assert (stations[0].state, stations[0].evidence) == (
        "trouble",
        "bills: 2, sources: 2, rejected rows: 2",
    )


def test_cost_centres_make_the_total_of_the_bills(month: None) -> None:
    table = finance().get("/chargeback/?period=2026-10").context["centers"]

    assert [(row["center"].value, row["cost"].value) for row in table.rows] == [
        ("CC-1", Decimal("100.1")),
        ("CC-2", Decimal(50)),
        ("outside AI", Decimal(40)),
        ("no owner", Decimal("9.9")),
    ]
    assert table.total["cost"].value == Decimal(200)


def test_a_cost_centres_mode_is_that_of_the_month(month: None) -> None:
    center = CostCenter.objects.get(code="CC-1")
    for day, mode in ((date(2026, 10, 31), "chargeback"), (date(2026, 11, 1), "showback")):
        CostCenterPlacement.objects.create(
            cost_center=center, legal_entity=center.legal_entity, mode=mode, valid_from=day
        )

    table = finance().get("/chargeback/?period=2026-10").context["centers"]

    assert [row["mode"].value for row in table.rows] == ["chargeback", "showback", "", ""]


def test_a_month_in_which_nothing_has_an_owner_is_not_done() -> None:
    costs = Costs(date(2026, 10, 1))
    costs.add(2, "87.87", source="AWS")
    costs.balance()

    stations = finance().get("/chargeback/?period=2026-10").context["stations"]

    assert (stations[2].name, stations[2].state) == ("Allocated", "trouble")
    assert "no charge has an owner yet" in stations[2].evidence


def test_a_centre_leads_to_teams_and_features_that_make_its_cost(month: None) -> None:
    make_team("ads", cost_center="CC-1")
    costs = Costs(date(2026, 10, 1), "EUR")
    costs.add(2, "5.25", billed="4", team="search", feature="chat")
    costs.add(3, "1.5", team="search")
    costs.add(3, "2", team="ads")
    costs.add(4, "7", team="support", feature="chat")
    client = finance()
    page = client.get("/chargeback/?period=2026-10&currency=EUR")

    (href,) = [
        row["cost"].href for row in page.context["centers"].rows if row["center"].value == "CC-1"
    ]
    response = client.get(href)

    table = response.context["table"]
    assert [(row["team"].value, row["feature"].value, row["cost"].value) for row in table.rows] == [
        ("Search", "chat", Decimal("5.25")),
        ("Ads", "no feature", Decimal(2)),
        ("Search", "no feature", Decimal("1.5")),
    ]
    assert table.total["cost"].value == Decimal("8.75")
    opened = [
        client.get(f"{row['cost'].href}&format=json").json()["amount"]
        for row in table.rows
        if row["cost"].href
    ]
    assert opened == ["5.25", "2"]
    billed = client.get(f"{href}&metric=billed_cost").context["table"]
    assert billed.total["cost"].value == Decimal("7.5")
    assert client.get("/chargeback/center/?code=CC-9").status_code == 404


def test_a_team_that_moved_stands_in_both_centres_and_leads_only_where_it_adds_up(
    month: None,
) -> None:
    team = Team.objects.get(slug="search")
    placed = team.placements.get()
    TeamPlacement.objects.create(
        team=team,
        business_unit=placed.business_unit,
        cost_center=CostCenter.objects.get(code="CC-2"),
        valid_from=date(2026, 10, 10),
    )
    costs = Costs(date(2026, 10, 1), "EUR")
    costs.add(2, "5", team="search", feature="chat")
    costs.add(12, "3", team="search", feature="chat")
    costs.add(12, "1", team="search", feature="rank")

    pages = [
        finance().get(f"/chargeback/center/?period=2026-10&currency=EUR&code={code}")
        for code in ("CC-1", "CC-2")
    ]

    assert [
        [(row["feature"].value, row["cost"].value, bool(row["cost"].href)) for row in table.rows]
        for table in (page.context["table"] for page in pages)
    ] == [
        [("chat", Decimal(5), False)],
        [("chat", Decimal(3), False), ("rank", Decimal(1), True)],
    ]
    assert "moved within the month" in text_of(pages[0].content)


def test_what_nobody_pays_opens_as_the_amount_it_is() -> None:
    bill = Bill("AWS")
    bill.charge("40", **AWS)
    bill.charge("9.9", **(AWS | {"service_name": "Amazon Bedrock"}))
    allocate()
    client = finance()
    page = client.get("/chargeback/?period=2026-10").context

    shown = {row["center"].value: row["cost"] for row in page["centers"].rows}
    sources = {row["source"].value: row for row in page["sources"].rows}

    for cell in (shown["no owner"], shown["outside AI"], sources["AWS"]["unallocated"]):
        assert client.get(cell.href).context["found"].total == cell.value
    assert sources["AWS"]["outside"].value == shown["outside AI"].value == 40


def test_months_are_listed_with_their_state_and_what_recalculations_moved(month: None) -> None:
    now = AllocationRun.objects.get()
    before = AllocationRun.objects.create(
        id=now.pk - 1,
        billing_month=now.billing_month,
        currency="USD",
        rule_set=now.rule_set,
        status="succeeded",
        sha256="first",
    )
    for source, allocated in (("AWS", "90.1"), ("OpenAI", "50")):
        balance = now.balances.get(source__name=source, metric="effective_cost")
        RunSource.objects.create(
            run=before,
            source=balance.source,
            metric="effective_cost",
            charges=balance.charges,
            allocated=Decimal(allocated),
            unallocated=balance.charges - Decimal(allocated),
        )
    september = Costs(date(2026, 9, 1))
    september.add(2, "8", team="search")
    september.balance()

    page = finance().get("/chargeback/?period=2026-10").context

    assert [
        (row["month"].value, row["charges"].value, row["times"].value, row["state"].value)
        for row in page["months"].rows
    ] == [
        ("October 2026", Decimal(200), 2, "open"),
        ("September 2026", Decimal(8), 1, "open"),
    ]
    (moved,) = page["restated"].rows
    assert [moved[name].value for name in ("charges", "allocated", "unallocated")] == [0, 10, -10]
    ChargeScope.objects.filter(source__name="AWS").update(state="superseded")
    (october, _) = finance().get("/chargeback/?period=2026-10").context["months"].rows
    assert "bills changed since" in str(october["state"].value)


def test_there_is_one_detail_file_of_each_kind(month: None) -> None:
    page = finance().get("/chargeback/?period=2026-10")

    assert page.context["downloads"] == [
        ("CSV, every line", "/chargeback/lines.csv?period=2026-10"),
        ("XLSX, every line", "/chargeback/lines.xlsx?period=2026-10"),
    ]


def prepaid() -> None:
    """A commitment of which a quarter stood idle, cost prepaid last year, and usage that is billed
    as it is used.
    """
    bill = Bill("AWS")
    commitment = {**AWS, "commitment_discount_id": "ri-1"}
    bill.charge("100", "0", category="Purchase", **commitment)
    bill.charge("0", "70.000000000000000001", commitment_discount_status="Used", **commitment)
    bill.charge("0", "25", commitment_discount_status="Unused", **commitment)
    bill.charge("0", "2.5", **AWS)
    bill.charge("10", **AWS)
    Bill("OpenAI").charge("7", **OPENAI)
    Bill("Google").charge("1", "9", currency="EUR")
    allocate()


def test_billed_leads_to_effective_by_named_parts_that_add_up_exactly() -> None:
    prepaid()

    client = finance()

    response = client.get("/chargeback/?period=2026-10&currency=USD")

    table = response.context["bridge"].table
    tiny = Decimal("70.000000000000000001")
    parts = (
        "billed",
        "purchases",
        "commitment_used",
        "commitment_unused",
        "amortised",
        "effective",
    )
    assert [column.key for column in table.columns] == ["source", *parts]
    assert {
        row["source"].value: [row[part].value for part in parts]
        for row in (*table.rows, table.total)
    } == {
        "AWS": [110, -100, tiny, 25, Decimal("2.5"), tiny + Decimal("37.5")],
        "OpenAI": [7, 0, 0, 0, 0, 7],
        "Total": [117, -100, tiny, 25, Decimal("2.5"), tiny + Decimal("44.5")],
    }
    body = text_of(response.content)
    for words in ("Amortised cost is", "below invoiced cost.", "Commitment unused: what"):
        assert words in body
    lines = (
        client.get("/chargeback/?period=2026-10&currency=USD&download=bridge")
        .content.decode()
        .splitlines()
    )
    assert lines[1] == "AWS,110,-100,70.000000000000000001,25,2.5,107.500000000000000001"


def test_without_anything_prepaid_there_is_no_bridge_to_walk() -> None:
    Bill().charge("7", **OPENAI)
    allocate()

    response = finance().get("/chargeback/?period=2026-10")

    assert response.context["bridge"].is_equal
    assert "They do not: every bill line" in response.content.decode()


def test_bills_name_no_team_so_a_lead_sees_no_bridge() -> None:
    prepaid()
    lead = Client()
    lead.force_login(make_user(Role.TEAM_LEAD, teams=[make_team("search")]))

    assert lead.get("/chargeback/?period=2026-10&download=bridge").status_code == 404
    assert bridges(period=OCTOBER, scope=TeamScope(frozenset({"search"}))) == ()
    assert len(bridges(period=OCTOBER, scope=TeamScope.everything())) == 3


def test_billed_metric_shows_what_is_invoiced(month: None) -> None:
    table = finance().get("/chargeback/?period=2026-10&metric=billed_cost").context["centers"]

    assert table.total["cost"].value == Decimal("189.9")


def test_the_statement_downloads_with_control_totals(month: None) -> None:
    response = finance().get("/chargeback/lines.csv?period=2026-10")
    text = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]

    assert response["Content-Disposition"] == 'attachment; filename="chargeback-2026-10.csv"'
    assert text.startswith("period,cost_center,team,")
    assert "CONTROL TOTAL" in text.splitlines()[-1]


def test_downloads_refuse_what_they_do_not_understand(month: None) -> None:
    client = finance()

    assert client.get("/chargeback/lines.csv?period=October").status_code == 400
    assert client.get("/chargeback/lines.csv?period=2031-01").status_code == 404


def test_only_finance_and_admins_open_it(month: None) -> None:
    client = Client()
    client.force_login(make_user(Role.EXECUTIVE))

    assert finance().get("/chargeback/").status_code == 200
    assert client.get("/chargeback/").status_code == 404
    assert client.get("/chargeback/lines.csv?period=2026-10").status_code == 404


def test_empty_portal_says_what_will_be_here() -> None:
    response = finance().get("/chargeback/")

    assert "A month, from bills to cost centres" in response.content.decode()


def test_number_of_statements_does_not_grow(month: None, django_assert_num_queries: Any) -> None:
    client = finance()

    with django_assert_num_queries(35):
        client.get("/chargeback/?period=2026-10")
