"""The editor of rules in a real browser: checks while one types, marks beside lines, preview,
apply, as each role.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event, Thread

import pytest
from django.db import connection
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from allocation.models import RuleSet, Team
from portal.jobs.worker import run_due
from tests.allocation.bills import AWS, Bill, allocate
from tests.portal.browser import NARROW, Walk, chromium, new_context, sign_in
from tests.portal.two_teams import one_person_per_role

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

TEXT = "rules:\n  - name: all to ads\n    method: direct\n    target: {team: ads}\n"


@pytest.fixture
def browser(chromium_path: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with chromium(chromium_path) as started:
        yield started


@pytest.fixture
def portal(live_server: LiveServer) -> str:
    for slug in ("alpha", "ads"):
        Team.objects.create(slug=slug, name=slug.capitalize())
    bill = Bill("aws")
    bill.charge("80", tags={"team": "alpha"}, **AWS)
    bill.charge("20", tags={"team": "ads"}, **AWS)
    allocate()
    one_person_per_role()
    return live_server.url


@pytest.fixture
def worker(portal: str) -> Iterator[None]:
    """Does queued jobs beside the test, as a worker would."""
    over = Event()

    def work() -> None:
        while not over.wait(0.2):
            run_due()
        connection.close()

    thread = Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join()


def editor(browser: Browser, portal: str, who: str, **look: object) -> tuple[Page, Walk]:
    context = new_context(browser, **look)  # type: ignore[arg-type]
    page, walk = context.new_page(), Walk(portal)
    sign_in(page, portal, who)
    walk.watch(page)
    page.goto(f"{portal}/rules/?period=2026-10")
    page.click("text=draft new rules")
    return page, walk


def test_findings_stand_beside_their_lines_while_one_types(browser: Browser, portal: str) -> None:
    page, walk = editor(browser, portal, "finance")
    page.select_option("[name=month]", "2026-10")

    page.fill("#rules-text", TEXT.replace("ads}", "adz}"))
    expect(page.locator(".finding.error")).to_contain_text("there is no team 'adz' in the tree")
    expect(page.locator(".gutter .error")).to_have_text("4")
    page.wait_for_timeout(
        1000
    )  # the choice of a month asks for checks, too, whose answer replaces the button
    expect(page.locator(".htmx-request")).to_have_count(0)
    page.click("[data-goto='4']")
    chosen = page.eval_on_selector(
        "#rules-text", "text => text.value.slice(text.selectionStart, text.selectionEnd)"
    )
    page.fill("#rules-text", TEXT)
    expect(page.locator("#checks")).to_contain_text("Nothing to correct")

    assert chosen.strip() == "target: {team: adz}}".replace("}}", "}")
    assert page.locator(".gutter span").count() == len(TEXT.split("\n"))
    expect(page.locator("#checks tbody tr").first).to_contain_text("100.00")
    assert walk.problems == []
    page.context.close()


def test_an_admin_previews_and_applies_what_was_previewed(
    browser: Browser, portal: str, worker: None
) -> None:
    page, walk = editor(browser, portal, "finops_admin")
    page.fill("#rules-text", TEXT)
    page.select_option("[name=effective_from]", "2026-10")

    page.click("text=Preview what changes")
    expect(page.locator(".lead")).to_contain_text(
        "80.00 USD would move between teams in October 2026"
    )
    expect(page.locator("#team tbody tr")).to_have_count(2)
    page.fill("[name=note]", "simpler")
    page.click("text=Apply rule set 2 from October 2026")

    expect(page.locator(".notices")).to_contain_text("Rule set 2 is in force from October 2026")
    assert RuleSet.objects.get(number=2).text == TEXT
    assert walk.problems == []
    page.context.close()


def test_finance_previews_and_finds_no_button_to_apply(
    browser: Browser, portal: str, worker: None
) -> None:
    page, walk = editor(browser, portal, "finance", width=NARROW, theme="dark")
    page.fill("#rules-text", TEXT)
    page.select_option("[name=effective_from]", "2026-10")

    page.click("text=Preview what changes")

    expect(page.locator(".apply")).to_contain_text("A FinOps admin applies it, on this page.")
    assert page.locator(".apply button").count() == 0
    assert not page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
    assert walk.problems == []
    page.context.close()


@pytest.mark.parametrize("who", ["executive", "lead", "on_call"])
def test_others_have_no_editor(browser: Browser, portal: str, who: str) -> None:
    context = new_context(browser)
    page = context.new_page()
    sign_in(page, portal, who)

    answers = [page.goto(f"{portal}{path}") for path in ("/rules/edit/", "/rules/")]

    assert [answer.status for answer in answers if answer] == [
        404,
        200 if who == "executive" else 404,
    ]
    assert page.locator("text=draft new rules").count() == 0
    context.close()
