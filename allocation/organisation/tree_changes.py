"""What a file would change of the organisation, and everything that is wrong with it. Pure.

What a file leaves out stays as it is: nothing is ever removed, so that the past keeps its owners.
A plan is carried out exactly as it was compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from allocation.organisation.tree import ALIAS_OF, KINDS, NEVER_BEFORE, Key, Place, Tree
from allocation.organisation.tree_file import Row, TreeProblem, one_newline, read_rows
from allocation.values.names import name_key, quoted

ADDED, MOVED, RENAMED, REWRITTEN = "added", "moved", "renamed", "rewritten"
ACTIONS = (ADDED, MOVED, RENAMED, REWRITTEN)


@dataclass(frozen=True)
class TreeChange:
    """One difference. `is_past`: it changes what a day before the running month would be told."""

    action: str
    kind: str
    own: str
    line: int
    words: str
    valid_from: date | None = None
    is_past: bool = False


@dataclass(frozen=True)
class TreePlan:
    """What a file would change. Without problems, `after` is the tree that an apply leaves."""

    changes: tuple[TreeChange, ...]
    problems: tuple[TreeProblem, ...]
    unchanged: int  # rows that say what already stands
    after: Tree
    content_sha256: str
    state_sha256: str

    @property
    def token(self) -> str:
        """What was previewed: this content, against this state. An apply names it."""
        return f"{self.content_sha256[:20]}-{self.state_sha256[:20]}"

    @property
    def rewrites(self) -> tuple[TreeChange, ...]:
        return tuple(change for change in self.changes if change.action == REWRITTEN)

    def count(self, action: str) -> int:
        return sum(change.action == action for change in self.changes)


def plan_changes(*, text: str, tree: Tree, today: date) -> TreePlan:
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
            problems.append(TreeProblem(row.line, str(error)))
    problems += draft.unknown_references(rows)
    problems += draft.colliding_names()
    return TreePlan(
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
        self.changes: list[TreeChange] = []
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
            TreeChange(
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

    def unknown_references(self, rows: list[Row]) -> Iterator[TreeProblem]:
        for row in rows:
            kind = KINDS[row.kind]
            pairs = [(kind.parent, row.place.parent)]
            pairs += [("cost_center", row.place.cost_center), ("product", row.place.product)]
            for wanted, value in pairs:
                if wanted and value and (wanted, value) not in self.names:
                    yield TreeProblem(
                        row.line, f"there is no {KINDS[wanted].words} {quoted(value)}"
                    )

    def colliding_names(self) -> Iterator[TreeProblem]:
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
                        yield TreeProblem(
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
                    yield TreeProblem(line, f"{words}; say from which day it means {meant.parent}")

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
