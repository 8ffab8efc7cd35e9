"""What can be wrong with a delivered bill: the whole file, or one value of one row."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from allocation.models import Import, RejectedRow
from allocation.values.names import quoted
from portal.errors import Refused


class BillRefused(Refused):
    """The file is not loaded and nothing that was there before changes. The text says what, where
    and what to do.
    """


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why one row is not loaded. `line` is the line of the delivered file on which the
    row starts, `file` its name in a delivery of several.
    """

    line: int
    column: str | None
    value: str | None
    reason: str
    file: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As answers tell it, and as a rejected row keeps it."""
        told = asdict(self)
        if self.file is None:
            del told["file"]
        return told

    def __str__(self) -> str:
        file = f"{self.file}, " if self.file else ""
        column = f", column {self.column}" if self.column else ""
        value = "" if self.value is None else f", value {quoted(self.value)}"
        return f"{file}line {self.line}{column}{value}: {self.reason}"


@dataclass(slots=True)
class ProblemCount:
    """How often one column has one problem, and where first."""

    first: Problem
    count: int = 0

    def __str__(self) -> str:
        column = f"{self.first.column}: " if self.first.column else ""
        value = "" if self.first.value is None else f", {quoted(self.first.value)}"
        file = f"{self.first.file}, " if self.first.file else ""
        return (
            f"{self.count:,} x {column}{self.first.reason} (first in {file}line {self.first.line}"
            f"{value})"
        )

    def to_json(self) -> dict[str, Any]:
        return {"count": self.count, "first": self.first.to_json()}


@dataclass(slots=True)
class ProblemCounts:
    """Problems by column and reason."""

    counts: dict[tuple[str | None, str], ProblemCount] = field(default_factory=dict)

    def add(self, first: Problem, count: int = 1) -> None:
        known = self.counts.setdefault((first.column, first.reason), ProblemCount(first))
        known.count += count

    def most(self, limit: int) -> list[ProblemCount]:
        """The most frequent first."""
        return sorted(self.counts.values(), key=lambda each: -each.count)[:limit]

    def __str__(self) -> str:
        shown = "; ".join(map(str, self.most(REASONS_SHOWN)))
        more = len(self.counts) - REASONS_SHOWN
        return f"{shown}; and {more} more reasons" if more > 0 else shown


REASONS_SHOWN = 5
LONGEST_VALUE_SHOWN = 200


def shown(value: str | None) -> str | None:
    """The value as it is kept for the list of rejected rows: cut to a length that a page can
    hold.
    """
    if value is None or len(value) <= LONGEST_VALUE_SHOWN:
        return value
    return value[:LONGEST_VALUE_SHOWN] + "…"


BATCH = 1000


def keep_rejected(bill_import: Import, problems: Iterable[Problem]) -> None:
    RejectedRow.objects.bulk_create(
        (RejectedRow(bill_import=bill_import, **each.to_json()) for each in problems),
        batch_size=BATCH,
    )


# Enough for any price list (2e-9 USD per token has 9), and a million rows of 15 + 38 digits still
# sum in 60 digits.
MAX_DECIMALS = 38
MAX_NUMBER_LENGTH = 100
MAX_EXPONENT = 200
COST_LIMIT = Decimal(10) ** 15
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE](-?[0-9]+))?", re.ASCII)
TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})([T ])(\d{2}:\d{2}(?::\d{2})?)(\.\d{1,9})?(Z|\+00:00|)", re.ASCII
)
SPREADSHEET_TIME = re.compile(
    r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}( \d{1,2}:\d{2}(:\d{2})?( ?[AP]M)?)?", re.ASCII
)
CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
NULL_WORDS = frozenset({"NULL", "null", "Null"})


@dataclass(frozen=True, slots=True)
class ReadCell:
    """What a delivered text was read as: a value (None is null), the repair that took, or the
    reason it can't be.
    """

    value: str | None
    repair: str | None = None
    reason: str | None = None
    micros: int = 0  # times only: microseconds since 1970


NULL_TEXT = ReadCell(None, repair="null_text")


def read_number(text: str) -> ReadCell:
    """The exact decimal, in plain notation. Only FOCUS's own form passes; nothing is guessed from a
    locale.
    """
    if text in NULL_WORDS:
        return NULL_TEXT
    found = NUMBER.fullmatch(text)
    if not found or len(text) > MAX_NUMBER_LENGTH:
        return ReadCell(None, reason=_number_hint(text))
    if abs(int(found[1] or 0)) > MAX_EXPONENT:
        return ReadCell(
            None, reason="out of range: at most 15 digits before the point and 38 after it"
        )
    number = Decimal(text)  # exact: the constructor does not round
    if number.copy_abs() >= COST_LIMIT:  # abs() would round to the context
        return ReadCell(None, reason="out of range: amounts stay below 1e15 either side of zero")
    plain = format(number, "f")
    if "." in plain and len(plain.rpartition(".")[2]) > MAX_DECIMALS:
        plain = plain.rstrip("0")
        if len(plain.rpartition(".")[2]) > MAX_DECIMALS:
            return ReadCell(
                None,
                reason=(
                    f"more than {MAX_DECIMALS} digits after the point, which would have to be "
                    "rounded"
                ),
            )
    return ReadCell(plain.rstrip(".") if plain.endswith(".") else plain)


SPREADSHEET = "the file was re-saved by a spreadsheet, so deliver the export as it came"
NUMBER_HINTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^\s|\s$"), "remove the spaces around it"),
    (
        re.compile(r"^\s*\(.*\)\s*$"),
        "write a negative amount with a minus sign, not in parentheses",
    ),
    (re.compile(r"\+"), "leave out the plus sign"),
    (re.compile(r","), "write 1234.50, with a decimal point and without thousands separators"),
    (re.compile(r"_"), "leave out the underscores"),
    (re.compile(r"[$€£¥]|\b[A-Za-z]{3}\b"), "leave out the currency, it has a column of its own"),
    (re.compile(r"^\s*\(?-?[$€£¥]\s?[0-9]{1,3}(,[0-9]{3})*\.[0-9]{2}\)?\s*$"), SPREADSHEET),
)


def _number_hint(text: str) -> str:
    """All that is wrong with the text."""
    if not text.isascii():
        return "not a number: only the ASCII digits 0-9 are read"
    if len(text) > MAX_NUMBER_LENGTH:
        return f"not a number that can be kept: longer than {MAX_NUMBER_LENGTH} characters"
    if text.lower().strip().lstrip("+-") in ("nan", "snan", "inf", "infinity"):
        return "not a number: a cost must be finite"
    hints = [hint for pattern, hint in NUMBER_HINTS if pattern.search(text)]
    usual = "digits, an optional minus sign, a decimal point or E notation (1.5E-7) are read"
    return f"not a number: {'; '.join(hints) or usual}"


def read_time(text: str) -> ReadCell:
    """The instant in UTC as `2026-09-01T00:00:00Z`. A time without a zone is taken as UTC, a
    counted repair.
    """
    if text in NULL_WORDS:
        return NULL_TEXT
    found = TIME.fullmatch(text)
    if not found:
        return ReadCell(None, reason=_time_hint(text))
    day, separator, clock, fraction, zone = found.groups()
    if fraction and fraction[7:].strip("0"):
        return ReadCell(
            None, reason="more precise than a microsecond, which would have to be rounded"
        )
    try:
        instant = datetime.fromisoformat(f"{day}T{clock}{(fraction or '')[:7]}").replace(tzinfo=UTC)
    except ValueError as error:
        return ReadCell(None, reason=f"no such date and time: {error}")
    if not 1970 <= instant.year <= 2199:
        return ReadCell(None, reason="outside the years 1970 to 2199")
    is_iso = separator == "T" and zone == "Z"
    return ReadCell(
        instant.isoformat().replace("+00:00", "Z"),
        repair=None if is_iso else ("time_zone_written_as_offset" if zone else "time_without_zone"),
        micros=(instant - EPOCH) // timedelta(microseconds=1),
    )


def _time_hint(text: str) -> str:
    if re.fullmatch(r"\d{10,16}", text, re.ASCII):
        return "a count of seconds since 1970, not a date; write 2026-09-01T00:00:00Z"
    if SPREADSHEET_TIME.fullmatch(text):
        return f"not written as 2026-09-01T00:00:00Z: {SPREADSHEET}"
    if re.search(r"[+-]\d{2}:?\d{2}$", text, re.ASCII):
        return "not in UTC; convert it and write 2026-09-01T00:00:00Z"
    return "not an ISO 8601 time in UTC such as 2026-09-01T00:00:00Z"


def read_currency(text: str) -> ReadCell:
    if text in NULL_WORDS:
        return NULL_TEXT
    if not CURRENCY.fullmatch(text):
        return ReadCell(None, reason="not an ISO 4217 currency code such as USD")
    return ReadCell(text)


def read_text(text: str) -> ReadCell:
    return NULL_TEXT if text in NULL_WORDS else ReadCell(text)
