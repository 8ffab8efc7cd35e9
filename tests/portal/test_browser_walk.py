"""Every page as a browser sees it: each role walks every link; axe looks at all, light and dark, wide and narrow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from pytest_django.live_server_helper import LiveServer

from portal.accounts.keys import create_key
from tests.portal.browser import NARROW, WIDE, Walk, chromium, new_context, open_page, path_of, sign_in, walk_every_link
from tests.portal.two_teams import one_person_per_role, seed_company

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LOOKS = ((WIDE, "light"), (NARROW, "dark"), (WIDE, "dark"), (NARROW, "light"))
ROLES = ["executive", "lead", "finance", "on_call", "finops_admin"]
AXE = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}


@pytest.fixture
def browser(chromium_path: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    # Playwright keeps an event loop in this thread; the tests' own few queries run between its turns.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with chromium(chromium_path) as started:
        yield started


@pytest.fixture
def portal(live_server: LiveServer) -> str:
    seed_company()
    one_person_per_role()
    create_key("collector", "ingest", None, "finops_admin")
    return live_server.url


@pytest.mark.parametrize("role", ROLES)
def test_every_link_opens_cleanly(browser: Browser, portal: str, role: str) -> None:
    context = new_context(browser)

    walk = walk_every_link(context, portal, role)
    context.close()

    assert walk.problems == []
    assert len(walk.pages) > 2, walk.pages


def test_somebody_without_a_role_gets_a_plain_page(browser: Browser, portal: str) -> None:
    context = new_context(browser)
    page = context.new_page()

    sign_in(page, portal, "nobody")

    assert "No role yet" in page.inner_text("h1")
    assert "finops_admin" in page.inner_text("main")
    context.close()


def test_axe_finds_nothing_on_any_page(browser: Browser, portal: str) -> None:
    findings = []
    for role, looks in (("finops_admin", LOOKS), ("lead", LOOKS[:1])):  # an admin opens every page
        context = new_context(browser)
        addresses = {path_of(address): address for address in walk_every_link(context, portal, role).pages}
        context.close()
        assert len(addresses) > 5, addresses
        for width, theme in looks:
            context = new_context(browser, width=width, theme=theme, bypass_csp=True)
            page = context.new_page()
            page.goto(f"{portal}/accounts/login/")
            look = f"{theme}, {width['width']} px"
            findings += axe_findings(page, f"{look}, /accounts/login/")
            sign_in(page, portal, role)
            for address in addresses.values():
                open_page(Walk(portal), page, portal + address)
                findings += axe_findings(page, f"{look}, {address}")
            context.close()

    assert findings == []


def axe_findings(page: Page, address: str) -> list[str]:
    found = Axe().run(page, options=AXE).response["violations"]
    return [
        f"{address}: {violation['id']}: {node['html'][:160]}: {node['failureSummary'][:300]}"
        for violation in found
        for node in violation["nodes"][:3]
    ]
