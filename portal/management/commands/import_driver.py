"""manage.py import_driver KIND FILE: one driver file of any registered kind."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from portal.commands import PortalCommand
from portal.ingest.drivers.kinds import driver_kinds
from portal.management.driver_command import DriverCommand, add_file_arguments


class Command(DriverCommand):
    help = "Load a driver file: series, GPU usage, provider usage, owners, rates and what is added."

    def add_arguments(self, parser: CommandParser) -> None:
        """All options stand behind the kind, which decides about most of them."""
        kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
        for kind in driver_kinds().values():
            options = kinds.add_parser(kind.name, help=kind.help)
            PortalCommand.add_arguments(self, options)
            add_file_arguments(options, kind)

    def run(self, **options: Any) -> dict[str, Any]:
        self.kind = options["kind"]
        return super().run(**options)
