"""Money in rows that are not loaded: said everywhere, in no balance, and a reason to refuse."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from allocation.models import Import
from allocation.runs.month import allocate_period
from allocation.values.periods import Period
from portal.accounts.keys import create_key
from portal.accounts.models import Role
from tests.factories import client_of
from tests.portal.bills import deliver, deliver_files, published, row, rows, text
from tests.portal.pages.words import text_of

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

SEPTEMBER = Period.parse("2026-09")
GOOD = rows(100, BilledCost="20")  # 2,000: one per cent is 20


def reconciled() -> dict[str, Any]:
    out = io.StringIO()
    call_command("reconcile", "2026-09", "--json", stdout=out)
    told: dict[str, Any] = json.loads(out.getvalue())
    return told


def in_words() -> str:
    out = io.StringIO()
    call_command("reconcile", "2026-09", stdout=out)
    return out.getvalue()


def test_rejected_money_is_kept_with_the_import(tmp_path: Path) -> None:
    outcome = deliver(
        tmp_path,
        text(
            *GOOD,
            row(ChargeCategory="Fee", BilledCost="10"),
            row(ChargeCategory="Fee", BilledCost="-2.5"),
            row(BilledCost="x"),
            row(BillingAccountId="", BilledCost="7.5"),
        ),
    )

    assert outcome.status == "loaded"
    assert Import.objects.get().rejected_money == outcome.rejected_money
    assert outcome.rejected_money == [
        {
            "account": "acct-1",
            "month": "2026-09",
            "currency": "USD",
            "rows": 4,
            "unreadable": 1,
            "billed_cost": "15",
        }
    ]


def test_rejected_money_stands_in_the_balance(tmp_path: Path) -> None:
    outcome = deliver(tmp_path, text(*GOOD, row(ChargeCategory="Fee", BilledCost="17")))
    allocate_period(period=SEPTEMBER, now=timezone.now())

    told = reconciled()

    assert told["balanced"] is False
    assert [(each["metric"], each["charges"], each["rejected"]) for each in told["rows"]] == [
        (metric, charges, {"rows": 1, "billed_cost": "17", "unreadable": 0})
        for metric, charges in (("billed_cost", "2000"), ("effective_cost", "100"))
    ]
    assert (
        f"NOT balanced: openai USD: 1 row was rejected with 17 USD billed: see import "
        f"{outcome.import_id}, and deliver the corrected bill"
    ) in in_words()
    _, secret = create_key("reader", "read", None, None)
    by_api = Client().get(
        "/api/v1/reconcile/?period=2026-09", headers={"authorization": f"Bearer {secret}"}
    )
    assert by_api.json()["balanced"] is False
    assert by_api.json()["rows"][0]["rejected"] == {
        "rows": 1,
        "billed_cost": "17",
        "unreadable": 0,
    }


def test_rejected_money_stands_on_the_pages(tmp_path: Path) -> None:
    outcome = deliver(tmp_path, text(*GOOD, row(ChargeCategory="Fee", BilledCost="17")))
    allocate_period(period=SEPTEMBER, now=timezone.now())
    finance = client_of(Role.FINANCE)

    balance = text_of(finance.get("/reconciliation/?period=2026-09").content)
    delivered = text_of(finance.get(f"/imports/{outcome.import_id}/").content)

    assert "Not balanced, openai: 1 row was rejected with 17 USD billed" in balance
    assert "17.00 USD invoiced in 2026-09" in delivered


def test_a_corrected_delivery_balances(tmp_path: Path) -> None:
    deliver(tmp_path, text(*GOOD, row(ChargeCategory="Fee", BilledCost="17")))
    deliver(tmp_path, text(*GOOD, row(ChargeCategory="Usage", BilledCost="17")))
    allocate_period(period=SEPTEMBER, now=timezone.now())

    assert reconciled()["balanced"] is True
    assert reconciled()["rows"][0]["rejected"] == {"rows": 0, "billed_cost": "0", "unreadable": 0}


def test_money_that_can_t_be_read_is_not_zero(tmp_path: Path) -> None:
    deliver(tmp_path, text(*GOOD, row(BilledCost="n/a")))
    allocate_period(period=SEPTEMBER, now=timezone.now())

    assert reconciled()["balanced"] is False
    assert "1 without a readable amount" in in_words()


def test_rejected_money_belongs_to_its_own_month_and_currency(tmp_path: Path) -> None:
    october = {
        "BillingPeriodStart": "2026-10-01T00:00:00Z",
        "BillingPeriodEnd": "2026-11-01T00:00:00Z",
    }
    outcome = deliver(
        tmp_path,
        text(
            *GOOD,
            *rows(10, BillingCurrency="EUR", BilledCost="100"),
            row(**october),
            row(ChargeCategory="Fee", BilledCost="2", BillingCurrency="EUR"),
            row(ChargeCategory="Fee", BilledCost="3", **october),
        ),
    )

    assert [
        (each["month"], each["currency"], each["billed_cost"]) for each in outcome.rejected_money
    ] == [("2026-09", "EUR", "2"), ("2026-10", "USD", "3")]


def test_a_bill_that_loses_more_than_a_hundredth_of_its_money_is_refused(
    tmp_path: Path,
) -> None:
    """One row of a hundred may hold the whole bill."""
    outcome = deliver(
        tmp_path, text(*rows(100, BilledCost="1"), row(BilledCost="10000", ChargeCategory="Fee"))
    )

    assert outcome.status == "refused"
    assert "rows with 10000 of 10100 USD billed can't be loaded" in (outcome.reason or "")
    assert published() == {}


@pytest.mark.parametrize(("amount", "status"), [("20.20", "loaded"), ("20.21", "refused")])
def test_the_limit_is_one_per_cent_whichever_way_money_goes(
    tmp_path: Path, amount: str, status: str
) -> None:
    refunds = rows(50, BilledCost="-20", ChargeCategory="Credit")
    bad = row(BilledCost=f"-{amount}", ChargeCategory="Fee")

    outcome = deliver(tmp_path, text(*rows(50, BilledCost="20"), *refunds, bad))

    assert outcome.status == status


def test_the_limit_holds_of_each_currency(tmp_path: Path) -> None:
    outcome = deliver(
        tmp_path,
        text(
            *GOOD,
            row(BillingCurrency="EUR", BilledCost="5"),
            row(BillingCurrency="EUR", BilledCost="1", ChargeCategory="Fee"),
        ),
    )

    assert outcome.status == "refused"
    assert "1 of 6 EUR" in (outcome.reason or "")


def test_the_chargeback_file_has_rejected_money_above_its_control_total(tmp_path: Path) -> None:
    deliver(tmp_path, text(*GOOD, row(ChargeCategory="Fee", BilledCost="17")))
    allocate_period(period=SEPTEMBER, now=timezone.now())
    path = tmp_path / "out.csv"

    call_command("export_chargeback", "2026-09", "--output", str(path), stdout=io.StringIO())

    *lines, rejected, total = list(csv.DictReader(io.StringIO(path.read_text())))
    assert (rejected["period"], rejected["billing_currency"], rejected["billed_cost"]) == (
        "REJECTED",
        "USD",
        "17",
    )
    assert (total["period"], total["billed_cost"]) == ("CONTROL TOTAL", "2017")
    assert sum(Decimal(line["billed_cost"]) for line in lines) == 2000
    assert total["effective_cost"] == "100"


def test_rejected_money_of_several_files_adds_up(tmp_path: Path) -> None:
    outcome = deliver_files(
        tmp_path,
        text(*GOOD, row(ChargeCategory="Fee", BilledCost="9")),
        text(*rows(100, BilledCost="10"), row(ChargeCategory="Fee", BilledCost="8")),
    )

    (money,) = outcome.rejected_money
    assert (money["rows"], money["billed_cost"]) == (2, "17")
