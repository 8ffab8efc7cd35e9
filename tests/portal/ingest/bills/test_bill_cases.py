"""Bills as they came in the field, with what is right for each of them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import time_machine
from django.core.management import call_command

from allocation.models import Import
from allocation.values.periods import Period
from portal.accounts.models import Role
from tests.allocation.bills import allocate, billed_by_team, put_in_force
from tests.allocation.runs.test_methods import teams
from tests.factories import client_of
from tests.portal.bills import deliver, row, text
from tests.portal.pages.words import text_of

pytestmark = pytest.mark.django_db(databases=["default", "owner"], transaction=True)

NOW = datetime(2026, 10, 20, 12, tzinfo=UTC)
OCTOBER = {
    "BillingPeriodStart": "2026-10-01T00:00:00Z",
    "BillingPeriodEnd": "2026-11-01T00:00:00Z",
    "ChargePeriodStart": "2026-10-03T00:00:00Z",
    "ChargePeriodEnd": "2026-10-04T00:00:00Z",
}
EC2 = {
    **OCTOBER,
    "InvoiceIssuerName": "Amazon Web Services, Inc.",
    "ProviderName": "AWS",
    "PublisherName": "AWS",
    "ServiceCategory": "Compute",
    "ServiceName": "Amazon EC2",
    "SubAccountId": "333",
    "ChargeDescription": "p5 hours",
    **dict.fromkeys(("SkuId", "SkuPriceId", "ConsumedQuantity", "ConsumedUnit"), ""),
    **dict.fromkeys(("PricingQuantity", "PricingUnit", "Tags"), ""),
}


@pytest.fixture(autouse=True)
def frozen_clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def charge(cost: str, **columns: str) -> dict[str, str]:
    costs = dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), cost)
    return row(**{**EC2, **costs, **columns})


def team(slug: str) -> str:
    return f'{{"team": "{slug}"}}'


def allocated(folder: Path, *lines: dict[str, str]) -> dict[str | None, Decimal]:
    outcome = deliver(folder, text(*lines), source="aws")
    assert outcome.status == "loaded", outcome.reason
    allocate()
    return billed_by_team()


# ---------------------------------------------------------------- credits, refunds, corrections


USED = (
    charge("100", ResourceId="i-1", Tags=team("alpha")),
    charge("300", ResourceId="i-2", Tags=team("beta")),
)


def test_credits_refunds_and_corrections_of_a_resource_are_its_users(tmp_path: Path) -> None:
    teams("alpha", "beta")

    found = allocated(
        tmp_path,
        *USED,
        charge("-40", ChargeCategory="Credit", ResourceId="i-1", Tags=team("alpha")),
        charge("-20", ChargeCategory="Adjustment", ResourceId="i-1", Tags=team("alpha")),
        charge("-10", ChargeClass="Correction", ResourceId="i-1", Tags=team("alpha")),
    )

    assert found == {"alpha": Decimal(30), "beta": Decimal(300)}


@pytest.mark.parametrize(
    "kind",
    [{"ChargeCategory": "Credit"}, {"ChargeCategory": "Adjustment"}, {"ChargeClass": "Correction"}],
)
@pytest.mark.parametrize(
    ("about", "alpha", "beta"),
    [
        ({"ResourceId": "i-1"}, "60", "300"),  # the resource, without any tag
        ({"ResourceId": "i-1", "Tags": team("beta")}, "60", "300"),  # before the tags
        ({"Tags": team("alpha")}, "60", "300"),
        ({"ResourceId": "i-9", "Tags": team("alpha")}, "60", "300"),  # a resource nobody used
        ({}, "90", "270"),  # what else its service has in the sub-account
    ],
)
def test_they_follow_resource_then_tags_then_sub_account(
    tmp_path: Path, kind: dict[str, str], about: dict[str, str], alpha: str, beta: str
) -> None:
    teams("alpha", "beta")

    found = allocated(tmp_path, *USED, charge("-40", **kind, **about))

    assert found == {"alpha": Decimal(alpha), "beta": Decimal(beta)}


def test_a_tax_follows_what_is_taxed_and_no_tag(tmp_path: Path) -> None:
    teams("alpha", "beta")

    found = allocated(tmp_path, *USED, charge("40", ChargeCategory="Tax", Tags=team("alpha")))

    assert found == {"alpha": Decimal(110), "beta": Decimal(330)}


# ---------------------------------------------------------------- FOCUS 1.3: split by the provider


SPLIT = {
    "ResourceId": "node-1",
    "Tags": '{"cluster": "c1", "team": "platform"}',
    "AllocatedMethodId": "eks-split",
}
PODS = (
    charge("60", **SPLIT, AllocatedResourceId="pod-a", AllocatedTags=team("alpha")),
    charge("40", **SPLIT, AllocatedResourceId="pod-b", AllocatedTags=team("beta")),
    charge("5", **SPLIT, AllocatedResourceId="pod-c", AllocatedTags='{"app": "c"}'),
)
WITH_RULES = """
version: 1
scope: [{{name: all, scope: ai, when: {{ProviderName: AWS}}}}]
rules:
  - name: pods
    when: {when}
    method: direct
    target: {{team: {target}}}
"""


def test_allocated_tags_say_who_receives_a_share(tmp_path: Path) -> None:
    teams("alpha", "beta", "platform")

    assert allocated(tmp_path, *PODS) == {
        "alpha": Decimal(60),
        "beta": Decimal(40),
        "platform": Decimal(5),
    }


@pytest.mark.parametrize(
    ("when", "target"),
    [
        ("{AllocatedTags.team: {missing: false}}", "{tag: team}"),
        (
            "{AllocatedTags: {missing: false}}",
            '{column: AllocatedTags, pattern: \'"team": "([^"]+)"\'}',
        ),
        ("{AllocatedMethodId: eks-split}", "{tag: team}"),
        ("{AllocatedResourceId: {prefix: pod-}}", "{tag: team}"),
    ],
)
def test_rules_read_what_the_provider_split_by(tmp_path: Path, when: str, target: str) -> None:
    teams("alpha", "beta")
    put_in_force(WITH_RULES.format(when=when, target=target))

    found = allocated(tmp_path, *PODS[:2])

    assert found == {"alpha": Decimal(60), "beta": Decimal(40)}


# ---------------------------------------------------------------- tags


def test_a_key_without_a_value_is_no_value(tmp_path: Path) -> None:
    teams("alpha", "true")

    found = allocated(
        tmp_path,
        *USED[:1],
        charge("32", Tags='{"team": true}'),
        charge("16", Tags='{"team": null}'),
    )

    assert found.pop("alpha") == Decimal(100)
    assert "true" not in found
    assert sum(found.values()) == Decimal(48)


def test_contradicting_spellings_of_a_key_are_said(tmp_path: Path) -> None:
    outcome = deliver(
        tmp_path,
        text(
            charge("1", Tags='{"Team": "Blue", "TEAM": "red"}'),
            charge("2", Tags='{"Team": "blue", "team ": "blue"}'),
        ),
    )

    assert outcome.repairs == {"contradicting_tag_spellings": 1}


# ---------------------------------------------------------------- of another month


CORRECTION = charge(
    "-55",
    ChargeClass="Correction",
    ChargePeriodStart="2026-09-30T23:00:00Z",
    ChargePeriodEnd="2026-10-01T00:00:00Z",
    Tags=team("alpha"),
)


def said(command: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue()


def test_money_that_no_page_shows_is_said(tmp_path: Path) -> None:
    teams("alpha")
    path = tmp_path / "bill.csv"
    path.write_text(text(charge("7", Tags=team("alpha")), CORRECTION))

    imported = said("import_bill", str(path), "--source", "aws")
    allocate()
    reconciled = said("reconcile", "2026-10")
    finance = client_of(Role.FINANCE)

    assert "charged for 2026-09: rows (1) with -55 USD billed, shown on no page" in imported
    assert "aws USD: -55 billed and -55 effective cost of 2026-09 stand on bills of" in reconciled
    assert "2026-10: balanced" in reconciled
    page = text_of(finance.get(f"/imports/{Import.objects.get().pk}/").content)
    assert "Charged for 2026-09: 1 bill line with" in page
    assert "55.00 USD invoiced, shown on no page: that month has no bill of its own." in page
    balance = text_of(finance.get("/reconciliation/?period=2026-10").content)
    assert "-55 billed and -55 effective cost of 2026-09" in balance


def test_money_of_a_month_with_a_bill_is_on_its_pages(tmp_path: Path) -> None:
    teams("alpha")
    september = {
        name: value.replace("-11-", "-X-").replace("-10-", "-09-").replace("-X-", "-10-")
        for name, value in OCTOBER.items()
    }
    deliver(tmp_path, text(charge("100", **september, Tags=team("alpha"))), source="aws")
    allocate(Period.parse("2026-09"))

    outcome = deliver(tmp_path, text(charge("7", Tags=team("alpha")), CORRECTION), source="aws")
    allocate()

    assert outcome.earlier_months == [
        {
            "month": "2026-09",
            "currency": "USD",
            "rows": 1,
            "billed_cost": "-55",
            "has_bill": True,
        }
    ]
    assert "no page shows" not in said("reconcile", "2026-10")
