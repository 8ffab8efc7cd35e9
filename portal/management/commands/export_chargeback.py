"""Writes the chargeback of a month to a file."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from portal.commands import PortalCommand, Refused
from portal.management.periods import month_argument
from reports.exports.chargeback_csv import NotAllocated, chargeback_csv
from reports.scope import TeamScope

FORMATS = ("csv", "xlsx", "journal", "focus")


class Command(PortalCommand):
    help = "Write the chargeback of a month: one line per cost centre, team, product, model, feature and rule."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("period", type=month_argument, metavar="YYYY-MM")
        parser.add_argument("--format", choices=FORMATS, default="csv")
        parser.add_argument("--basis", choices=("billed", "effective"), default="billed")
        parser.add_argument("--output", required=True, metavar="FILE")

    def run(self, **options: Any) -> dict[str, Any]:
        if options["format"] != "csv":
            raise CommandError(
                f"--format {options['format']} is not available yet; use --format csv", returncode=2
            )
        output = Path(options["output"])
        if not output.parent.is_dir():
            raise Refused(f"--output: there is no folder {output.parent}; make it first")
        period, digest, size = options["period"], hashlib.sha256(), 0
        try:
            blocks = chargeback_csv(
                period=period, basis=options["basis"], scope=TeamScope.everything()
            )
        except NotAllocated as error:
            raise Refused(f"{error}: manage.py allocate {period}") from error
        handle, partial = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                for block in blocks:
                    file.write(block)
                    digest.update(block)
                    size += len(block)
            os.chmod(partial, 0o644 & ~current_umask())  # noqa: PTH101
            os.replace(partial, output)  # noqa: PTH105
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
        return {
            "period": str(period),
            "format": "csv",
            "basis": options["basis"],
            "output": str(output),
            "bytes": size,
            "sha256": digest.hexdigest(),
        }

    def show(self, outcome: dict[str, Any]) -> str:
        return f"{outcome['output']}: {outcome['bytes']} bytes, sha256 {outcome['sha256']}"


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
