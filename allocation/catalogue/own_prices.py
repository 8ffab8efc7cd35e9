"""The organisation's own prices from CSV: of what no list knows, or in its place. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Final

from allocation.catalogue.canonical import CLASS_COLUMNS
from allocation.catalogue.price_list import CALLS, TOKEN_CLASSES, PriceLine
from allocation.catalogue.price_list import TIERS as LISTED_TIERS
from allocation.catalogue.price_sources import OWN, SourcedLine, source_name
from allocation.catalogue.vocabulary import canonical_provider
from allocation.values.names import quoted

COLUMNS = ("provider", "model", "valid_from", "tier", "class", "usd_per_million")
OVERRIDES = "overrides"  # a column that may be left out: yes where the package's price gives way
MOST_ENTRIES = 10_000
LONGEST_TEXT = 300
GENERAL: Final = ("", "standard", "default")
TIERS: Final = sorted({*(tier for tier in LISTED_TIERS if tier), "provisioned"} - {"standard"})
CLASSES: Final[dict[str, tuple[str, ...]]] = {
    **{name: (name,) for name in (*TOKEN_CLASSES, CALLS)},
    **CLASS_COLUMNS,
}
NUMBER: Final = re.compile(r"\d{1,9}(\.\d{1,40})?", re.ASCII)
PROBLEMS_SHOWN = 50


class PriceFileError(ValueError):
    """The file cannot be used; `problems` names each line or key and what is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems[:PROBLEMS_SHOWN]
        if len(problems) > PROBLEMS_SHOWN:
            self.problems.append(f"and {len(problems) - PROBLEMS_SHOWN:,} more")


def read_own_prices(text: str) -> list[SourcedLine]:
    """The prices of CSV text; raises PriceFileError with every problem found, each with its
    line.
    """
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff"), newline=""), strict=True)
    rows: list[tuple[int, list[SourcedLine]]] = []
    problems: list[str] = []
    try:
        header = [name.strip().lower() for name in reader.fieldnames or ()]
        if sorted({*header} - {OVERRIDES}) != sorted(COLUMNS) or len({*header}) != len(header):
            raise PriceFileError(
                [f"line 1: the columns are {', '.join(COLUMNS)}, and {OVERRIDES} if you like"]
            )
        reader.fieldnames = header
        for row in reader:
            number = reader.line_num
            if number > MOST_ENTRIES + 1:
                raise PriceFileError([f"line {number}: more than {MOST_ENTRIES:,} entries"])
            try:
                rows.append((number, own_lines(row)))
            except ValueError as error:
                problems.append(f"line {number}: {error}")
    except csv.Error as error:
        problems.append(f"line {reader.line_num}: {error}")
    if problems:
        raise PriceFileError(problems)
    return without_doubles(rows)


def without_doubles(rows: list[tuple[int, list[SourcedLine]]]) -> list[SourcedLine]:
    """Each price once: a row of cache_write_1h comes before what one of cache_write says of it."""
    found: dict[tuple[object, ...], tuple[int, SourcedLine]] = {}
    problems = []
    for width, key, number, each in sorted(
        ((len(lines), _key(each.line), number, each) for number, lines in rows for each in lines),
        key=lambda told: (told[0], told[2]),
    ):
        first, known = found.setdefault((*key,), (number, each))
        if known is not each and width == 1:
            problems.append(f"line {number}: the same price stands in line {first}")
    if problems:
        raise PriceFileError(problems)
    return [each for _, each in found.values()]


def _key(line: PriceLine) -> tuple[object, ...]:
    return line.provider, line.model, line.tier, line.token_class, line.valid_from


def own_lines(row: Mapping[str, str | None]) -> list[SourcedLine]:
    """The lines of one row; several where its class is written in several ways (cache_write)."""
    if None in row or None in row.values():
        raise ValueError("it has more or fewer cells than the header")
    cells = {name: (value or "").strip() for name, value in row.items()}
    for name in ("provider", "model"):
        if not cells[name] or len(cells[name]) > LONGEST_TEXT or "\0" in cells[name]:
            raise ValueError(f"{name} is a text of 1 to {LONGEST_TEXT} characters")
    line = PriceLine(
        canonical_provider(cells["provider"]),
        cells["model"].lower(),
        _tier(cells["tier"].lower()),
        "",
        0,
        None,
        None,
        _day(cells["valid_from"]),
        _price(cells["usd_per_million"]),
    )
    overrides = _yes(cells.get(OVERRIDES, "").lower())
    return [
        SourcedLine(OWN, source_name(OWN, None), _of_class(line, name), overrides)
        for name in _columns(cells["class"].lower())
    ]


def _of_class(line: PriceLine, token_class: str) -> PriceLine:
    return PriceLine(
        line.provider, line.model, line.tier, token_class, 0, None, None, line.valid_from,
        line.per_million,
    )  # fmt: skip


def _tier(text: str) -> str | None:
    if text in GENERAL:
        return None
    if text not in TIERS:
        raise ValueError(f"tier is empty or one of {', '.join(TIERS)}, not {quoted(text)}")
    return text


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ValueError(f"valid_from is a day like 2026-07-01, not {quoted(text)}") from None


def _price(text: str) -> Decimal:
    if not NUMBER.fullmatch(text):
        raise ValueError(f"usd_per_million is a number like 2.50, not {quoted(text)}")
    return Decimal(text)


def _yes(text: str) -> bool:
    if text not in ("", "yes", "no"):
        raise ValueError(f"{OVERRIDES} is yes, no or empty, not {quoted(text)}")
    return text == "yes"


def _columns(text: str) -> tuple[str, ...]:
    if text not in CLASSES:
        raise ValueError(f"class is one of {', '.join(CLASSES)}, not {quoted(text)}")
    return CLASSES[text]
