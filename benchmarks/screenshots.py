"""Pictures of every page: light and dark, wide and narrow, with the demo company and with nothing. Needs Chromium.

    .venv/bin/python benchmarks/screenshots.py

starts two portals of its own, an empty one and one with the demo company and four small bills (one repaired, one partly
rejected, two refused), and goes through them as a FinOps admin, and through the second as a team lead, too. Of a
running portal:

    .venv/bin/python benchmarks/screenshots.py --user finance --password ... [--address URL] [PATH ...]

takes the paths, or every page of the left rail and what lies behind it. Files go to var/screenshots (not under version
control). Exits 1 where a page logs to the console, breaks its content policy, asks another host for something or is
wider than its window.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, ViewportSize, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

CHECKOUT = Path(__file__).resolve().parent.parent
FOLDER = CHECKOUT / "var" / "screenshots"
SIZES: dict[str, ViewportSize] = {"wide": {"width": 1440, "height": 900}, "narrow": {"width": 390, "height": 844}}
SCHEMES = ("light", "dark")
LATE_MS = 10_000  # for charts and other parts that are asked for once the page has loaded
START_SECONDS = 300

# What lies behind the pages of the rail: links of this shape, and how many of them.
BEHIND = ((r"/showback/[\w-]+/$", 1), (r"/debug/trace/", 2), (r"/imports/\d+/$", 5))
ACCOUNT = (
    "/accounts/2fa/",
    "/accounts/2fa/totp/activate/",
    "/accounts/password/change/",
    "/accounts/logout/",
    "/no-such-page/",
)
WATCH_POLICY = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error("policy: " + event.violatedDirective + " " + event.blockedURI + " " + (event.sample || ""));
});
"""

HEAD = (
    "BilledCost,EffectiveCost,ListCost,ContractedCost,BillingAccountId,BillingCurrency,BillingPeriodStart,"
    "BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ChargeDescription,ProviderName,PublisherName,"
    "InvoiceIssuerName,ServiceCategory,ServiceName\n"
)
GOOD = (
    "1.5,1.5,2,1.5,acct-7,USD,2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,2026-10-0{day}T00:00:00Z,"
    "2026-10-0{next}T00:00:00Z,Usage,gpu hours,Azure,Azure,Azure,AI and Machine Learning,Azure OpenAI\n"
)
ROWS = [GOOD.format(day=day, next=day + 1) for day in range(1, 9)]
REPAIRED = [row.replace("T00:00:00Z,Usage", "T00:00:00+00:00,usage").replace("gpu hours", "NULL") for row in ROWS]
BAD = [
    ROWS[3].replace("1.5,1.5", "about a dollar and a half, to be confirmed with the reseller,1.5", 1),
    ROWS[4].replace("2026-10-05", "2026-13-05"),
    ROWS[5].replace("USD", "dollars"),
    ROWS[6].replace("1.5,1.5,2,1.5,", "NaN,,2,1e999,"),
]
BILLS = {
    "repaired.csv": HEAD + "".join(REPAIRED),
    "rejected.csv": HEAD + "".join(ROWS * 12 + BAD).replace("acct-7", "acct-8"),
    "refused.csv": HEAD + "".join(ROWS[:3] + BAD),
    "no-bill.csv": "Date,Amount\n2026-10-01,12\n",
}


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
        if not re.search("status of 40[34]", message.text):  # the error pages are among the pictures
            self.complain(f"console: {message.text}")

    def check_host(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("data", "blob") and parts.netloc != urlsplit(self.visitor.address).netloc:
            self.complain(f"asked another host: {address}")

    def complain(self, words: str) -> None:
        self.complaints.append(f"{self.page.url} ({self.look}): {words}")

    def open(self, path: str) -> list[str]:
        """Takes the page at the path and gives the addresses it leads to."""
        self.page.goto(urljoin(self.visitor.address, path), wait_until="load")
        self.take(re.sub(r"[^A-Za-z0-9]+", "-", path).strip("-") or "home")
        found = self.page.eval_on_selector_all("a[href]", "links => links.map(link => link.getAttribute('href'))")
        return [str(address) for address in found]

    def take(self, name: str, *, whole: bool = True) -> None:
        with suppress(PlaywrightTimeout):  # what never comes is in the picture
            late = self.page.locator(".chart .skeleton, [hx-trigger=load], .htmx-request")
            late.first.wait_for(state="detached", timeout=LATE_MS)
        self.page.wait_for_timeout(400)
        file = self.folder / f"{self.visitor.label}-{name[:80]}-{self.look}.png"
        self.page.screenshot(path=file, full_page=whole and self.whole_pages)
        if self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            self.complain("wider than its window")


def main() -> int:
    options = arguments()
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        print("No Chromium found: install the package chromium.", file=sys.stderr)
        return 2
    options.folder.mkdir(parents=True, exist_ok=True)
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        if options.user:
            visitor = Visitor(options.address, options.user, options.password, options.user)
            complaints += visit(browser, options, visitor)
        else:
            with empty_portal() as visitor:
                complaints += visit(browser, options, visitor)
            with demo_portal() as (admin, lead):
                deliver(browser, admin)
                complaints += visit(browser, options, admin)
                complaints += visit(browser, options, lead)
        browser.close()
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="http://127.0.0.1:8000")
    parser.add_argument("--user", help="of a running portal; without it, portals of its own")
    parser.add_argument("--password", default="")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--viewport", action="store_true", help="the first screen only, not the whole page")
    parser.add_argument("paths", nargs="*")
    return parser.parse_args()


def visit(browser: Browser, options: argparse.Namespace, visitor: Visitor) -> list[str]:
    """Every page as this visitor sees it, in each look; gives what the browser complained about."""
    complaints: list[str] = []
    for scheme in SCHEMES:
        for size, viewport in SIZES.items():
            context = browser.new_context(
                viewport=viewport, color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce"
            )
            camera = Camera(context.new_page(), visitor, options.folder, f"{scheme}-{size}", not options.viewport)
            camera.watch()
            if options.paths:
                sign_in(camera.page, visitor)
                for path in options.paths:
                    camera.open(path)
            else:
                tour(camera)
            complaints += camera.complaints
            context.close()
    return complaints


def tour(camera: Camera) -> None:
    camera.open("/accounts/login/")
    camera.page.context.clear_cookies()
    sign_in(camera.page, camera.visitor, fresh=False)
    camera.take("form-expired")
    sign_in(camera.page, camera.visitor)
    links: list[str] = []
    opened = rail(camera.page)
    if any(path.startswith("/debug/") for path in opened):
        opened.append("/debug/calls/")  # the debug page takes it in once loaded, so no link leads there
    for path in opened:
        links += camera.open(path)
    for pattern, most in BEHIND:
        for path in list(dict.fromkeys(link for link in links if re.search(pattern, link.split("?")[0])))[:most]:
            links += camera.open(path)
    explanation(camera)
    for path in ACCOUNT:
        camera.open(path)


def explanation(camera: Camera) -> None:
    """The panel beside a page, step by step down to the bill rows, and the same alone."""
    amounts = "main a[hx-target='#explain']:visible"
    camera.page.goto(urljoin(camera.visitor.address, "/showback/"))
    if not camera.page.locator(amounts).count():
        camera.open("/explain/")
        return
    camera.page.locator(amounts).first.click()
    camera.take("explain-panel", whole=False)
    for place in (0, 1):  # another rule, another bill line
        others = camera.page.locator(".explain .table-wrap").nth(place).locator("tbody a")
        if others.count() > 1:
            others.last.click()
            camera.take(f"explain-panel-{place + 1}", whole=False)
    if camera.page.locator(".explain a.button").count():
        camera.page.locator(".explain a.button").click()
        camera.page.locator(".explain a.button").wait_for(state="detached")
        camera.page.locator(".explain table").last.scroll_into_view_if_needed()
        camera.take("explain-panel-rows", whole=False)
    alone = camera.page.locator(".explain .tools a").first.get_attribute("href")
    camera.page.goto(urljoin(camera.visitor.address, str(alone)))
    camera.take("explain-alone")


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


def rail(page: Page) -> list[str]:
    """Every address of the left rail."""
    found = page.eval_on_selector_all(".rail ul a", "links => links.map(link => link.getAttribute('href'))")
    return [str(address) for address in found]


def deliver(browser: Browser, visitor: Visitor) -> None:
    """Loads the small bills by the upload form and waits for what becomes of them."""
    page = browser.new_page()
    sign_in(page, visitor)
    for name, text in BILLS.items():
        page.goto(urljoin(visitor.address, "/imports/"))
        page.fill("input[name=source]", "azure-reseller-" + name.removesuffix(".csv"))
        page.set_input_files("input[name=file]", {"name": name, "mimeType": "text/csv", "buffer": text.encode()})
        page.click("main form button")
        page.locator(".imports th", has_text=name).first.wait_for(timeout=60_000)
    page.wait_for_timeout(8_000)
    page.close()


@contextmanager
def empty_portal() -> Iterator[Visitor]:
    with portal("up", until="is ready") as (address, home, _):
        made = subprocess.run(
            manage("create_admin", "admin", "--json"), env=settings(home), check=True, capture_output=True, text=True
        )
        yield Visitor(address, "admin", json.loads(made.stdout)["password"], "empty-admin")


@contextmanager
def demo_portal() -> Iterator[tuple[Visitor, Visitor]]:
    with portal("demo", "--days", "45", "--scale", "0.3", until="The portal is at") as (address, _, said):
        words = {line.split()[0]: line.split()[1] for line in said if len(line.split()) > 2}
        yield (
            Visitor(address, "admin", words["admin"], "demo-admin"),
            Visitor(address, "teamlead", words["teamlead"], "demo-teamlead"),
        )


@contextmanager
def portal(*command: str, until: str) -> Iterator[tuple[str, Path, list[str]]]:
    """A portal in a home of its own: its address, home and what it said until the line with these words."""
    home = Path(tempfile.mkdtemp(prefix="apportion-look-"))
    home.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen(
        manage(*command, "--port", str(port)), env=settings(home), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            said: list[str] = []
            began = time.monotonic()
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line)
                if until in line or time.monotonic() - began > START_SECONDS:
                    break
            yield f"http://127.0.0.1:{port}", home, said
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
            shutil.rmtree(home, ignore_errors=True)


def manage(*words: str) -> list[str]:
    return [sys.executable, str(CHECKOUT / "manage.py"), *words]


def settings(home: Path) -> dict[str, str]:
    without = ("DATABASE_URL", "DATABASE_OWNER_URL", "CELERY_BROKER_URL")
    return {name: value for name, value in os.environ.items() if name not in without} | {"APPORTION_HOME": str(home)}


if __name__ == "__main__":
    sys.exit(main())
