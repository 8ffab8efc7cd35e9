"""The base of the commands that bring driver files in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from portal.commands import PortalCommand, Refused, month_argument
from portal.ingest.drivers.delivery import Outcome, deliver
from portal.ingest.drivers.kinds import DriverKind, driver_kind
from portal.ingest.drivers.table import MOST_BYTES


class DriverCommand(PortalCommand):
    """Names its kind of file; the rest is the same for all.

    What the kind asks for are options, except `leading`, which stands before the file.
    """

    kind: str
    leading = ""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_file_arguments(parser, driver_kind(self.kind), leading=self.leading)

    def run(self, **options: Any) -> dict[str, Any]:
        outcome = deliver_file(driver_kind(self.kind), options)
        self.words = outcome.in_words()
        return outcome.to_json()

    def show(self, outcome: dict[str, Any]) -> str:
        return self.words


def add_file_arguments(parser: Any, kind: DriverKind, *, leading: str = "") -> None:
    """The file, whether to write, and what the kind asks for."""
    for ask in sorted(kind.asks, key=lambda ask: ask.name != leading):
        about: dict[str, Any] = {"help": ask.help}
        if ask.is_month:
            about |= {"type": month_argument, "metavar": "YYYY-MM"}
        if ask.name == leading:
            parser.add_argument(ask.name, metavar=ask.name.upper(), **about)
        else:
            parser.add_argument(f"--{ask.name}", required=True, **about)
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would change, and change nothing"
    )


def deliver_file(kind: DriverKind, options: dict[str, Any]) -> Outcome:
    path: Path = options["file"]
    return deliver(
        kind,
        read_file(path),
        file_name=path.name,
        asked={
            ask.name: options[ask.name].start if ask.is_month else options[ask.name]
            for ask in kind.asks
        },
        dry_run=options["dry_run"],
    )


def read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            # One more than is taken, so that a longer file is refused by its size.
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise Refused(f"{path} can't be read: {error.strerror}") from error
