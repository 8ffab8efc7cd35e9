"""Rows of a small CSV file, read strictly: UTF-8, the columns that are told, every bad cell named
by its line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from allocation.values.names import quoted
from portal.errors import Refused
from portal.ingest.problems import CURRENCY, Problem, read_number, read_time, shown

MOST_BYTES = 32 << 20
LONGEST_TEXT = 300
LONGEST_FIELD = 10_000


class Bad(ValueError):
    """Why one value can't be read."""


Reader = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class FileColumn:
    """`needed`: no row may leave it empty. `optional`: the file may lack the column; its values are
    then None.
    """

    name: str
    read: Reader
    needed: bool = False
    optional: bool = True


@dataclass(frozen=True, slots=True)
class FileLine:
    """One row by column name, on the line of the file where it starts."""

    number: int
    values: dict[str, Any]


@dataclass(slots=True)
class Problems:
    """What is wrong with a file's rows; a file with any is refused as a whole."""

    found: list[Problem] = field(default_factory=list)

    def add(self, line: int, column: str | None, value: object, reason: str) -> None:
        self.found.append(
            Problem(line, column, shown(None if value is None else str(value)), reason)
        )


def read_table(content: bytes, columns: Sequence[FileColumn], problems: Problems) -> list[FileLine]:
    """The rows without a problem; raises Refused for what is wrong with the file as a whole."""
    rows = records(decoded(content))
    try:
        _, names = next(rows)
    except StopIteration:
        raise Refused("the file is empty; nothing was replaced") from None
    places = header(names, columns)
    lines = []
    for number, cells in rows:
        if len(cells) != len(names):
            problems.add(
                number,
                None,
                ",".join(cells),
                f"{len(cells)} cells, where the header has {len(names)}",
            )
            continue
        before = len(problems.found)
        values = {column.name: cell(column, number, cells, places, problems) for column in columns}
        if len(problems.found) == before:
            lines.append(FileLine(number, values))
    return lines


def decoded(content: bytes) -> str:
    """The text without a byte order mark; raises Refused with the place of what is no UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Refused(
            f"line {line}: byte {error.start} is not UTF-8; save the file as CSV in UTF-8. Nothing "
            "was replaced"
        ) from None


def records(text: str) -> Iterator[tuple[int, list[str]]]:
    """(line on which it starts, cells) of each row; blank lines are passed over."""
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_FIELD))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    start = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise Refused(f"line {start}: this is no CSV ({error}); nothing was replaced") from None
        if cells and cells != [""]:
            yield start, cells
        start = reader.line_num + 1


def header(names: Sequence[str], columns: Sequence[FileColumn]) -> dict[str, int]:
    """Where each column stands; raises Refused for one that is unknown, twice or missing."""
    known = {column.name for column in columns}
    places: dict[str, int] = {}
    for place, told in enumerate(names):
        name = told.strip().lower()
        if name not in known:
            raise Refused(
                f"line 1: the column {quoted(told)} is not known; the file has "
                f"{', '.join(c.name for c in columns)}"
            )
        if name in places:
            raise Refused(f"line 1: the column {name} stands twice; nothing was replaced")
        places[name] = place
    missing = [
        column.name for column in columns if not column.optional and column.name not in places
    ]
    if missing:
        raise Refused(
            f"line 1: the file lacks the column {', '.join(missing)}; nothing was replaced"
        )
    return places


def cell(
    column: FileColumn,
    number: int,
    cells: Sequence[str],
    places: dict[str, int],
    problems: Problems,
) -> Any:
    text = cells[places[column.name]] if column.name in places else ""
    if not text.strip():
        if column.needed:
            problems.add(number, column.name, None, "missing")
        return None
    try:
        return column.read(text)
    except Bad as error:
        problems.add(number, column.name, text, str(error))
        return None


# ---------------------------------------------------------------- values


def name_text(text: str) -> str:
    """A name without spaces around it."""
    name = text.strip()
    if len(name) > LONGEST_TEXT:
        raise Bad(f"longer than {LONGEST_TEXT} characters")
    if not name.isprintable():
        raise Bad("holds a control character")
    return name


def quantity(text: str) -> Decimal:
    """An exact number of zero or more, in plain or E notation."""
    if text.lower().lstrip("+-") in ("nan", "snan", "inf", "infinity"):
        raise Bad("not a number: a quantity is finite")
    found = read_number(text)
    if found.value is None:
        raise Bad(found.reason or "missing: write 0 for nothing, or leave the row out")
    number = Decimal(found.value)
    if number < 0:
        raise Bad("negative: a quantity is zero or more")
    return abs(number)  # "-0"


def whole_number(text: str) -> Decimal:
    number = quantity(text)
    if number != number.to_integral_value():
        raise Bad("not a whole number")
    return number


def positive(text: str) -> Decimal:
    number = quantity(text)
    if not number:
        raise Bad("zero: a rate is more than nothing")
    return number


def day(text: str) -> date:
    try:
        if len(text) != 10:
            raise ValueError
        return checked_year(date.fromisoformat(text))
    except ValueError:
        raise Bad("not a day such as 2026-10-14") from None


def month(text: str) -> date:
    try:
        if len(text) != 7:
            raise ValueError
        return checked_year(date.fromisoformat(f"{text}-01"))
    except ValueError:
        raise Bad("not a month such as 2026-10") from None


def checked_year(found: date) -> date:
    if not 1970 <= found.year <= 2199:
        raise ValueError
    return found


def hour(text: str) -> datetime:
    """The start of an hour in UTC; a time without a zone is taken as UTC, as on bills."""
    found = read_time(text)
    if found.value is None:
        raise Bad(found.reason or "missing")
    if found.micros % 3_600_000_000:
        raise Bad("not the start of an hour, such as 2026-10-14T09:00:00Z")
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=found.micros)


def truth(text: str) -> bool:
    words = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
    try:
        return words[text.strip().lower()]
    except KeyError:
        raise Bad("not true or false") from None


def currency(text: str) -> str:
    if not CURRENCY.fullmatch(text.strip()):
        raise Bad("not an ISO 4217 currency code such as USD")
    return text.strip()


def one_of(*words: str) -> Reader:
    def read(text: str) -> str:
        word = text.strip().lower()
        if word not in words:
            raise Bad(f"not one of {', '.join(words)}")
        return word

    return read
