"""Writes the chargeback of a month to a file."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from allocation.values.periods import Period
from portal.commands import PortalCommand, Refused, month_argument
from portal.exports import export_formats
from reports.asking import TeamScope
from reports.exports.format import NotAllocated


class Command(PortalCommand):
    help = (
        "Write the chargeback of a month: one line per cost centre, team, product, model, feature"
        " and rule."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("period", type=month_argument, metavar="YYYY-MM")
        parser.add_argument("--format", choices=list(export_formats()), default="csv")
        parser.add_argument(
            "--basis",
            choices=("billed", "effective"),
            default="billed",
            help="which cost is charged: a detail file holds both, whichever is named",
        )
        parser.add_argument("--output", required=True, metavar="FILE")

    def run(self, **options: Any) -> dict[str, Any]:
        output = Path(options["output"])
        if not output.parent.is_dir():
            raise Refused(f"--output: there is no folder {output.parent}; make it first")
        period: Period = options["period"]
        wanted = export_formats()[options["format"]]
        try:
            blocks = wanted.write(period=period, scope=TeamScope.everything())
        except NotAllocated as error:
            raise Refused(f"{error}: manage.py allocate {period}") from error
        size, digest = write_whole(output, blocks)
        return {
            "period": str(period),
            "format": wanted.name,
            "basis": options["basis"],
            "output": str(output),
            "bytes": size,
            "sha256": digest,
        }

    def show(self, outcome: dict[str, Any]) -> str:
        return f"{outcome['output']}: {outcome['bytes']} bytes, sha256 {outcome['sha256']}"


def write_whole(output: Path, blocks: Iterable[bytes]) -> tuple[int, str]:
    """Size and SHA-256 of the file, which is there whole or not at all."""
    digest, size = hashlib.sha256(), 0
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
    return size, digest.hexdigest()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
