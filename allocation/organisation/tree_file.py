"""The organisation as one CSV file: rows, and what is wrong with one. Pure.

A row says where a thing stands from a day on. docs/ownership.md shows the columns.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import date

from allocation.organisation.tree import (
    COLUMNS,
    FORMULA_STARTS,
    INVISIBLE,
    KINDS,
    MODES,
    Key,
    Place,
)
from allocation.values.names import name_key, quoted

SLUG = re.compile(r"[-a-zA-Z0-9_]{1,50}")


@dataclass(frozen=True)
class TreeProblem:
    """What can't be used, on which line of the file (1 is the header)."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}"


@dataclass(frozen=True)
class Row:
    line: int
    kind: str
    own: str  # id; of an alias its name key
    name: str  # "" leaves the name as it is
    place: Place
    valid_from: date | None

    @property
    def key(self) -> Key:
        return self.kind, self.own


def one_newline(text: str) -> str:
    """The text with the line ends that forms and spreadsheets change made the same, and no byte
    order mark.
    """
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def read_rows(text: str) -> tuple[list[Row], list[TreeProblem]]:
    """Every row that can be read, and a problem for every one that can't."""
    reader = csv.reader(io.StringIO(one_newline(text)), strict=True)
    rows: list[Row] = []
    problems: list[TreeProblem] = []
    line = 1
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        if missing := [name for name in ("kind", "id") if name not in header]:
            return [], [TreeProblem(1, f"the header has no column {' and no '.join(missing)}")]
        if unknown := [name for name in header if name not in COLUMNS]:
            return [], [
                TreeProblem(
                    1, f"there is no column {', '.join(unknown)}; there are {', '.join(COLUMNS)}"
                )
            ]
        line = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                try:
                    rows.append(_row(line, header, cells))
                except ValueError as error:
                    problems.append(TreeProblem(line, str(error)))
            line = reader.line_num + 1
    except csv.Error as error:
        problems.append(TreeProblem(line, f"this is no CSV: {error}"))
    return rows, problems


def _row(line: int, header: list[str], cells: list[str]) -> Row:
    if len(cells) > len(header):
        raise ValueError(f"it has {len(cells)} cells, the header has {len(header)}")
    values = {name: clean_cell(cell) for name, cell in zip(header, cells, strict=False)}
    kind_name = values.get("kind", "").lower()
    kind = KINDS.get(kind_name)
    if kind is None:
        raise ValueError(f"kind is one of {', '.join(KINDS)}, not {quoted(values.get('kind', ''))}")
    own = values.get("id", "")
    if not own:
        raise ValueError("it has no id")
    if not kind.alias and kind_name != "cost_center" and not SLUG.fullmatch(own):
        raise ValueError(
            f"an id has up to 50 letters, digits, hyphens and underscores, not {quoted(own)}"
        )
    if kind.alias and not name_key(own):
        raise ValueError(f"{quoted(own)} is no name")
    odd = [name for name in COLUMNS[3:] if values.get(name) and name not in kind.columns]
    if odd:
        raise ValueError(f"a {kind.words} has no {', '.join(odd)}")
    place = Place(
        parent=values.get("parent") or None,
        cost_center=values.get("cost_center") or None,
        product=values.get("product") or None,
        mode=_one_of("mode", values.get("mode", ""), MODES),
        criticality=values.get("criticality") or None,
        sla=_one_of("sla", values.get("sla", ""), ("yes", "no")),
    )
    if kind_name == "feature" and not place.is_empty:
        place = replace(place, sla=place.sla or "no")
    if kind_name == "cost_center":
        place = replace(place, mode=place.mode or MODES[0])
    name = own if kind.alias else values.get("name", "")
    return Row(
        line=line,
        kind=kind_name,
        own=name_key(own) if kind.alias else own,
        name=name,
        place=place,
        valid_from=_day(values.get("valid_from", "")),
    )


def clean_cell(cell: str) -> str:
    """A cell in one Unicode form, with single spaces, without the sign of `safe_cell_text`."""
    text = " ".join(unicodedata.normalize("NFC", cell).split())
    start = text[1:].strip(INVISIBLE)[:1]
    return text[1:] if text.startswith("'") and start and start in FORMULA_STARTS else text


def _one_of(column: str, value: str, words: tuple[str, ...]) -> str | None:
    if value and value.lower() not in words:
        raise ValueError(f"{column} is {' or '.join(words)}, not {quoted(value)}")
    return value.lower() or None


def _day(value: str) -> date | None:
    if not value:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError(f"valid_from is a day such as 2026-10-15, not {quoted(value)}") from None
