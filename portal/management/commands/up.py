"""`manage.py up`: the whole portal on this machine."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from portal.embedded.processes import EmbeddedError
from portal.embedded.supervisor import run_portal
from portal.errors import Refused


class Command(BaseCommand):
    help = (
        "Start embedded servers if none are named, migrate, and run web, worker and beat until "
        "Ctrl-C."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument(
            "--host", default="127.0.0.1", help="address to listen on; default: this machine only"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run_portal(
                port=options["port"], host=options["host"], say=self.say, on_ready=self.ready
            )
        except (Refused, EmbeddedError) as refusal:
            self.stderr.write(str(refusal))
            sys.exit(1)

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()

    def ready(self, address: str) -> None:
        self.say(f"Apportion is ready: {address} (Ctrl-C stops it)")
