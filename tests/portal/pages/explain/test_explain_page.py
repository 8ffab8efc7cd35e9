"""Explain: from an amount to rule, arithmetic and bill rows, and never to another team."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client

from allocation.models import (
    Charge,
    ChargeDimension,
    ChargeScope,
    Import,
    Source,
    UsageDimension,
    UsageHourly,
)
from allocation.runs.month import allocate_period
from allocation.values.periods import Period
from portal.accounts.models import Role
from reports.analysis.arithmetic import NotTheAmount, result_of, steps
from reports.asking import TeamScope
from reports.cost_question.question import CostQuestion
from reports.queries.costs.matched_rules import charges_without_rule, matched_charges
from reports.queries.explain.amount import (
    explain_days,
    explain_lines,
    explain_parts,
    group_parts,
)
from tests.allocation.bills import put_in_force
from tests.factories import client_of, make_team, make_user
from tests.ledger_rows import asked_about
from tests.portal.pages.words import text_of

pytestmark = pytest.mark.django_db
MONTH = date(2026, 10, 1)
FIRST = datetime(2026, 10, 1, tzinfo=UTC)
LAST = datetime(2026, 11, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)
EVERYTHING = TeamScope.everything()


def call_dimension(team: str, feature: str) -> UsageDimension:
    return UsageDimension.objects.create(
        content_hash=hashlib.md5(f"{team} {feature}".encode()).digest(),
        is_inference=True,
        provider="openai",
        project="prod",
        model="gpt-4o",
        model_answered="gpt-4o",
        team=team,
        feature=feature,
    )


def used(dimension: UsageDimension, hour: datetime, tokens: int) -> None:
    names = [field.name for field in UsageHourly._meta.local_concrete_fields]
    zeros = {
        name: 0
        for name in names
        if name not in ("hour", "dimension_id", "list_cost", "price_version_id")
    }
    UsageHourly.objects.create(
        hour=hour,
        dimension_id=dimension.pk,
        **{**zeros, "calls": 1, "spans": 1, "input_uncached": tokens},
    )


def charged(scope: ChargeScope, line: int, day: int, cost: str, **columns: Any) -> None:
    about = {
        "billing_period_start": FIRST,
        "billing_period_end": LAST,
        "billing_account_id": "acct",
        "billing_currency": "USD",
        "charge_category": "Usage",
        **columns,
    }
    digest = hashlib.md5(json.dumps(about, default=str).encode()).digest()
    dimension, _ = ChargeDimension.objects.get_or_create(content_hash=digest, defaults=about)
    start = FIRST + timedelta(days=day - 1)
    Charge.objects.create(
        billing_month=MONTH,
        scope_id=scope.pk,
        line=line,
        dimension_id=dimension.pk,
        charge_period_start=start,
        charge_period_end=start + timedelta(days=1),
        billed_cost=Decimal(cost),
        effective_cost=Decimal(cost),
        consumed_quantity=Decimal(1000),
    )


OPENAI = {
    "provider_name": "OpenAI",
    "service_name": "OpenAI API",
    "service_category": "AI and Machine Learning",
    "sku_meter": "gpt-4o input tokens",
    "sub_account_id": "prod",
    "consumed_unit": "Tokens",
    "charge_description": "gpt-4o, input",
}
GPU = {
    "provider_name": "AWS",
    "service_name": "Amazon Elastic Compute Cloud",
    "sku_id": "p5.48xlarge",
    "sku_meter": "p5.48xlarge BoxUsage",
    "consumed_unit": "Hours",
    "resource_id": "i-search",
    "tags": {"team": "search"},
}
DISK = {
    "provider_name": "AWS",
    "service_name": "Amazon S3",
    "tags": {"feature": "archive"},
    "consumed_unit": "GB",
}


@pytest.fixture
def ledger() -> int:
    """A month: 12.00 of gpt-4o input shared 3 to 1 by search and ads, 5.00 of a GPU tagged search,
    2.00 unmatched.
    """
    for slug in ("search", "ads"):
        make_team(slug)
    with connection.cursor() as cursor:
        cursor.execute("SELECT ensure_charge_partition(%s)", [MONTH])
    source = Source.objects.create(name="Cloud")
    delivered = Import.objects.create(
        source=source, file_name="october.csv", status="loaded", finished_at=NOW
    )
    scope = ChargeScope.objects.create(
        source=source,
        bill_import=delivered,
        billing_account_id="acct",
        billing_period_start=FIRST,
        billing_period_end=LAST,
        billing_month=MONTH,
        delivery="overwrite",
        state="current",
        published_at=NOW,
    )
    charged(scope, 2, 3, "12.00", **OPENAI)
    charged(scope, 3, 4, "5.00", **GPU)
    charged(scope, 4, 5, "2.00", **DISK)
    used(call_dimension("search", "answers"), FIRST + timedelta(days=2, hours=5), 750)
    used(call_dimension("ads", "slogans"), FIRST + timedelta(days=2, hours=6), 250)
    outcome = allocate_period(period=Period.month(MONTH), now=NOW)
    return outcome.runs[0].run


def asked(run: int, **filters: Any) -> CostQuestion:
    return asked_about(run).where(**filters)


def explained(client: Client, query: str = "") -> Any:
    with time_machine.travel(NOW, tick=False):
        response = client.get(f"/explain/?period=2026-10&{query}")
    assert response.status_code == 200
    return response


def test_parts_and_lines_add_up_to_the_amount(ledger: int) -> None:
    question = asked(ledger, team="search")

    parts = explain_parts(question)
    lines = explain_lines(question=question)

    assert [(part.rule, part.charge_kind, part.amount) for part in parts] == [
        ("OpenAI model calls", "shared", Decimal("9.00")),
        ("GPU capacity by its tags", "direct", Decimal("5.00")),
    ]
    assert sum(line.amount for line in lines) == Decimal("14.00")


def test_a_day_is_written_out_and_its_product_is_the_share(ledger: int) -> None:
    question = asked(ledger, team="ads")
    (line,) = explain_lines(question=question)

    (day,) = explain_days(question=question, run=line.run, split_key_id=line.split_key_id)

    assert (day.group_amount, day.driver_quantity, day.driver_total, day.coverage) == (
        12,
        250,
        1000,
        1,
    )
    parts = group_parts(question=question, run=line.run, split_key_id=line.split_key_id)
    found = steps(line.method, day, parts[day.day])
    assert [step.kind for step in found] == ["money", "ratio"]
    assert result_of(found) == day.amount == 3


def test_the_page_leads_to_rule_split_and_bill_lines(ledger: int) -> None:
    admin = client_of(Role.FINOPS_ADMIN)

    page = text_of(explained(admin, "team=search").content)
    rows = text_of(explained(admin, "team=search&bill=0-0").content)

    assert "14.00 USD amortised cost: Search, October 2026" in page
    assert "Rule 11 of rule set 1, calculated" in page
    assert "750 of 1,000" in page
    assert "measured by your traces" in page
    assert "october.csv line 2" in rows
    assert "gpt-4o, input" in rows


def test_the_panel_opens_beside_and_json_is_exact(ledger: int) -> None:
    admin = client_of(Role.FINOPS_ADMIN)
    with time_machine.travel(NOW, tick=False):
        panel = admin.get(
            "/explain/?period=2026-10&team=ads", headers={"HX-Request": "true"}
        ).content.decode()

    found = explained(admin, "team=ads&format=json&bill=0-0").json()

    assert "<html" not in panel
    assert "data-close-explain" in panel
    assert found["amount"] == "3"
    assert found["line"]["days"][0]["driver_total"] == "1000"
    assert found["line"]["rule_set"] == 1
    assert [row["line"] for row in found["bill_rows"]] == [2]


def test_a_lead_sees_their_share_and_no_other_team(ledger: int) -> None:
    lead = client_of(Role.TEAM_LEAD, "ads")

    page = explained(lead, "bill=0-0").content.decode()
    found = explained(lead, "format=json&bill=0-0").content.decode()

    assert "3.00 USD" in text_of(page)
    assert "250 of 1,000" in text_of(page)
    assert "shared with other teams" in page
    for text in (page, found):
        assert "search" not in (text.partition("<main")[2] or text)
        assert "answers" not in text
        assert "9.00" not in text
        assert "october.csv" not in text
    with time_machine.travel(NOW, tick=False):
        assert lead.get("/explain/?period=2026-10&team=search").status_code == 404


def test_a_lead_opens_the_bill_rows_of_a_line_that_is_all_theirs(ledger: int) -> None:
    lead = client_of(Role.TEAM_LEAD, "search")

    rows = explained(lead, "rule=GPU+capacity+by+its+tags&format=json&bill=0-0").json()["bill_rows"]

    assert [(row["file"], row["resource"]) for row in rows] == [("october.csv", "i-search")]


def test_bill_rows_are_downloaded_exactly_by_those_who_may_open_them(ledger: int) -> None:
    lines = (
        explained(client_of(Role.FINANCE), "team=search&download=bill")
        .content.decode()
        .splitlines()
    )
    refused = explained(client_of(Role.TEAM_LEAD, "ads"), "download=bill")

    assert lines[0].startswith("File,Line,Charge period start")
    assert [line.split(",")[:2] for line in lines[1:]] == [["october.csv", "2"]]
    assert "october.csv" not in refused.content.decode()


def test_who_else_shares_a_split_is_not_told_to_a_lead(ledger: int) -> None:
    put_in_force(
        """
        rules: [{name: all, method: direct, target: {pool: platform}}]
        pools:
        - name: platform
          method: fixed
          shares: [{team: ads, share: 25}, {team: search, share: 75}]
        """
    )
    allocate_period(period=Period.month(MONTH), now=NOW)

    found = explained(client_of(Role.TEAM_LEAD, "ads"), "whole=1&format=json").content.decode()
    everything = explained(client_of(Role.FINANCE), "whole=1&format=json").content.decode()

    assert "fixed" in found
    assert "search" not in found
    assert "search" in everything


def test_unallocated_cost_is_explained_with_its_reason(ledger: int) -> None:
    page = text_of(explained(client_of(Role.FINANCE), "kind=unallocated").content)

    assert "no rule" in page
    assert "2.00" in page
    assert "Taken by no rule of rule set 1" in page


def test_who_may_act_on_unallocated_cost_gets_a_link_and_others_whom_to_ask(ledger: int) -> None:
    by_role = {
        role: explained(client_of(role), "kind=unallocated").content.decode()
        for role in (Role.FINOPS_ADMIN, Role.FINANCE, Role.EXECUTIVE)
    }

    links = {
        role: [address in page for address in ('"/ownership/unowned/?', '"/rules/edit/?')]
        for role, page in by_role.items()
    }
    assert links == {
        Role.FINOPS_ADMIN: [True, True],
        Role.FINANCE: [False, True],
        Role.EXECUTIVE: [False, False],
    }
    assert "Ask a FinOps admin." in text_of(by_role[Role.FINANCE])
    assert "Ask finance or a FinOps admin." in text_of(by_role[Role.EXECUTIVE])
    assert "What to do" not in text_of(explained(client_of(Role.FINANCE), "team=ads").content)


def test_accounts_have_their_names_beside_their_ids(ledger: int) -> None:
    ChargeDimension.objects.filter(sub_account_id="prod").update(sub_account_name="Shop")

    assert "Shop (prod)" in text_of(explained(client_of(Role.FINANCE), "team=ads").content)


def test_any_day_of_a_line_is_written_out(ledger: int) -> None:
    finance = client_of(Role.FINANCE)

    page = text_of(explained(finance, "team=search&day=2026-10-03").content)

    assert "3 Oct 2026, written out to the last digit" in page
    assert "3 Oct 2026" in text_of(explained(finance, "team=search&day=1999-01-01").content)


def test_an_amount_that_nothing_gives_is_not_written_out(
    ledger: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: Any) -> Any:
        raise NotTheAmount

    monkeypatch.setattr("portal.pages.explain.views.steps", nothing)
    monkeypatch.setattr("portal.pages.explain.explain_json.steps", nothing)
    finance = client_of(Role.FINANCE)

    page = text_of(explained(finance, "team=ads").content)
    found = explained(finance, "team=ads&format=json").json()

    assert "no calculation that it keeps comes to that amount" in page
    assert found["line"]["days"][0]["steps"] is None


def test_nothing_found_says_so(ledger: int) -> None:
    page = text_of(explained(client_of(Role.FINANCE), "feature=none-such").content)

    assert "nothing in October 2026" in page


def test_strange_parameters_explain_something(ledger: int) -> None:
    admin = client_of(Role.FINOPS_ADMIN)
    for query in (
        "part=99",
        "part=x",
        "line=1-999",
        "line=zz",
        "bill=x",
        "bill=1",
        "offset=9999999999",
        "whole=1",
    ):
        assert "What was it charged for?" in text_of(explained(admin, query).content), query


def test_statements_are_few(ledger: int, django_assert_max_num_queries: Any) -> None:
    admin = client_of(Role.FINOPS_ADMIN)

    with django_assert_max_num_queries(28):
        explained(admin, "team=search&bill=0-0")


# ---------------------------------------------------------------- rules


def question_of(run: int, scope: TeamScope) -> CostQuestion:
    return asked_about(run, scope=scope)


def test_rules_show_what_each_took(ledger: int) -> None:
    finance = client_of(Role.FINANCE)
    with time_machine.travel(NOW, tick=False):
        page = text_of(finance.get("/rules/?period=2026-10").content)

    assert "Rule set 1, in force since the beginning" in page
    assert "Catalogue.Provider is openai and Catalogue.Kind is model_usage" in page
    assert "12.00" in page
    assert "Amazon S3" in page
    taken = {
        take.rule: (take.charges, take.effective_cost)
        for take in matched_charges(question=question_of(ledger, EVERYTHING))
    }
    assert taken == {
        "OpenAI model calls": (1, 12),
        "GPU capacity by its tags": (1, 5),
        "no rule": (1, 2),
    }


def test_rules_before_any_run(client: Client) -> None:
    client.force_login(make_user(Role.FINANCE))

    assert "No rules for" in text_of(client.get("/rules/").content)
    assert "Draft new rules" in text_of(client.get("/rules/").content)


def test_a_narrow_scope_counts_no_charges_of_others(ledger: int) -> None:
    ads = TeamScope(teams=frozenset({"ads"}))

    (take,) = matched_charges(question=question_of(ledger, ads))

    assert (take.rule, take.charges, take.effective_cost) == ("OpenAI model calls", None, 3)
    assert charges_without_rule(question=question_of(ledger, ads)) == []
