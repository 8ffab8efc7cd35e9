"""The organisation as one CSV file: read, compared with what stands, and carried out exactly as
compared. Pure.

A row says where a thing stands from a day on. `kind` is a key of KINDS; `parent` is the legal
entity of a business unit or cost centre, the business unit of a team, the owner team of a feature,
and what an alias means. What a file leaves out stays as it is: nothing is ever removed, so that the
past keeps its owners. docs/ownership.md shows the columns.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from allocation.values.names import name_key, quoted

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
SLUG = re.compile(r"[-a-zA-Z0-9_]{1,50}")
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
    return [kind, *(_safe(value or "") for value in values)]


def _safe(text: str) -> str:
    start = text.strip(INVISIBLE)[:1]
    return f"'{text}" if start and start in FORMULA_STARTS else text


# ---------------------------------------------------------------- reading


@dataclass(frozen=True)
class Problem:
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


def read_rows(text: str) -> tuple[list[Row], list[Problem]]:
    """Every row that can be read, and a problem for every one that can't."""
    reader = csv.reader(io.StringIO(one_newline(text)), strict=True)
    rows: list[Row] = []
    problems: list[Problem] = []
    line = 1
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        if missing := [name for name in ("kind", "id") if name not in header]:
            return [], [Problem(1, f"the header has no column {' and no '.join(missing)}")]
        if unknown := [name for name in header if name not in COLUMNS]:
            return [], [
                Problem(
                    1, f"there is no column {', '.join(unknown)}; there are {', '.join(COLUMNS)}"
                )
            ]
        line = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                try:
                    rows.append(_row(line, header, cells))
                except ValueError as error:
                    problems.append(Problem(line, str(error)))
            line = reader.line_num + 1
    except csv.Error as error:
        problems.append(Problem(line, f"this is no CSV: {error}"))
    return rows, problems


def _row(line: int, header: list[str], cells: list[str]) -> Row:
    if len(cells) > len(header):
        raise ValueError(f"it has {len(cells)} cells, the header has {len(header)}")
    values = {name: _clean(cell) for name, cell in zip(header, cells, strict=False)}
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


def _clean(cell: str) -> str:
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


# ---------------------------------------------------------------- comparing

ADDED, MOVED, RENAMED, REWRITTEN = "added", "moved", "renamed", "rewritten"
ACTIONS = (ADDED, MOVED, RENAMED, REWRITTEN)


@dataclass(frozen=True)
class Change:
    """One difference. `is_past`: it changes what a day before the running month would be told."""

    action: str
    kind: str
    own: str
    line: int
    words: str
    valid_from: date | None = None
    is_past: bool = False


@dataclass(frozen=True)
class Plan:
    """What a file would change. Without problems, `after` is the tree that an apply leaves."""

    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]
    unchanged: int  # rows that say what already stands
    after: Tree
    content_sha256: str
    state_sha256: str

    @property
    def token(self) -> str:
        """What was previewed: this content, against this state. An apply names it."""
        return f"{self.content_sha256[:20]}-{self.state_sha256[:20]}"

    @property
    def rewrites(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.action == REWRITTEN)

    def count(self, action: str) -> int:
        return sum(change.action == action for change in self.changes)


def plan_changes(*, text: str, tree: Tree, today: date) -> Plan:
    """The difference between a file and the tree as it stands, and everything that is wrong with
    the file.
    """
    rows, problems = read_rows(text)
    draft = _Draft(tree, today.replace(day=1))
    for row in sorted(
        rows,
        key=lambda row: (list(KINDS).index(row.kind), row.valid_from or NEVER_BEFORE, row.line),
    ):
        try:
            draft.take(row)
        except ValueError as error:
            problems.append(Problem(row.line, str(error)))
    problems += draft.unknown_references(rows)
    problems += draft.colliding_names()
    return Plan(
        changes=tuple(sorted(draft.changes, key=lambda change: change.line)),
        problems=tuple(sorted(problems, key=lambda problem: (problem.line, problem.text))),
        unchanged=draft.unchanged,
        after=Tree(draft.names, draft.places),
        content_sha256=hashlib.sha256(one_newline(text).encode()).hexdigest(),
        state_sha256=tree.sha256(),
    )


class _Draft:
    """The tree while rows are taken, one kind after the other and in order of time."""

    def __init__(self, tree: Tree, running_month: date) -> None:
        self.tree = tree
        self.running_month = running_month
        self.names = dict(tree.names)
        self.places = {key: dict(timeline) for key, timeline in tree.places.items()}
        self.changes: list[Change] = []
        self.unchanged = 0
        self.named_on: dict[Key, int] = {}
        self.placed_on: dict[tuple[Key, date], int] = {}

    def take(self, row: Row) -> None:
        """Raises ValueError for a row that contradicts itself, another row or what a thing of its
        kind needs.
        """
        is_new = row.key not in self.names
        self._check_needs(row, is_new)
        before = len(self.changes)
        self._take_name(row, is_new)
        if not row.place.is_empty:
            self._take_place(row, is_new)
        self.unchanged += len(self.changes) == before and not is_new

    def _check_needs(self, row: Row, is_new: bool) -> None:
        kind = KINDS[row.kind]
        if is_new and not row.name:
            raise ValueError(f"{kind.words} {row.own} is new, so it needs a name")
        if (
            kind.parent
            and not row.place.parent
            and (not row.place.is_empty or (is_new and not kind.dated))
        ):
            raise ValueError(
                f"a {kind.words} needs a parent, which is a {KINDS[kind.parent].words}"
            )
        if row.valid_from and row.place.is_empty:
            raise ValueError(f"it says from when but not where: a {kind.words} needs a parent")

    def _take_name(self, row: Row, is_new: bool) -> None:
        earlier = self.named_on.get(row.key)
        if (
            row.name
            and earlier is not None
            and self.names[row.key] != row.name
            and not KINDS[row.kind].alias
        ):
            raise ValueError(f"line {earlier} gives {row.own} another name")
        if is_new:
            self.names[row.key] = row.name
            self._note(ADDED, row, f"{row.name}{self._where(row)}")
        elif row.name and row.name != self.names[row.key] and not KINDS[row.kind].alias:
            self._note(RENAMED, row, f"{self.names[row.key]} becomes {row.name}")
            self.names[row.key] = row.name
        if row.name:
            self.named_on[row.key] = row.line

    def _where(self, row: Row) -> str:
        words = [f"{what} {value}" for what, value in _told(row) if value]
        since = f", from {row.valid_from:%-d %B %Y}" if row.valid_from else ""
        return f" ({', '.join(words)}{since})" if words else ""

    def _take_place(self, row: Row, is_new: bool) -> None:
        timeline = self.places.setdefault(row.key, {})
        kind = KINDS[row.kind]
        if kind.dated and row.valid_from is None:
            if is_new or self._newest(row.key) != row.place:
                raise ValueError(
                    f"valid_from is missing: from which day does {row.own} stand there?"
                )
            return
        if kind.rooted and row.valid_from and not timeline:
            raise ValueError(
                f"{row.own} is new: its first row has no valid_from and says where it stands before"
            )
        day = row.valid_from or NEVER_BEFORE
        told = self.placed_on.setdefault((row.key, day), row.line)
        if told != row.line and timeline.get(day) != row.place:
            raise ValueError(f"line {told} puts {row.own} somewhere else on the same day")
        standing = self._standing(row.key, day)
        if standing == row.place and (day not in timeline or timeline[day] == row.place):
            return
        self._note_place(row, is_new, timeline, day, standing)
        timeline[day] = row.place

    def _note_place(
        self, row: Row, is_new: bool, timeline: dict[date, Place], day: date, standing: Place | None
    ) -> None:
        recorded = self.tree.places.get(row.key, {})
        later = [known for known in recorded if known > day]
        if is_new and not timeline:
            return  # told with the addition
        words = f"{self.names[row.key]}: {_difference(row.kind, standing, row.place)}"
        if day in recorded or (standing is not None and later):
            until = f" until {min(later):%-d %B %Y}" if later else ""
            since = f" from {day:%-d %B %Y}{until}" if day != NEVER_BEFORE else ", at any time"
            self._note(REWRITTEN, row, f"{words}{since}, which changes what is recorded")
        elif standing is None and later:
            self._note(ADDED, row, f"{words}, already from {day:%-d %B %Y}")
        else:
            self._note(
                MOVED, row, f"{words}, from {day:%-d %B %Y}" if day != NEVER_BEFORE else words
            )

    def _note(self, action: str, row: Row, words: str) -> None:
        day = row.valid_from or (NEVER_BEFORE if KINDS[row.kind].alias else None)
        is_past = (
            action != RENAMED
            and day is not None
            and day < self.running_month
            and not self._is_first(row)
        )
        self.changes.append(
            Change(
                action,
                row.kind,
                row.own,
                row.line,
                words,
                row.valid_from,
                is_past or action == REWRITTEN,
            )
        )

    def _is_first(self, row: Row) -> bool:
        """A new team or feature has no past that its first place could change; an alias has: names
        told before.
        """
        return row.key not in self.tree.names and not KINDS[row.kind].alias

    def _newest(self, key: Key) -> Place | None:
        timeline = self.places.get(key, {})
        return timeline[max(timeline)] if timeline else None

    def _standing(self, key: Key, day: date) -> Place | None:
        return Tree(self.names, self.places).place_on(key, day)

    # ------------------------------------------------------------ the whole file

    def unknown_references(self, rows: list[Row]) -> Iterator[Problem]:
        for row in rows:
            kind = KINDS[row.kind]
            pairs = [(kind.parent, row.place.parent)]
            pairs += [("cost_center", row.place.cost_center), ("product", row.place.product)]
            for wanted, value in pairs:
                if wanted and value and (wanted, value) not in self.names:
                    yield Problem(row.line, f"there is no {KINDS[wanted].words} {quoted(value)}")

    def colliding_names(self) -> Iterator[Problem]:
        """No two teams, and no two features, may answer to the same name."""
        for alias, kind in ALIAS_OF.items():
            owners: dict[str, str] = {}
            for own in sorted(own for own_kind, own in self.names if own_kind == kind):
                for name in (own, self.names[kind, own]):
                    other = owners.setdefault(name_key(name), own)
                    if other != own and self._concerns((kind, own), (kind, other)):
                        line = (
                            self.named_on.get((kind, own)) or self.named_on.get((kind, other)) or 1
                        )
                        yield Problem(
                            line, f"two {kind}s would be called {quoted(name)}: {other} and {own}"
                        )
            for own_kind, key in self.names:
                meant = (
                    self.places.get((alias, key), {}).get(NEVER_BEFORE)
                    if own_kind == alias
                    else None
                )
                owner = owners.get(key)
                if meant and owner not in (None, meant.parent) and (alias, key) in self.named_on:
                    words = f"{quoted(self.names[alias, key])} is {kind} {owner} itself"
                    line = self.named_on[alias, key]
                    yield Problem(line, f"{words}; say from which day it means {meant.parent}")

    def _concerns(self, *keys: Key) -> bool:
        """The file speaks of one of them: what collided before is not this file's problem."""
        return any(key in self.named_on for key in keys)


def _told(row: Row) -> list[tuple[str, str | None]]:
    parent = KINDS[row.kind].parent
    words = {"business_unit": "in", "legal_entity": "of", "team": "owner", "feature": "means"}
    label = "means" if KINDS[row.kind].alias else words.get(parent or "", "")
    return [
        (label, row.place.parent),
        ("cost centre", row.place.cost_center),
        ("product", row.place.product),
    ]


def _difference(kind: str, before: Place | None, after: Place) -> str:
    """ "parent commerce to engineering, cost centre 4100 to 5100"."""
    parent = KINDS[KINDS[kind].parent or kind].words if not KINDS[kind].alias else "meaning"
    labels = {"parent": parent, "cost_center": "cost centre", "sla": "SLA"}
    parts = []
    for name in ("parent", "cost_center", "product", "mode", "criticality", "sla"):
        old, new = getattr(before, name) if before else None, getattr(after, name)
        if old != new:
            parts.append(f"{labels.get(name, name)} {old or 'none'} to {new or 'none'}")
    return ", ".join(parts)
