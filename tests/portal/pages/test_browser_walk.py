"""Every page as a browser sees it: each role walks every link; axe looks at all, light and dark,
wide and narrow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize
from pytest_django.live_server_helper import LiveServer

from portal.accounts.keys import create_key
from tests.portal.browser import (
    NARROW,
    WIDE,
    Walk,
    chromium,
    new_context,
    open_page,
    path_of,
    sign_in,
    walk_every_link,
)
from tests.portal.two_teams import PASSWORD, one_person_per_role, seed_company

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LOOKS = ((WIDE, "light"), (NARROW, "dark"), (WIDE, "dark"), (NARROW, "light"))
ROLES = ["executive", "lead", "finance", "on_call", "finops_admin"]
# Labels of tables wider than what holds them, where that can't be scrolled.
CUT_TABLES = """
() => [...document.querySelectorAll(".table-wrap")]
  .filter(wrap => getComputedStyle(wrap).overflowX === "clip")
  .filter(wrap => wrap.scrollWidth > wrap.clientWidth + 1)
  .map(wrap => wrap.getAttribute("aria-label"))
"""
AXE = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}


@pytest.fixture
def browser(chromium_path: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    # Playwright keeps an event loop in this thread; the tests' own few queries run between its
    # turns.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with chromium(chromium_path) as started:
        yield started


@pytest.fixture
def portal(live_server: LiveServer) -> str:
    seed_company()
    one_person_per_role()
    create_key("collector", "ingest", None, "finops_admin")
    return live_server.url


@pytest.fixture(scope="module")
def walks() -> dict[str, Walk]:
    """What each role's walk saw. The company is the same in every test, and so its addresses."""
    return {}


@pytest.fixture
def walked(browser: Browser, portal: str, walks: dict[str, Walk]) -> Callable[[str], Walk]:
    """A role's walk, done by the first test that asks."""

    def walk(role: str) -> Walk:
        if role not in walks:
            context = new_context(browser)
            walks[role] = walk_every_link(context, portal, role)
            context.close()
        return walks[role]

    return walk


@pytest.mark.parametrize("role", ROLES)
def test_every_link_opens_cleanly(walked: Callable[[str], Walk], role: str) -> None:
    walk = walked(role)

    assert walk.problems == []
    assert len(walk.pages) > 2, walk.pages


def test_somebody_without_a_role_gets_a_plain_page(browser: Browser, portal: str) -> None:
    context = new_context(browser)
    page = context.new_page()

    sign_in(page, portal, "nobody")

    assert "No role yet" in page.inner_text("h1")
    assert "finops_admin" in page.inner_text("main")
    context.close()


def test_a_second_factor_is_set_up_and_asked_for(browser: Browser, portal: str) -> None:
    """The QR code is a data address, which the content policy must let through, and dark on light
    at any hour.
    """
    context, walk = new_context(browser, theme="dark"), Walk(portal)
    page = context.new_page()
    walk.watch(page)
    sign_in(page, portal, "lead")

    page.goto(f"{portal}/accounts/2fa/totp/activate/")
    page.fill(
        "input[name=password]", PASSWORD
    )  # asked for once more before the way to sign in changes
    page.get_by_role("button", name="Confirm").click()
    qr = page.locator("img.qr")
    seen = qr.evaluate(
        "image => [image.naturalWidth > 100, getComputedStyle(image).backgroundColor]"
    )
    page.fill("input[name=code]", "000000")
    page.get_by_role("button", name="Turn the second factor on").click()
    refused = page.locator(".errorlist").inner_text()
    secret = page.input_value("#authenticator_secret")
    page.fill("input[name=code]", format_hotp_value(hotp_value(secret, int(time.time()) // 30)))
    page.get_by_role("button", name="Turn the second factor on").click()

    assert seen == [True, "rgb(255, 255, 255)"]
    assert refused == "Incorrect code."
    assert page.locator(".codes li").count() == 10
    code = page.locator(".codes li").first.inner_text()
    context.clear_cookies()
    sign_in(page, portal, "lead")
    assert page.inner_text("h1") == "Your code"
    page.fill("input[name=code]", code)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/showback/**")
    assert walk.problems == []
    context.close()


def test_the_answer_to_a_form_can_be_reloaded_and_narrowed(browser: Browser, portal: str) -> None:
    context, walk = new_context(browser), Walk(portal)
    page = context.new_page()
    walk.watch(page)
    sign_in(page, portal, "finops_admin")
    page.goto(f"{portal}/ownership/")
    page.set_input_files("#id_file", {"name": "x.csv", "mimeType": "text/csv", "buffer": b"\xff"})
    page.get_by_role("button", name="Show what it would change").click()

    assert "no UTF-8" in page.inner_text(".errorlist")
    page.locator("#teams thead a").first.click()  # sorts by the address of the form
    page.locator("#teams th[aria-sort]").wait_for()
    page.locator("select[name=period]").select_option(index=0)
    page.wait_for_load_state("networkidle")

    assert page.locator("h1").inner_text() == "Ownership"
    assert [problem for problem in walk.problems if "400" not in problem] == []  # the refused file
    context.close()


def test_heads_of_tables_stick_below_a_bar_of_two_lines(browser: Browser, portal: str) -> None:
    context, walk = new_context(browser, width={"width": 900, "height": 800}), Walk(portal)
    page = context.new_page()
    walk.watch(page)
    sign_in(page, portal, "finops_admin")

    open_page(walk, page, f"{portal}/executive/")
    bar = page.locator("[data-state-bar]").evaluate("bar => bar.offsetHeight")

    assert bar > 80
    assert (
        page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--bar')")
        == f"{bar}px"
    )
    assert walk.problems == []
    context.close()


def test_no_table_is_cut_on_a_laptop(
    browser: Browser, portal: str, walked: Callable[[str], Walk]
) -> None:
    addresses = one_address_per_path(walked("finops_admin"))
    context, opened = new_context(browser, width={"width": 1181, "height": 800}), Walk(portal)
    page = context.new_page()
    sign_in(page, portal, "finops_admin")
    page.on("response", opened.hear_response)
    cut = []
    for address in addresses:
        open_page(opened, page, portal + address)
        cut += [f"{address}: {label}" for label in page.evaluate(CUT_TABLES)]
    context.close()

    assert cut == []
    assert opened.problems == []


@pytest.mark.parametrize(
    ("role", "looks"), [("finops_admin", LOOKS), ("lead", LOOKS[:1])]
)  # an admin opens every page
def test_axe_finds_nothing_on_any_page(
    browser: Browser,
    portal: str,
    walked: Callable[[str], Walk],
    role: str,
    looks: tuple[tuple[ViewportSize, str], ...],
) -> None:
    findings, opened = [], Walk(portal)
    addresses = one_address_per_path(walked(role))
    assert len(addresses) > 5, addresses
    for width, theme in looks:
        context = new_context(browser, width=width, theme=theme, bypass_csp=True)
        page = context.new_page()
        page.goto(f"{portal}/accounts/login/")
        look = f"{theme}, {width['width']} px"
        findings += axe_findings(page, f"{look}, /accounts/login/")
        sign_in(page, portal, role)
        page.on("response", opened.hear_response)
        for address in addresses:
            open_page(opened, page, portal + address)
            findings += axe_findings(page, f"{look}, {address}")
        context.close()

    assert findings == []
    assert opened.problems == []


def one_address_per_path(walk: Walk) -> list[str]:
    return list({path_of(address): address for address in walk.pages}.values())


def axe_findings(page: Page, address: str) -> list[str]:
    found = Axe().run(page, options=AXE).response["violations"]
    return [
        f"{address}: {violation['id']}: {node['html'][:160]}: {node['failureSummary'][:300]}"
        for violation in found
        for node in violation["nodes"][:3]
    ]
