"""The base of the portal's management commands: servers, JSON, and exit statuses.

    class Command(PortalCommand):
        def run(self, **options) -> dict[str, Any]:        # the JSON object
            raise Refused("what, where, what to do")
        def show(self, outcome: dict[str, Any]) -> str:    # what a person reads without --json
            ...

Exit status 0 done, 1 refused input, 2 wrong usage. With --json, one object on standard output and
nothing else there.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import OperationalError, connections
from django.db.migrations.executor import MigrationExecutor

from allocation.values.periods import BadPeriod, Period
from portal.embedded.processes import EmbeddedError
from portal.embedded.servers import embedded_servers
from portal.errors import Refused

__all__ = ["PortalCommand", "Refused"]


def servers_needed() -> list[str]:
    """The embedded servers that stand in for real ones that are not named."""
    return ["postgres"] * settings.EMBEDDED_POSTGRES + ["redis"] * settings.EMBEDDED_REDIS


class PortalCommand(BaseCommand):
    """Starts the embedded servers that are needed and leaves them as it found them."""

    requires_system_checks: list[str] = []
    migrates = True  # bring the schema up to date first

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--json", action="store_true", help="print one JSON object and nothing else"
        )

    def run(self, **options: Any) -> dict[str, Any]:
        raise NotImplementedError

    def show(self, outcome: dict[str, Any]) -> str:
        return "\n".join(f"{name}: {value}" for name, value in outcome.items())

    def note(self, text: str) -> None:
        """A line for the person who waits; on standard error, so that --json stays clean."""
        self.stderr.write(text, style_func=str)

    def handle(self, *args: Any, **options: Any) -> None:
        as_json = options.pop("json", False)
        try:
            with embedded_servers(settings.EMBEDDED, servers_needed(), self.note):
                if self.migrates:
                    migrate_if_needed()
                outcome = self.run(**options)
        except (Refused, EmbeddedError) as refusal:
            self.refuse(str(refusal), as_json)
        except OperationalError as error:
            self.refuse(f"the database can't be used: {str(error).strip()}", as_json)
        self.stdout.write(json.dumps(outcome) if as_json else self.show(outcome))
        if outcome.get("status") == "refused":
            sys.exit(1)

    def refuse(self, reason: str, as_json: bool) -> None:
        """Leave with status 1 and the reason, on standard error and, with --json, as an object."""
        self.note(reason)
        if as_json:
            self.stdout.write(json.dumps({"status": "refused", "reason": reason}))
        sys.exit(1)


def unapplied_migrations(alias: str) -> bool:
    """Whether the database of this connection is behind the code."""
    executor = MigrationExecutor(connections[alias])
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def migrate_if_needed() -> None:
    """Apply what is not applied yet, as the owner. Of several processes that start at once, one
    does it.
    """
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext('apportion migrate'))")
        try:
            if unapplied_migrations("owner"):
                call_command("migrate", database="owner", verbosity=0, interactive=False)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtext('apportion migrate'))")


def day_argument(text: str) -> date:
    """argparse type: wrong usage, exit status 2, where the text is no day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; write YYYY-MM-DD") from None


def month_argument(text: str) -> Period:
    """argparse type: wrong usage, exit status 2, where the text is no month."""
    try:
        return Period.parse(text)
    except BadPeriod as error:
        raise argparse.ArgumentTypeError(str(error)) from None
