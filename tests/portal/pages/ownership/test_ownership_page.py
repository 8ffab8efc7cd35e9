"""/ownership/: the organisation by file, what nobody owns with who might, and coverage; and the
command.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from decimal import Decimal
from html import unescape
from io import StringIO
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from playwright.sync_api import Browser
from pytest_django.live_server_helper import LiveServer

from allocation.models import RuleSet, Team, TeamAlias, TeamPlacement
from portal.accounts.models import AuditEntry, Role
from portal.jobs.models import Job
from tests.allocation.bills import (
    AWS,
    OCTOBER,
    OPENAI,
    Bill,
    allocate,
    put_in_force,
    shares,
    usage,
    utc,
)
from tests.allocation.organisation.test_organisation import HEADER, build
from tests.factories import make_user
from tests.portal.browser import Walk, chromium, new_context, sign_in
from tests.portal.pages.words import text_of
from tests.portal.two_teams import person

pytestmark = pytest.mark.django_db

MOVE = HEADER + "team,search,,platform,4100,,,,,2026-11-15\nteam_alias,Ricerca,,search,,,,,,\n"


def spend() -> None:
    """October: search owns 90 of account 111 and traces 100; 7 in that account and 3 elsewhere have
    no owner.
    """
    cloud = Bill("aws")
    ai = {**AWS, "service_category": "AI and Machine Learning", "service_name": "Amazon Kendra"}
    cloud.charge("90", tags={"team": "search"}, resource_name="srch-a", **ai)
    cloud.charge("4", at=utc(6), resource_name="srch-b", **ai)
    cloud.charge("3", at=utc(7), resource_name="srch-c", **ai)
    cloud.charge("3", at=utc(8), **{**ai, "sub_account_id": "999"})
    openai = Bill("openai")
    openai.charge("100", quantity="1000", sku_meter="gpt-4o, input", **OPENAI)
    usage("search", "chat", input_uncached=1000)


@pytest.fixture
def company() -> None:
    build()
    spend()
    allocate()


@pytest.fixture
def admin(client: Client, company: None) -> Client:
    client.force_login(person("root", Role.FINOPS_ADMIN))
    return client


def upload(text: str) -> dict[str, SimpleUploadedFile]:
    return {"file": SimpleUploadedFile("tree.csv", text.encode(), "text/csv")}


def hidden(body: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', body, re.DOTALL)
    assert found, body
    return unescape(found[1])


# ---------------------------------------------------------------- conflicting tags


@pytest.fixture
def mistagged() -> None:
    """An account tagged search whose only caller is docs, and a node tagged docs on two days of
    ten.
    """
    Team.objects.bulk_create(
        [Team(slug="search", name="Search"), Team(slug="docs", name="Documents")]
    )
    usage("docs", input_uncached=100)
    account = {**OPENAI, "sku_meter": "gpt-4o input tokens", "sub_account_name": "Documents"}
    Bill().charge("40.0000001", quantity="100", tags={"team": "search"}, **account)
    node = {**AWS, "resource_id": "i-1", "resource_name": "node-1"}
    cloud, euro = Bill("aws"), Bill("aws-eu")
    for day in range(1, 11):
        tag = {"team": "docs" if day in (4, 5) else "search"}
        cloud.charge("3", at=utc(day), tags=tag, **node)
        euro.charge("1", at=utc(day), tags=tag, currency="EUR", **{**node, "resource_id": "i-2"})
    allocate()


def test_conflicting_tags_are_a_work_list_with_evidence_and_what_to_do(
    client: Client, mistagged: None
) -> None:
    client.force_login(person("fin", Role.FINANCE))

    response = client.get("/ownership/tags/?period=2026-10&currency=USD")

    table = response.context["table"]
    shown = [
        [row[name].value for name in ("what", "tagged", "likely", "cost", "days")]
        for row in table.rows
    ]
    assert shown == [
        ["Documents", "Search", "Documents", Decimal("40.0000001"), "5 Oct"],
        ["node-1", "Documents", "Search", Decimal(6), "4 to 5 Oct"],
    ]
    assert table.total["cost"].value == Decimal("46.0000001")
    account, node = table.rows
    assert account["evidence"].value.startswith("100.0% of what traces and usage reports show")
    assert account["fix"].value.startswith(
        "Tag sub-account proj-1 “docs” at openai and load the corrected bill."
    )
    assert node["evidence"].value == "tagged Search on 80.0% of its days"
    assert node["fix"].value.startswith("Tag node-1 for these days “search” at aws")
    body = response.content.decode()
    assert "There are others in EUR." in text_of(body)
    assert re.search(r'aria-current="page"\s*>Conflicting tags', body)


def test_who_may_not_see_ownership_sees_no_conflicts(client: Client, mistagged: None) -> None:
    for role in (Role.TEAM_LEAD, Role.ON_CALL):
        team = [Team.objects.get(slug="docs")] if role == Role.TEAM_LEAD else None
        client.force_login(make_user(role, teams=team))

        assert client.get("/ownership/tags/?period=2026-10").status_code == 404


def test_tags_that_agree_are_no_work(admin: Client) -> None:
    body = admin.get("/ownership/tags/?period=2026-10").content.decode()

    assert "Nothing: no tag of this month contradicts" in body
    assert "is not allocated yet" in admin.get("/ownership/tags/?period=2026-11").content.decode()


# ---------------------------------------------------------------- the organisation


def test_a_file_is_previewed_and_then_applied_as_shown(admin: Client) -> None:
    shown = admin.post("/ownership/preview/", upload(MOVE)).content.decode()

    assert "business unit commerce to platform, from 15 November 2026" in shown
    assert TeamPlacement.objects.filter(team__slug="search").count() == 1
    text = hidden(shown, "text").replace("\n", "\r\n")  # as a browser sends it
    answer = admin.post(
        "/ownership/apply/", {"text": text, "previewed": hidden(shown, "previewed")}, follow=True
    )
    page = answer.content.decode()
    assert "The organisation is changed: 1 added, 1 moved." in page
    assert "2026-11-15 to Platform" in page
    assert TeamAlias.objects.filter(name="Ricerca").exists()
    entry = AuditEntry.objects.get(action="organisation changed")
    assert (entry.actor, entry.subject) == ("root", "1 added, 1 moved")
    assert any("commerce to platform" in change for change in entry.detail["changes"])


def test_what_changed_meanwhile_or_has_problems_is_not_applied(admin: Client) -> None:
    shown = admin.post("/ownership/preview/", upload(MOVE)).content.decode()
    Team.objects.filter(slug="ads").update(name="Adverts")

    answer = admin.post(
        "/ownership/apply/", {"text": MOVE, "previewed": hidden(shown, "previewed")}
    )
    assert answer.status_code == 409
    assert "changed since the preview" in answer.content.decode()
    wrong = admin.post(
        "/ownership/preview/", upload(HEADER + "team_alias,Suchen,,serach,,,,,,\n")
    ).content.decode()
    assert "there is no team &#x27;serach&#x27;" in wrong
    assert "/ownership/apply/" not in wrong
    assert admin.post("/ownership/preview/", {}).status_code == 400
    latin = {"file": SimpleUploadedFile("x.csv", b"kind,id\n\xff", "text/csv")}
    assert "no UTF-8 text: byte 8" in admin.post("/ownership/preview/", latin).content.decode()
    assert not AuditEntry.objects.exists()


def test_the_export_is_the_file_that_can_be_loaded(admin: Client) -> None:
    text = admin.get("/ownership/organisation.csv").content.decode()

    shown = admin.post("/ownership/preview/", upload(text)).content.decode()

    assert text.startswith("kind,id,name")
    assert "says what already stands: nothing would change" in shown


def test_readers_read_and_only_the_admin_changes(client: Client, company: None) -> None:
    for role in (Role.EXECUTIVE, Role.FINANCE):
        client.force_login(person(str(role), role))
        for address in ("/ownership/", "/ownership/unowned/", "/ownership/coverage/"):
            body = client.get(address).content.decode()
            assert "Ownership" in body
            assert 'action="/ownership' not in body
        assert client.post("/ownership/preview/", upload(MOVE)).status_code == 404
        assert client.post("/ownership/apply/", {"text": MOVE, "previewed": "x"}).status_code == 404
    client.force_login(person("lead", Role.TEAM_LEAD, "search"))
    assert client.get("/ownership/").status_code == 404


def run(*arguments: str) -> dict[str, object]:
    out = StringIO()
    with suppress(SystemExit):
        call_command("organisation", *arguments, "--json", stdout=out)
    return dict(json.loads(out.getvalue()))


@pytest.mark.django_db(databases=["default", "owner"])
def test_the_command_exports_previews_and_applies(company: None, tmp_path: Path) -> None:
    file = tmp_path / "tree.csv"
    assert run("export", str(file))["file"] == str(file)
    assert run("preview", str(file))["changes"] == []
    file.write_text(MOVE, encoding="utf-8")

    shown = run("preview", str(file))

    assert shown["status"] == "previewed"
    assert shown["counts"] == {"added": 1, "moved": 1, "renamed": 0, "rewritten": 0}
    assert run("apply", str(file))["status"] == "refused"
    assert run("apply", str(file), "--previewed", str(shown["previewed"]))["status"] == "applied"
    assert AuditEntry.objects.get().actor is None
    file.write_text(HEADER + "team,new,New,nowhere,,,,,,2026-12-01\n", encoding="utf-8")
    refused = run("preview", str(file))
    assert (refused["status"], refused["problems"]) == (
        "refused",
        [{"line": 2, "text": "there is no business unit 'nowhere'"}],
    )


# ---------------------------------------------------------------- what nobody owns


def test_the_work_list_is_sorted_by_money_with_a_suggestion_beside_it(admin: Client) -> None:
    body = admin.get("/ownership/unowned/?period=2026-10").content.decode()
    rows = (
        admin.get("/ownership/unowned/?period=2026-10&download=lines").content.decode().splitlines()
    )

    assert "10.00 USD of AI cost has no owner" in text_of(body)
    assert (
        "with names that begin with srch-: 100% of 90 USD of owned cost there is this team&#x27;s"
        in body
    )
    assert rows[1].startswith("no rule,7,2,AWS,Amazon Kendra,111,Search Engine,")
    assert rows[2].startswith("no rule,3,1,AWS,Amazon Kendra,999,,")
    assert rows[3].startswith("Total,10,3,")


def test_a_suggestion_is_accepted_into_a_rule_with_one_click(admin: Client) -> None:
    body = admin.get("/ownership/unowned/?period=2026-10").content.decode()
    wish = {name: hidden(body, name) for name in ("suggestion", "month", "currency")}

    said = admin.post("/ownership/unowned/accept/", wish, follow=True).content.decode()

    assert "It takes 2 bill lines of the month, 7.00 USD invoiced" in said
    rules = RuleSet.objects.order_by("-number")[0]
    assert (rules.number, rules.effective_from, rules.created_by) == (2, OCTOBER.start, "root")
    assert Job.objects.get().payload == {"period": "2026-10"}
    entry = AuditEntry.objects.get(action="owner accepted")
    assert (entry.actor, entry.detail["team"], entry.detail["billed_cost"]) == (
        "root",
        "search",
        "7",
    )
    allocate()
    inferred = [share for share in shares() if share.rung == 5]
    assert [(share.team, share.billed) for share in inferred] == [("search", Decimal(7))]
    assert sum(share.billed for share in shares()) == Decimal(200)
    again = admin.post("/ownership/unowned/accept/", wish, follow=True).content.decode()
    assert "no longer suggested" in again
    assert RuleSet.objects.count() == 2


def test_a_rule_that_would_take_more_than_was_suggested_is_refused(admin: Client) -> None:
    Bill("other").charge("50", resource_name="srch-web", **{**AWS, "service_name": "Amazon Kendra"})
    body = admin.get("/ownership/unowned/?period=2026-10").content.decode()
    wish = {name: hidden(body, name) for name in ("suggestion", "month", "currency")}

    said = admin.post("/ownership/unowned/accept/", wish, follow=True).content.decode()

    assert "would also take 1 kinds of bill lines outside AI" in said
    assert RuleSet.objects.count() == 1


def test_rules_of_a_later_month_are_not_overtaken(admin: Client) -> None:
    first = RuleSet.objects.get()
    RuleSet.objects.create(
        number=2,
        text=first.text,
        content_sha256="x",
        effective_from=date(2026, 11, 1),
        note="November's",
    )
    body = admin.get("/ownership/unowned/?period=2026-10").content.decode()
    wish = {name: hidden(body, name) for name in ("suggestion", "month", "currency")}

    said = admin.post("/ownership/unowned/accept/", wish, follow=True).content.decode()

    assert "other rules follow those of October 2026" in said


# ---------------------------------------------------------------- coverage


def test_coverage_is_by_count_and_by_cost_of_ai_spend_in_one_currency(admin: Client) -> None:
    Bill("plain").charge(
        "1000", service_name="Amazon CloudFront", provider_name="AWS", sub_account_id="1"
    )
    Bill("euro").charge(
        "50",
        currency="EUR",
        tags={"team": "ads"},
        **{**AWS, "service_category": "AI and Machine Learning"},
    )
    allocate()

    def newest(table: str, currency: str) -> str:
        address = (
            f"/ownership/coverage/?currency={currency}&period=2026-10&download=coverage-{table}"
        )
        return admin.get(address).content.decode().splitlines()[1]

    assert newest("cost", "USD") == "2026-10,200,190,0.95,190,0.95,90,0.45,100,0.5"
    assert newest("charges", "USD") == "2026-10,5,2,0.4,2,0.4,1,0.2,1,0.2"
    assert newest("cost", "EUR") == "2026-10,50,50,1,50,1,50,1,0,0"
    assert newest("charges", "EUR") == "2026-10,1,1,1,1,1,1,1,0,0"
    page = admin.get("/ownership/coverage/?currency=USD&period=2026-10").content.decode()
    assert "How much of the AI cost has an owner?" in page


def test_each_required_key_is_covered_by_money_and_each_gap_is_somebodys(admin: Client) -> None:
    def lines(table: str) -> list[list[str]]:
        address = f"/ownership/coverage/?currency=USD&period=2026-10&download={table}"
        return list(csv.reader(StringIO(admin.get(address).content.decode())))[1:]

    keys = {row[0]: row[1:] for row in lines("keys")}
    gaps = {(row[0], row[1]): row[2] for row in lines("gaps")}

    assert list(keys) == [
        "Team", "Product", "Model", "Environment", "Region", "Business unit",
    ]  # fmt: skip
    assert keys["Team"] == ["200", "190", "10", "0.95"]
    assert keys["Model"] == ["200", "100", "100", "0.5"]
    assert keys["Region"] == ["200", "0", "200", "0"]
    assert keys["Business unit"] == ["200", "190", "10", "0.95"]
    # 90 of the machines' cost is a team's, 10 is nobody's: the bill has to say.
    assert gaps["Team", "bill of aws"] == "10"
    assert (gaps["Model", "Search Engine"], gaps["Model", "bill of aws"]) == ("90", "10")
    assert gaps["Region", "bill of openai"] == gaps["Region", "bill of aws"] == "100"
    for key, (whole, known, missing, _) in keys.items():
        own = [Decimal(cost) for (of, _), cost in gaps.items() if of == key]
        assert sum(own) == Decimal(missing) == Decimal(whole) - Decimal(known)


def test_charges_that_rules_tell_apart_row_by_row_are_covered_once(admin: Client) -> None:
    """Of one resource's charges a rule takes those with a key: two split keys of one dimension."""
    ai = {**AWS, "service_category": "AI and Machine Learning", "service_name": "Amazon Bedrock"}
    bill = Bill("bedrock")
    bill.charge("30", tags={"team": "search"}, extra={"x_key": "nightly"}, **ai)
    bill.charge("50", tags={"team": "search"}, extra={"x_key": "100% other"}, **ai)
    put_in_force(
        """
scope:
  - {name: all, scope: ai, when: {BillingAccountId: {missing: false}}}
rules:
  - {name: nightly, when: {x_key: nightly}, method: direct, target: {team: ads}}
  - {name: other, when: {x_key: {prefix: 100%}}, method: direct, target: {team: search}}
  - {name: rest, method: direct, target: {team: {tag: team}}}
"""
    )
    allocate()

    address = "/ownership/coverage/?currency=USD&period=2026-10&download=coverage-"
    cost, charges = (
        admin.get(address + table).content.decode().splitlines()[1] for table in ("cost", "charges")
    )

    share = "0.6071428571428571428571428571"
    assert cost.split(",")[1:7] == ["280", "170", share, "170", share, "170"]
    share = "0.4285714285714285714285714286"
    assert charges.split(",")[1:7] == ["7", "3", share, "3", share, "3"]


# ---------------------------------------------------------------- in a browser


@pytest.fixture
def browser(chromium_path: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with chromium(chromium_path) as started:
        yield started


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_each_role_drives_the_pages(
    browser: Browser, live_server: LiveServer, tmp_path: Path
) -> None:
    build()
    spend()
    allocate()
    for name, role in (
        ("executive", Role.EXECUTIVE),
        ("finance", Role.FINANCE),
        ("root", Role.FINOPS_ADMIN),
    ):
        person(name, role)
    person("lead", Role.TEAM_LEAD, "search")
    file = tmp_path / "tree.csv"
    file.write_text(MOVE, encoding="utf-8")
    for name in ("executive", "finance", "root"):
        walk = Walk(live_server.url)
        context = new_context(browser)
        page = context.new_page()
        walk.watch(page)
        sign_in(page, live_server.url, name)
        page.click(".rail a:text-is('Ownership')")
        assert "Search Engine" in page.inner_text("#teams")
        assert page.locator("input[type=file]").count() == (name == "root")
        page.click(".switch a:text-is('Without an owner')")
        assert page.locator("button:text-is('Accept')").count() == (name == "root")
        page.click(".switch a:text-is('Coverage')")
        page.locator(".chart .skeleton").first.wait_for(state="detached")
        assert "95.0%" in page.inner_text("main")
        if name == "root":
            page.click(".switch a:text-is('Organisation')")
            page.set_input_files("input[type=file]", str(file))
            page.click("button:text-is('Show what it would change')")
            page.click("button:text-is('Make 2 changes')")
            assert "The organisation is changed: 1 added, 1 moved." in page.inner_text(".notices")
            page.click(".switch a:text-is('Without an owner')")
            page.click("button:text-is('Accept')")
            assert "It takes 2 bill lines of the month" in page.inner_text(".notices")
        assert walk.problems == []
        context.close()
    context = new_context(browser)
    page = context.new_page()
    sign_in(page, live_server.url, "lead")
    assert "Ownership" not in page.inner_text(".rail")
    answer = page.goto(f"{live_server.url}/ownership/")
    assert answer is not None
    assert answer.status == 404
    context.close()
