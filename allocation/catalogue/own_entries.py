"""The organisation's own catalogue: versions of entries that are asked before the built-in wording;
CSV in and out.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction

from allocation.catalogue.canonical import CLASS_COLUMNS
from allocation.catalogue.entries import BILL, SIDES, TIERS, UNIT, Entries, Entry, compiled
from allocation.models import CatalogueEntry, CatalogueVersion
from allocation.values.names import quoted

COLUMNS = Entry._fields
LATER_COLUMNS = frozenset({"tokens"})  # a file may come without them
TOKENS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?")
MOST_ENTRIES = 10_000
LONGEST_TEXT = 500


class CatalogueError(ValueError):
    """The entries cannot be used; `problems` names each line and what is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class OwnCatalogue:
    """The version in force; number 0 without entries while there is none."""

    number: int
    sha256: str
    entries: Entries


def own_catalogue() -> OwnCatalogue:
    version = CatalogueVersion.objects.order_by("-number").first()
    if version is None:
        return OwnCatalogue(0, sha256_of(()), ())
    rows = version.entries.order_by("position").values_list(*COLUMNS)
    return OwnCatalogue(version.number, version.content_sha256, tuple(Entry(*row) for row in rows))


def drafted(text: str) -> OwnCatalogue:
    """A catalogue that is not in force, from its CSV text; raises CatalogueError."""
    entries = read_catalogue(text)
    return OwnCatalogue(0, sha256_of(entries), entries)


def catalogue_csv(entries: Entries) -> str:
    """The entries as CSV text, in order, under a header; nothing where an entry has no value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([value or "" for value in entry] for entry in entries)
    return out.getvalue()


def sha256_of(entries: Entries) -> str:
    return hashlib.sha256(catalogue_csv(entries).encode()).hexdigest()


def read_catalogue(text: str) -> Entries:
    """The entries of CSV text; raises CatalogueError with every problem found, each with its
    line.
    """
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff")), strict=True)
    entries: list[Entry] = []
    problems: list[str] = []
    try:
        named = reader.fieldnames or ()
        if sorted({*named, *LATER_COLUMNS}) != sorted(COLUMNS) or len(set(named)) < len(named):
            raise CatalogueError([f"line 1: the columns are {', '.join(COLUMNS)}"])
        for row in reader:
            if len(entries) == MOST_ENTRIES:
                raise CatalogueError([f"line {reader.line_num}: more than {MOST_ENTRIES} entries"])
            try:
                entries.append(_entry(row))
            except ValueError as error:
                problems.append(f"line {reader.line_num}: {error}")
    except csv.Error as error:
        problems.append(f"line {reader.line_num}: {error}")
    if problems:
        raise CatalogueError(problems)
    return tuple(entries)


def _entry(row: dict[str, str | None]) -> Entry:
    if None in row or None in row.values():
        raise ValueError(f"it needs {len(row.keys() - {None})} cells")
    values = {name: (value or "").strip() or None for name, value in row.items()}
    entry = Entry(**{name: values.get(name) for name in COLUMNS})  # type: ignore[arg-type]
    if any(len(value) > LONGEST_TEXT or "\0" in value for value in values.values() if value):
        raise ValueError(f"a cell has at most {LONGEST_TEXT} characters, and no NUL")
    if any(value[0] in "=+-@\t\r" for value in values.values() if value):
        raise ValueError(
            "no cell starts with = + - or @, which spreadsheets take for a formula; write [=] in a "
            "pattern"
        )
    if entry.side not in SIDES:
        raise ValueError(f"side is {', '.join(SIDES)}, not {quoted(entry.side)}")
    if entry.pattern is None:
        raise ValueError("it needs a pattern")
    compiled(entry.pattern)
    _check_meaning(entry)
    return entry


def _check_meaning(entry: Entry) -> None:
    means = any((entry.provider, entry.model, entry.token_class, entry.tier))
    if entry.side == UNIT:
        is_number = entry.tokens is not None and TOKENS.fullmatch(entry.tokens)
        if means or not is_number or not Decimal(entry.tokens or 0):
            raise ValueError("of a unit, tokens says how many one of it is, and nothing else")
        return
    if entry.tokens is not None:
        raise ValueError(f"tokens is for side {UNIT} only")
    if not means:
        raise ValueError("it needs a meaning: provider, model, token_class or tier")
    if entry.token_class is not None and (
        entry.side != BILL or entry.token_class not in CLASS_COLUMNS
    ):
        raise ValueError(
            f"token_class is, on bills only, one of {', '.join(CLASS_COLUMNS)}, not "
            f"{quoted(entry.token_class)}"
        )
    if entry.tier is not None and entry.tier not in TIERS:
        raise ValueError(f"tier is one of {', '.join(TIERS)}, not {quoted(entry.tier)}")


def apply_catalogue(
    *, entries: Entries, acting_user: str | None, note: str = ""
) -> tuple[CatalogueVersion | None, bool]:
    """The new version and True; the one in force (None: none yet) and False where its entries are
    the same.
    """
    digest = sha256_of(entries)
    with transaction.atomic():
        latest = CatalogueVersion.objects.select_for_update().order_by("-number").first()
        if digest == (latest.content_sha256 if latest else sha256_of(())):
            return latest, False
        made = CatalogueVersion.objects.create(
            number=latest.number + 1 if latest else 1,
            content_sha256=digest,
            created_by=acting_user,
            note=note,
        )
        CatalogueEntry.objects.bulk_create(
            [
                CatalogueEntry(version=made, position=n, **entry._asdict())
                for n, entry in enumerate(entries, 1)
            ]
        )
    return made, True
