"""Shows and applies the organisation's own catalogue of bill and trace wording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from allocation.catalogue.own_entries import (
    CatalogueError,
    apply_catalogue,
    catalogue_csv,
    own_catalogue,
    read_catalogue,
)
from portal.accounts import audit
from portal.commands import PortalCommand, Refused
from portal.management.commands.rules import read


class Command(PortalCommand):
    help = (
        "export: write the entries in force as CSV; apply: put a file's entries in force instead."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("action", choices=("export", "apply"))
        parser.add_argument(
            "file",
            metavar="FILE",
            nargs="?",
            default="-",
            help="- or nothing: standard input or output",
        )
        parser.add_argument("--note", default="", help="apply: why")

    def run(self, **options: Any) -> dict[str, Any]:
        if options["action"] == "export":
            return self.export(options["file"])
        try:
            entries = read_catalogue(read(options["file"]))
        except CatalogueError as error:
            raise Refused(
                f"{options['file']}: the entries can't be used; put this right and try again:\n"
                + "\n".join(f"- {problem}" for problem in error.problems)
            ) from error
        with transaction.atomic():
            made, is_new = apply_catalogue(entries=entries, acting_user=None, note=options["note"])
            if made and is_new:
                audit.record(
                    None,
                    "apply catalogue",
                    f"catalogue {made.number}",
                    {"sha256": made.content_sha256},
                )
        return {
            "catalogue": made.number if made else 0,
            "status": "applied" if is_new else "unchanged",
            "entries": len(entries),
        }

    def export(self, file: str) -> dict[str, Any]:
        found = own_catalogue()
        text = catalogue_csv(found.entries)
        if file != "-":
            try:
                Path(file).write_text(text, encoding="utf-8")
            except OSError as error:
                raise Refused(f"{file} can't be written: {error.strerror}") from error
        return {
            "catalogue": found.number,
            "sha256": found.sha256,
            "text" if file == "-" else "file": text if file == "-" else file,
        }

    def show(self, outcome: dict[str, Any]) -> str:
        if "text" in outcome:
            return str(outcome["text"])
        return "\n".join(f"{name}: {value}" for name, value in outcome.items())
