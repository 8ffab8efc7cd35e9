"""`manage.py demo`: the portal with a demo company in it, on this machine."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from allocation.values.periods import Period
from portal.demo.live import LiveTraffic, fresh_key
from portal.demo.load import DemoLoad, load_demo
from portal.demo.people import Login, ensure_people
from portal.demo.reviews import ensure_reviews
from portal.embedded.processes import EmbeddedError
from portal.embedded.supervisor import run_portal
from portal.errors import Refused


class Command(BaseCommand):
    help = "Set up the portal with a demo company, or go on with it, and serve it until Ctrl-C."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument(
            "--host", default="127.0.0.1", help="address to listen on; default: this machine only"
        )
        parser.add_argument(
            "--days", type=int, help="how many days back it begins (default: three whole months)"
        )
        parser.add_argument(
            "--seed", type=int, help="another number makes another company (default: 7)"
        )
        parser.add_argument("--scale", type=float, help="factor on the traffic (default: 1)")
        parser.add_argument(
            "--truth",
            type=Path,
            help="write the true causes of all cost to this .csv or .json file",
        )
        parser.add_argument(
            "--load-only", action="store_true", help="load and leave, without serving"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        check_options(options)
        self.began = time.monotonic()
        self.options = options
        self.logins: list[Login] = []
        self.key = ""
        try:
            if options["load_only"]:
                self.load_only()
                return
            run_portal(
                port=options["port"],
                host=options["host"],
                say=self.say,
                before=self.load,
                on_ready=self.ready,
            )
        except (Refused, EmbeddedError) as refusal:
            self.stderr.write(str(refusal))
            sys.exit(1)

    def load_only(self) -> None:
        from portal.commands import migrate_if_needed, servers_needed
        from portal.embedded.servers import embedded_servers

        with embedded_servers(settings.EMBEDDED, servers_needed(), self.say):
            migrate_if_needed()
            self.load()
            self.say_logins()

    def load(self) -> None:
        """Runs once the servers answer and the schema is current."""
        options = self.options
        self.say("Loading the demo company (Larkspur, three months and the running one)")
        self.loaded: DemoLoad = load_demo(
            folder=settings.APPORTION_HOME / "demo",
            now=datetime.now(UTC),
            days=options["days"],
            seed=options["seed"],
            scale=options["scale"],
            truth=options["truth"],
            say=self.say,
        )
        self.logins = ensure_people()
        ensure_reviews(Period.month(self.loaded.settings.now.date()).before().start)
        self.key = fresh_key()
        self.say(f"  Ready after {time.monotonic() - self.began:.0f} s")

    def ready(self, address: str) -> None:
        LiveTraffic(settings=self.loaded.settings, address=address, key=self.key).start()
        self.say_logins()
        self.say(
            "\n"
            f"The portal is at {address} (Ctrl-C stops it; the data stays in "
            f"{settings.APPORTION_HOME})"
        )

    def say_logins(self) -> None:
        self.say("\nSign in as            password           role")
        for login in self.logins:
            self.say(f"  {login.username:<18}  {login.password}   {login.role}")

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def check_options(options: dict[str, Any]) -> None:
    """Raises CommandError, which exits with status 2 like any wrong usage."""

    if options["days"] is not None and not 1 <= options["days"] <= 370:
        raise CommandError(f"--days is from 1 to 370, not {options['days']}", returncode=2)
    if options["scale"] is not None and not 0.001 <= options["scale"] <= 20:
        raise CommandError(f"--scale is from 0.001 to 20, not {options['scale']}", returncode=2)
    if options["seed"] is not None and not 0 <= options["seed"] < 2**32:
        raise CommandError(f"--seed is from 0 to {2**32 - 1}, not {options['seed']}", returncode=2)
