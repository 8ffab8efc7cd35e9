"""A real browser that walks the portal and writes down everything that went wrong on the way."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    Response,
    ViewportSize,
    sync_playwright,
)
from playwright.sync_api import Error as BrowserError

from tests.portal.two_teams import PASSWORD

ARGUMENTS = [
    "--no-sandbox",  # tests run as root in containers
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
    "--disable-dev-shm-usage",
]
WIDE: ViewportSize = {"width": 1440, "height": 900}
NARROW: ViewportSize = {"width": 390, "height": 844}
VARIANTS = 5  # sets of parameters with which a walk opens one path

# Runs before any script of a page; reports what the policy blocked, also where the console stays
# silent.
WATCH_POLICY = """
document.addEventListener("securitypolicyviolation", (event) => {
  const blocked = [event.violatedDirective, event.blockedURI, event.sample || ""];
  console.error("policy: " + blocked.join(" "));
});
"""

# Resolves once the page rests: every chart is drawn, no part is being fetched, and nothing has
# moved for 100 ms.
SETTLED = """
() => new Promise((resolve, reject) => {
  let pause;
  const unsettled = ".htmx-request, .htmx-swapping, .htmx-settling, [data-chart] .skeleton";
  const busy = () => document.querySelector(unsettled);
  const end = (report) => {
    observer.disconnect();
    clearTimeout(pause);
    clearTimeout(limit);
    report();
  };
  const wait = () => {
    clearTimeout(pause);
    pause = setTimeout(() => busy() ? wait() : end(resolve), 100);
  };
  const late = () => reject(new Error("the page did not come to rest"));
  const limit = setTimeout(() => end(late), 15000);
  const observer = new MutationObserver(wait);
  const everything = { subtree: true, childList: true, characterData: true, attributes: true };
  observer.observe(document, everything);
  wait();
})
"""


@contextmanager
def chromium(executable: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Walk:
    """What a walk saw. `problems` is empty when every page was fine; `pages` are the addresses it
    opened.
    """

    origin: str
    pages: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)  # what a reader sees on each page

    def saw(self, words: str) -> bool:
        return any(words in text for text in self.text)

    def watch(self, page: Page) -> None:
        page.on("console", self.hear_console)
        page.on("pageerror", lambda error: self.note(page.url, f"script error: {error}"))
        page.on("request", self.hear_request)
        page.on("response", self.hear_response)
        page.on("dialog", self.hear_dialog)

    def note(self, address: str, problem: str) -> None:
        self.problems.append(f"{address.removeprefix(self.origin)}: {problem}")

    def hear_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.note(message.page.url if message.page else "", f"console: {message.text}")

    def hear_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if (
            parts.scheme not in ("data", "blob")
            and f"{parts.scheme}://{parts.netloc}" != self.origin
        ):
            self.note(request.frame.url, f"asked another host: {request.url}")

    def hear_response(self, answer: Response) -> None:
        if answer.status >= 400:
            self.note(answer.url, f"answered {answer.status}")

    def hear_dialog(self, dialog: Dialog) -> None:
        self.note(dialog.page.url if dialog.page else "", f"dialog: {dialog.message}")
        dialog.dismiss()


def new_context(
    browser: Browser, *, width: ViewportSize = WIDE, theme: str = "light", bypass_csp: bool = False
) -> BrowserContext:
    context = browser.new_context(
        viewport=width,
        color_scheme="dark" if theme == "dark" else "light",
        bypass_csp=bypass_csp,
        accept_downloads=True,
    )
    context.set_default_timeout(15_000)
    context.add_init_script(WATCH_POLICY)
    return context


def sign_in(page: Page, origin: str, username: str) -> None:
    page.goto(f"{origin}/accounts/login/")
    page.fill("input[name=login]", username)
    page.fill("input[name=password]", PASSWORD)
    with page.expect_navigation():
        page.click("main form button")
    page.evaluate(SETTLED)
    assert "/accounts/login/" not in page.url, page.inner_text("main")


def walk_every_link(context: BrowserContext, origin: str, username: str) -> Walk:
    """Signs in by the form and opens every link it can reach: each path, with some sets of
    parameters.
    """
    walk = Walk(origin)
    page = context.new_page()
    walk.watch(page)
    sign_in(page, origin, username)
    waiting, seen = deque([page.url]), {shape(page.url)}
    visits: Counter[str] = Counter()
    while waiting:
        address = waiting.popleft()
        visits[path_of(address)] += 1
        if visits[path_of(address)] > VARIANTS:
            continue
        if not open_page(walk, page, address):
            continue
        walk.pages.append(address.removeprefix(origin))
        walk.text.append(page.inner_text("body"))
        for link in links_of(page, origin):
            if shape(link) not in seen:
                seen.add(shape(link))
                waiting.append(link)
        use_page(page)
    page.close()
    return walk


def open_page(walk: Walk, page: Page, address: str) -> bool:
    """False where the address is a download or data, which must succeed as such."""
    if "format=json" in address:
        answer = page.request.get(address)
        if not answer.ok:
            walk.problems.append(f"{address}: {answer.status}")
        return False
    try:
        page.goto(address)
        page.evaluate(SETTLED)
    except BrowserError as error:
        if "Download is starting" not in error.message:
            walk.problems.append(f"{address}: {error.message.splitlines()[0]}")
        return False
    return True


def use_page(page: Page) -> None:
    """Opens what is folded, asks for some explanations and switches the theme, as readers do."""
    for number in range(page.locator("main details > summary:visible").count()):
        page.locator("main details > summary:visible").nth(number).dispatch_event("click")
    asking = page.locator(
        "main [hx-get]:not([hx-trigger]):visible"
    )  # asked again each time: an answer replaces parts
    for number in range(3):
        if asking.count() > number:
            asking.nth(number).dispatch_event(
                "click"
            )  # also where the explanation already lies over it
            page.locator(".htmx-request").first.wait_for(state="detached")
    switch = page.locator("[data-theme-switch]:visible")
    if switch.count():
        switch.first.click()


def links_of(page: Page, origin: str) -> list[str]:
    found = page.eval_on_selector_all("a[href]", "links => links.map(link => link.href)")
    here = [str(link).split("#")[0] for link in found]
    return [link for link in here if link.startswith(f"{origin}/")]


def shape(address: str) -> str:
    """What addresses of one kind of page share: all but ids and values of parameters."""
    names = {
        name.split(".")[0] for name, _ in parse_qsl(urlsplit(address).query, keep_blank_values=True)
    }
    return (
        path_of(address)
        + "?"
        + ",".join(sorted(names - {"period", "currency", "compare", "metric"}))
    )


def path_of(address: str) -> str:
    return re.sub(r"/[0-9a-f]{32}(?=/)|/\d+(?=/)", "/*", urlsplit(address).path)
