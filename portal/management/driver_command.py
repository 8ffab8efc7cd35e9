"""The base of the commands that bring driver files in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from portal.commands import PortalCommand, Refused
from portal.ingest.drivers.delivery import Kind, deliver
from portal.ingest.drivers.table import MOST_BYTES


class DriverCommand(PortalCommand):
    """A command names its kind of file; the rest is the same for all."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would change, and change nothing"
        )

    def kind(self, **options: Any) -> Kind:
        raise NotImplementedError

    def run(self, **options: Any) -> dict[str, Any]:
        path: Path = options["file"]
        outcome = deliver(
            self.kind(**options),
            read_file(path),
            file_name=path.name,
            dry_run=options["dry_run"],
        )
        self.words = outcome.in_words()
        return outcome.to_json()

    def show(self, outcome: dict[str, Any]) -> str:
        return self.words


def read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(
                MOST_BYTES + 1
            )  # one more than is taken, so that a longer file is refused by its size
    except OSError as error:
        raise Refused(f"{path} can't be read: {error.strerror}") from error
