"""Charts and small behaviours in a real browser, under the policy that every page carries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.portal.browser import Walk, chromium, new_context, sign_in
from tests.portal.two_teams import one_person_per_role, seed_company

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def browser(chromium_path: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with chromium(chromium_path) as started:
        yield started


@pytest.fixture
def executive(browser: Browser, live_server: LiveServer) -> Iterator[tuple[Page, Walk]]:
    """The executive page, its charts drawn, and what went wrong so far."""
    seed_company()
    one_person_per_role()
    context = new_context(browser)
    page, walk = context.new_page(), Walk(live_server.url)
    sign_in(page, live_server.url, "finance")
    walk.watch(page)
    page.goto(f"{live_server.url}/executive/")
    expect(page.locator("[data-chart=days-figure] .main-svg").first).to_be_visible()
    yield page, walk
    context.close()


def test_charts_are_drawn_in_both_themes_without_breaking_the_policy(
    executive: tuple[Page, Walk],
) -> None:
    page, walk = executive
    bars = page.locator("[data-chart=days-figure] .trace.bars path")

    light = page.locator("[data-chart=days-figure] .xtick text").first.evaluate(
        "tick => tick.style.fill"
    )
    page.click("[data-theme-switch]")
    page.click("[data-theme-switch]")
    dark = page.locator("[data-chart=days-figure] .xtick text").first.evaluate(
        "tick => tick.style.fill"
    )

    assert bars.count() > 0
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert light != dark
    assert walk.problems == []


def test_explain_opens_beside_the_page_and_gives_the_focus_back(
    executive: tuple[Page, Walk],
) -> None:
    page, walk = executive
    amount = page.locator("#teams tbody td a").first
    address = page.url

    amount.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#explain.open")).to_be_visible()
    page.keyboard.press("Escape")

    expect(page.locator("#explain.open")).to_have_count(0)
    assert amount.evaluate("link => link === document.activeElement")
    assert (page.url, walk.problems) == (address, [])


def test_sorting_changes_the_table_and_the_address_only(executive: tuple[Page, Walk]) -> None:
    page, walk = executive
    page.evaluate("window.kept = true")

    page.click("#teams thead th:first-child a")
    expect(page.locator("#teams th[aria-sort=ascending]")).to_have_count(1)

    assert "sort.teams=name" in page.url
    assert page.evaluate("window.kept") is True
    assert walk.problems == []
