"""A browser tab that takes pictures, and writes down what went wrong in it."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import ConsoleMessage, Page
from playwright.sync_api import TimeoutError as PlaywrightTimeout

LATE_MS = 10_000  # for charts and other parts that are asked for once the page has loaded
WATCH_POLICY = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(
    "policy: " + event.violatedDirective + " " + event.blockedURI + " " + (event.sample || "")
  );
});
"""
# Labels of tables wider than what holds them, where that can't be scrolled.
CUT_TABLES = """
() => [...document.querySelectorAll(".table-wrap")]
  .filter(wrap => getComputedStyle(wrap).overflowX === "clip"
    && wrap.scrollWidth > wrap.clientWidth + 1)
  .map(wrap => wrap.getAttribute("aria-label"))
"""


@dataclass(frozen=True)
class Visitor:
    """Somebody who signs in at one portal. `label` begins the names of the pictures."""

    address: str
    user: str
    password: str
    label: str


@dataclass
class Camera:
    """One browser tab of one look, and what went wrong in it."""

    page: Page
    visitor: Visitor
    folder: Path
    look: str
    whole_pages: bool
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.add_init_script(WATCH_POLICY)
        self.page.on("console", self.hear)
        self.page.on("pageerror", lambda error: self.complain(str(error)))
        self.page.on("request", lambda request: self.check_host(request.url))

    def hear(self, message: ConsoleMessage) -> None:
        # Refusals and errors are among the pictures.
        if not re.search("status of (40[034]|503)", message.text):
            self.complain(f"console: {message.text}")

    def check_host(self, address: str) -> None:
        parts = urlsplit(address)
        if (
            parts.scheme not in ("data", "blob")
            and parts.netloc != urlsplit(self.visitor.address).netloc
        ):
            self.complain(f"asked another host: {address}")

    def complain(self, words: str) -> None:
        self.complaints.append(f"{self.page.url} ({self.look}): {words}")

    def go(self, path: str) -> None:
        self.page.goto(urljoin(self.visitor.address, path), wait_until="load")

    def open(self, path: str) -> list[str]:
        """Takes the page at the path and gives the addresses it leads to."""
        self.go(path)
        self.take(re.sub(r"[^A-Za-z0-9]+", "-", path).strip("-") or "home")
        found = self.page.eval_on_selector_all(
            "a[href]", "links => links.map(link => link.getAttribute('href'))"
        )
        return [str(address) for address in found]

    def press(self, button: str) -> None:
        """The button of that name, and then the page it leads to."""
        self.page.get_by_role("button", name=button, exact=True).click()
        self.page.wait_for_load_state("load")

    def take(self, name: str, *, whole: bool = True) -> None:
        with suppress(PlaywrightTimeout):  # what never comes is in the picture
            late = self.page.locator(".chart .skeleton, [hx-trigger=load], .htmx-request")
            late.first.wait_for(state="detached", timeout=LATE_MS)
        self.page.wait_for_timeout(400)
        file = self.folder / f"{self.visitor.label}-{name[:80]}-{self.look}.png"
        self.page.screenshot(path=file, full_page=whole and self.whole_pages)
        if self.page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        ):
            self.complain("wider than its window")
        for label in self.page.evaluate(CUT_TABLES):
            self.complain(f"the table {label} is cut")


def sign_in(page: Page, visitor: Visitor, *, fresh: bool = True) -> None:
    """By the form; not `fresh`: by the one that is open already, whatever comes of it."""
    if fresh:
        page.goto(urljoin(visitor.address, "/accounts/login/"))
    page.fill("input[name=login]", visitor.user)
    page.fill("input[name=password]", visitor.password)
    page.click("main form button")
    page.wait_for_load_state("load")
    if fresh and "/accounts/login/" in page.url:
        raise SystemExit(f"{visitor.user} could not sign in.")
