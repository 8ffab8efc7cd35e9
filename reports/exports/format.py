"""What a folder of `reports.exports` registers: one way to write the chargeback of a month."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from allocation.values.periods import Period
from reports.asking import TeamScope


class NotAllocated(Exception):
    """The month has no current run, so there is nothing to charge back."""


class Write(Protocol):
    """Blocks of the file, of a reader's own lines. Raises NotAllocated before the first one."""

    def __call__(self, *, period: Period, scope: TeamScope) -> Iterator[bytes]: ...


@dataclass(frozen=True)
class ExportFormat:
    """A kind of chargeback file."""

    name: str  # of --format, and how files end
    label: str
    content_type: str
    write: Write
    position: int = 0
