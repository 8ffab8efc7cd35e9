"""Pictures of every page as one role sees it: light and dark, wide and narrow. Needs Chromium and a running portal.

    .venv/bin/python benchmarks/screenshots.py --user finance --password ... [--address URL] [PATH ...]

Without paths, every page of the left rail. Files go to var/screenshots (not under version control). Exits 1 where a
page logs to the console, breaks its content policy or asks another host for something.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

SIZES = {"wide": (1440, 900), "narrow": (390, 844)}
CHARTS_MS = 10_000
SCHEMES = ("light", "dark")
FOLDER = Path(__file__).resolve().parent.parent / "var" / "screenshots"


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
        for scheme in SCHEMES:
            for size in SIZES:
                complaints += take(browser, options, scheme, size)
        browser.close()
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="http://127.0.0.1:8000")
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--viewport", action="store_true", help="the first screen only, not the whole page")
    parser.add_argument("paths", nargs="*")
    return parser.parse_args()


def take(browser: Browser, options: argparse.Namespace, scheme: str, size: str) -> list[str]:
    """Signs in and takes each page; gives what the browser complained about."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    complaints: list[str] = []
    host = urlsplit(options.address).netloc
    page.on("console", lambda message: complaints.append(f"{page.url}: console: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
    page.on("request", lambda request: complaints.extend(foreign(request.url, host)))
    sign_in(page, options)
    for path in options.paths or rail(page):
        page.goto(urljoin(options.address, path), wait_until="load")
        with suppress(PlaywrightTimeout):  # a chart that never comes is in the picture
            page.locator(".chart .skeleton").first.wait_for(state="detached", timeout=CHARTS_MS)
        page.wait_for_timeout(700)
        name = re.sub(r"[^A-Za-z0-9]+", "-", path).strip("-") or "home"
        page.screenshot(
            path=options.folder / f"{options.user}-{name[:80]}-{scheme}-{size}.png", full_page=not options.viewport
        )
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            complaints.append(f"{page.url}: wider than its window at {width} px")
    context.close()
    return complaints


def foreign(address: str, host: str) -> list[str]:
    parts = urlsplit(address)
    if parts.scheme in ("data", "blob") or parts.netloc == host:
        return []
    return [f"asked another host: {address}"]


def sign_in(page: Page, options: argparse.Namespace) -> None:
    page.goto(urljoin(options.address, "/accounts/login/"))
    page.fill("input[name=login]", options.user)
    page.fill("input[name=password]", options.password)
    page.click("main button[type=submit], form button:not([type=button])")
    page.wait_for_load_state("load")
    if "/accounts/login/" in page.url:
        raise SystemExit(f"{options.user} could not sign in.")


def rail(page: Page) -> list[str]:
    """Every address of the left rail."""
    found = page.eval_on_selector_all(".rail ul a", "links => links.map(link => link.getAttribute('href'))")
    return [str(address) for address in found]


if __name__ == "__main__":
    sys.exit(main())
