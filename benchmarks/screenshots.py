"""Pictures of every page: light and dark, wide and narrow, with the demo company and with nothing.
Needs Chromium.

    .venv/bin/python benchmarks/screenshots.py

starts two portals of its own, an empty one and one with the demo company, four small bills (one
repaired, one partly rejected, two refused), a driver file of each kind and rules that split by
them. A FinOps admin goes through both, makes mistakes in forms and sets up a second factor; a team
lead goes through the second, too, and the other roles in one look. Of a running portal:

    .venv/bin/python benchmarks/screenshots.py --user finance --password ... [PATH ...]
        [--address URL]

takes the paths, or every page of the left rail and what lies behind it. Files go to var/screenshots
(not under version control). Exits 1 where a page logs to the console, breaks its content policy,
asks another host for something, is wider than its window, or cuts a table.
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from benchmarks.camera import Camera, Visitor, sign_in  # noqa: E402
from benchmarks.deliveries import deliver  # noqa: E402
from benchmarks.states import admins_states, errors, explanation  # noqa: E402

FOLDER = CHECKOUT / "var" / "screenshots"
SIZES: dict[str, ViewportSize] = {
    "wide": {"width": 1440, "height": 900},
    "narrow": {"width": 390, "height": 844},
}
SCHEMES = ("light", "dark")
LOOKS = tuple(f"{scheme}-{size}" for scheme in SCHEMES for size in SIZES)
START_SECONDS = 300

# What lies behind the pages of the rail: links of this shape, and how many of them.
BEHIND = (
    (r"/showback/[\w-]+/$", 1),
    (r"/debug/trace/", 2),
    (r"/imports/\d+/$", 9),
    (r"/ownership/\w+/$", 3),
    (r"/rules/(edit|versions)/$", 2),
    (r"/rules/versions/\d+/$", 1),
)
REPORTED = ("/executive/?report=EUR", "/showback/?report=EUR", "/showback/support/?report=EUR")
ACCOUNT = (
    "/accounts/2fa/",
    "/accounts/2fa/totp/activate/",
    "/accounts/password/change/",
    "/accounts/logout/",
    "/no-such-page/",
)


def main() -> int:
    options = arguments()
    program = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
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
                complaints += visit(browser, options, visitor, states=True)
            with demo_portal() as people:
                deliver(browser, people["admin"])
                complaints += visit(browser, options, people["admin"], states=True)
                complaints += visit(browser, options, people["teamlead"])
                for role in ("executive", "finance", "oncall"):
                    complaints += visit(browser, options, people[role], looks=LOOKS[:1])
        browser.close()
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--address", default="http://127.0.0.1:8000")
    parser.add_argument("--user", help="of a running portal; without it, portals of its own")
    parser.add_argument("--password", default="")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument(
        "--look", action="append", choices=LOOKS, help="of these alone; again for another"
    )
    parser.add_argument(
        "--viewport", action="store_true", help="the first screen only, not the whole page"
    )
    parser.add_argument("paths", nargs="*")
    return parser.parse_args()


def visit(
    browser: Browser,
    options: argparse.Namespace,
    visitor: Visitor,
    *,
    looks: Sequence[str] = LOOKS,
    states: bool = False,
) -> list[str]:
    """Every page as this visitor sees it, in each look; gives what the browser complained about.

    `states`: the visitor is a FinOps admin of a portal that may be written to, and shows what no
    link leads to.
    """
    complaints: list[str] = []
    for look in [look for look in looks if look in (options.look or LOOKS)]:
        scheme, _, size = look.partition("-")
        context = browser.new_context(
            viewport=SIZES[size],
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
        )
        camera = Camera(context.new_page(), visitor, options.folder, look, not options.viewport)
        camera.watch()
        if options.paths:
            sign_in(camera.page, visitor)
            for path in options.paths:
                camera.open(path)
        else:
            tour(camera)
            if states:
                admins_states(camera)
                errors(camera)
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
        # The debug page takes it in once loaded, so no link leads there.
        opened.append("/debug/calls/")
    for path in opened:
        links += camera.open(path)
    for pattern, most in BEHIND:
        for path in list(
            dict.fromkeys(link for link in links if re.search(pattern, link.split("?")[0]))
        )[:most]:
            links += camera.open(path)
    explanation(camera)
    for path in (
        *(
            path
            for path in REPORTED
            if path.split("?")[0] in {link.split("?")[0] for link in links}
        ),
        *ACCOUNT,
    ):
        camera.open(path)


def rail(page: Page) -> list[str]:
    """Every address of the left rail."""
    found = page.eval_on_selector_all(
        ".rail ul a", "links => links.map(link => link.getAttribute('href'))"
    )
    return [str(address) for address in found]


@contextmanager
def empty_portal() -> Iterator[Visitor]:
    with portal("up", until="is ready") as (address, home, _):
        made = subprocess.run(
            manage("create_admin", "admin", "--json"),
            env=settings(home),
            check=True,
            capture_output=True,
            text=True,
        )
        yield Visitor(address, "admin", json.loads(made.stdout)["password"], "empty-admin")


@contextmanager
def demo_portal() -> Iterator[dict[str, Visitor]]:
    """The demo's people by the names they sign in with."""
    with portal("demo", "--days", "45", "--scale", "0.3", until="The portal is at") as (
        address,
        _,
        said,
    ):
        words = {line.split()[0]: line.split()[1] for line in said if len(line.split()) > 2}
        names = ("executive", "teamlead", "finance", "oncall", "admin")
        yield {name: Visitor(address, name, words[name], f"demo-{name}") for name in names}


@contextmanager
def portal(*command: str, until: str) -> Iterator[tuple[str, Path, list[str]]]:
    """A portal in a home of its own: its address, home and what it said until the line with these
    words.
    """
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
    return {name: value for name, value in os.environ.items() if name not in without} | {
        "APPORTION_HOME": str(home)
    }


if __name__ == "__main__":
    sys.exit(main())
