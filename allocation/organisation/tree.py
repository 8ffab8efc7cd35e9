"""The organisation as a value: names, and where each thing stands from which day on. Pure.

`kind` is a key of KINDS; `parent` is the legal entity of a business unit or cost centre, the
business unit of a team, the owner team of a feature, and what an alias means.
"""

from __future__ import annotations

import csv
import hashlib
import io
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

COLUMNS = (
    "kind",
    "id",
    "name",
    "parent",
    "cost_center",
    "product",
    "mode",
    "criticality",
    "sla",
    "valid_from",
)
MODES = ("showback", "chargeback")
NEVER_BEFORE = date.min  # where "always" sorts: an undated row stands from the beginning
# A cell that a spreadsheet would run is written with an apostrophe.
FORMULA_STARTS = "=+-@\uff1d\uff0b\uff0d\uff20"
INVISIBLE = " \t\r\n\u00a0\u200b\u3000\ufeff"  # what it may skip before


@dataclass(frozen=True)
class Kind:
    """`columns` it uses besides kind, id and name; `dated`: its rows need a valid_from; `alias`:
    its id is any text; `rooted`: its first place is from the beginning, only later ones have a
    valid_from.
    """

    words: str
    columns: tuple[str, ...] = ()
    parent: str | None = None
    dated: bool = False
    alias: bool = False
    rooted: bool = False


KINDS: Mapping[str, Kind] = {
    "legal_entity": Kind("legal entity"),
    "business_unit": Kind("business unit", ("parent", "valid_from"), "legal_entity", rooted=True),
    "cost_center": Kind(
        "cost centre", ("parent", "mode", "valid_from"), "legal_entity", rooted=True
    ),
    "team": Kind("team", ("parent", "cost_center", "valid_from"), "business_unit", dated=True),
    "product": Kind("product"),
    "feature": Kind(
        "feature", ("parent", "product", "criticality", "sla", "valid_from"), "team", dated=True
    ),
    "team_alias": Kind("team alias", ("parent", "valid_from"), "team", alias=True),
    "feature_alias": Kind("feature alias", ("parent", "valid_from"), "feature", alias=True),
}
ALIAS_OF = {"team_alias": "team", "feature_alias": "feature"}

Key = tuple[str, str]  # kind, id; of an alias its name key


@dataclass(frozen=True)
class Place:
    """Where a thing stands. Values that its kind has no column for stay None."""

    parent: str | None = None
    cost_center: str | None = None
    product: str | None = None
    mode: str | None = None
    criticality: str | None = None
    sla: str | None = None  # yes, no

    @property
    def is_empty(self) -> bool:
        return self == Place()


@dataclass(frozen=True)
class Tree:
    """Names, and places by the day they are valid from (NEVER_BEFORE: always). Equal trees give
    equal `csv_text`.
    """

    names: Mapping[Key, str] = field(default_factory=dict)
    places: Mapping[Key, Mapping[date, Place]] = field(default_factory=dict)

    def ids(self, kind: str) -> list[str]:
        return sorted(own for own_kind, own in self.names if own_kind == kind)

    def place_on(self, key: Key, day: date) -> Place | None:
        """None before its first place."""
        timeline = self.places.get(key, {})
        days = sorted(timeline)
        index = bisect_right(days, day)
        return timeline[days[index - 1]] if index else None

    def csv_text(self) -> str:
        """The whole tree as the file that `read_rows` reads; one row per thing and place."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        for kind in KINDS:
            for own in self.ids(kind):
                for day, place in sorted(self.places.get((kind, own), {}).items()) or [
                    (NEVER_BEFORE, Place())
                ]:
                    writer.writerow(_cells(kind, own, self.names[kind, own], place, day))
        return out.getvalue()

    def sha256(self) -> str:
        return hashlib.sha256(self.csv_text().encode()).hexdigest()


def _cells(kind: str, own: str, name: str, place: Place, day: date) -> list[str]:
    is_alias = KINDS[kind].alias
    values = [
        name if is_alias else own,
        "" if is_alias else name,
        place.parent,
        place.cost_center,
        place.product,
    ]
    values += [
        place.mode,
        place.criticality,
        place.sla,
        "" if day == NEVER_BEFORE else day.isoformat(),
    ]
    return [kind, *(safe_cell_text(value or "") for value in values)]


def safe_cell_text(text: str) -> str:
    """The text, which no spreadsheet reads as a formula."""
    start = text.strip(INVISIBLE)[:1]
    return f"'{text}" if start and start in FORMULA_STARTS else text
