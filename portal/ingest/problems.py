"""What can be wrong with a delivered bill: the whole file, or one value of one row."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from allocation.values.names import quoted
from portal.errors import Refused


class BillRefused(Refused):
    """The file is not loaded and nothing that was there before changes. The text says what, where
    and what to do.
    """


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why one row is not loaded. `line` is the line of the delivered file on which the
    row starts.
    """

    line: int
    column: str | None
    value: str | None
    reason: str

    def to_json(self) -> dict[str, Any]:
        """As answers tell it, and as a rejected row keeps it."""
        return asdict(self)

    def __str__(self) -> str:
        column = f", column {self.column}" if self.column else ""
        value = "" if self.value is None else f", value {quoted(self.value)}"
        return f"line {self.line}{column}{value}: {self.reason}"


LONGEST_VALUE_SHOWN = 200


def shown(value: str | None) -> str | None:
    """The value as it is kept for the list of rejected rows: cut to a length that a page can
    hold.
    """
    if value is None or len(value) <= LONGEST_VALUE_SHOWN:
        return value
    return value[:LONGEST_VALUE_SHOWN] + "…"
