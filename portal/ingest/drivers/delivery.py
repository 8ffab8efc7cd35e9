"""Taking one delivered driver file: the service behind the commands, the upload page and the API.

A file is read whole. One bad row refuses it, and nothing changes. A good one replaces the scopes
that it holds rows of (a series and month, say) and no other; the answer says what each of them was
and is.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection, models, transaction
from django.utils import timezone

from allocation.models import Import, ImportKind, ImportStatus, RejectedRow
from allocation.organisation.targets import Organisation, load_organisation
from allocation.values.money import EXACT, exact_sum, plain
from portal.accounts import audit
from portal.errors import Refused
from portal.ingest.drivers.outdated import outdated_months
from portal.ingest.drivers.table import MOST_BYTES, Problems
from portal.ingest.problems import Problem

REJECTED_SHOWN = 20
NAMES_SHOWN = 10
SCOPES_AUDITED = 50
MOVED_TOLD = 50
BATCH = 2000


@dataclass(frozen=True, slots=True)
class Delivered:
    """One row to be stored, and the line that it comes from."""

    line: int
    row: models.Model


class Scope(NamedTuple):
    """What a file replaces as a whole: `subject` names whose it is, `part` which stretch of it.

    `told` is the wider stretch that answers speak of, where there are too many parts to name each.
    """

    subject: str
    part: str
    told: str

    def __str__(self) -> str:
        return f"{self.subject}, {self.told}" if self.told else self.subject


Months = tuple[date | None, date | None]


@dataclass(frozen=True)
class Kind:
    """One kind of driver data. `read` gives the rows; the rest says how they are told apart and
    added up.
    """

    kind: ImportKind
    model: type[models.Model]
    read: Callable[[bytes, Problems], list[Delivered]]
    key: tuple[str, ...]  # what is unique
    compared: tuple[str, ...]  # what else can differ
    scope: Callable[[Any], Scope]
    stored: Callable[
        [Sequence[Any]], models.QuerySet[Any]
    ]  # at least the stored rows of the scopes of these rows
    months: Callable[
        [Sequence[Any]], Months
    ]  # first and last whose allocation such changed rows bear on; see Change
    measure: Callable[[Any], Decimal] | None = (
        None  # the quantity of a row, added up in what is told
    )
    check: Callable[[Sequence[Delivered], Problems], None] | None = None
    tells_rows: bool = False  # a change names the rows that moved; for lists that a person keeps


@dataclass(frozen=True, slots=True)
class Change:
    """What a scope held, and holds now. Months: (None, None) none, (first, None) every one from the
    first on.
    """

    scope: Scope
    rows_before: int
    rows_after: int
    quantity_before: Decimal | None
    quantity_after: Decimal | None
    added: int
    removed: int
    altered: int
    months: Months
    moved: tuple[str, ...] = ()  # "+ row", "- row", "row: new, was old"; the first ones

    def __add__(self, other: Change) -> Change:
        """Both together, told as one; of kinds whose months end."""
        return Change(
            scope=self.scope,
            rows_before=self.rows_before + other.rows_before,
            rows_after=self.rows_after + other.rows_after,
            quantity_before=sum_of_both(self.quantity_before, other.quantity_before),
            quantity_after=sum_of_both(self.quantity_after, other.quantity_after),
            added=self.added + other.added,
            removed=self.removed + other.removed,
            altered=self.altered + other.altered,
            months=wider(self.months, other.months),
        )

    @property
    def is_any(self) -> bool:
        return bool(self.added or self.removed or self.altered)

    def to_json(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "scope": str(self.scope),
            "subject": self.scope.subject,
            "first_month": month_text(self.months[0]),
            "last_month": month_text(self.months[1]),
            "rows": {"before": self.rows_before, "after": self.rows_after},
            "added": self.added,
            "removed": self.removed,
            "altered": self.altered,
        }
        if self.moved:
            shown["moved"] = list(self.moved)
        if self.quantity_before is not None and self.quantity_after is not None:
            shown["quantity"] = {
                "before": plain(self.quantity_before),
                "after": plain(self.quantity_after),
            }
        return shown

    def __str__(self) -> str:
        if not self.is_any:
            return f"{self.scope}: unchanged, rows {self.rows_after:,}"
        words = f"{self.scope}: rows {self.rows_after:,}, before {self.rows_before:,}"
        words += f" ({self.added:,} added, {self.removed:,} removed, {self.altered:,} altered)"
        if self.quantity_before is not None and self.quantity_after is not None:
            words += f"; quantity {plain(self.quantity_after)}, was {plain(self.quantity_before)}"
        return "\n  ".join([words, *self.moved])


@dataclass(frozen=True)
class Outcome:
    """What became of a file. `status`: loaded, unchanged, refused, or preview where nothing was to
    be written.
    """

    kind: str
    status: str
    import_id: int | None = None
    rows_read: int = 0
    problems: list[Problem] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    outdated: list[str] = field(
        default_factory=list
    )  # months whose run was made with other driver data
    reason: str | None = None
    seconds: float = 0.0

    @property
    def rows_rejected(self) -> int:
        return len({problem.line for problem in self.problems})

    def to_json(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "import": self.import_id,
            "kind": self.kind,
            "status": self.status,
            "rows_read": self.rows_read,
            "rows_rejected": self.rows_rejected,
            "changes": [change.to_json() for change in self.changes],
            "rejected": [
                {
                    "line": each.line,
                    "column": each.column,
                    "value": each.value,
                    "reason": each.reason,
                }
                for each in self.problems[:REJECTED_SHOWN]
            ],
            "notes": self.notes,
            "outdated": self.outdated,
            "seconds": round(self.seconds, 3),
        }
        if self.reason is not None:
            shown["reason"] = self.reason
        return shown

    def in_words(self) -> str:
        """What a person reads at the command line."""
        lines = [f"import {self.import_id}: {self.status}" if self.import_id else self.status]
        lines += [self.reason] if self.reason else []
        lines += map(str, self.problems[:REJECTED_SHOWN])
        hidden = len(self.problems) - REJECTED_SHOWN
        lines += [f"and {hidden:,} more"] if hidden > 0 else []
        lines += [str(change) for change in self.changes]
        lines += self.notes
        lines += [
            f"{month} was allocated with other driver data: allocate {month} again"
            for month in self.outdated
        ]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A file on its way in."""

    kind: Kind
    content: bytes
    file_name: str
    created_by: str | None
    dry_run: bool
    began: float

    def refused(self, reason: str, problems: Problems, read: int) -> Outcome:
        found = sorted(problems.found, key=lambda problem: problem.line)
        with transaction.atomic():
            record = self.record(ImportStatus.REFUSED, read, reason=reason, problems=found)
        return self.outcome(ImportStatus.REFUSED.value, record, read, problems=found, reason=reason)

    def taken(self, rows: Sequence[Delivered]) -> Outcome:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_advisory_xact_lock(hashtext(%s))",
                    [f"apportion driver {self.kind.kind}"],
                )
            changes = replace(self.kind, rows, write=not self.dry_run)
            status = (
                ImportStatus.LOADED
                if any(change.is_any for change in changes)
                else ImportStatus.UNCHANGED
            )
            record = self.record(
                status, len(rows), changes=[change for change in changes if change.is_any]
            )
            if record and status == ImportStatus.LOADED:
                note_audit(self.kind, record)
        return self.outcome(
            "preview" if self.dry_run else status.value,
            record,
            len(rows),
            changes=changes,
            notes=unknown_teams(rows, load_organisation()),
            outdated=[f"{month:%Y-%m}" for month in outdated_months(since=record)]
            if record
            else [],
        )

    def outcome(self, status: str, record: Import | None, read: int, **told: Any) -> Outcome:
        return Outcome(
            kind=self.kind.kind.value,
            status=status,
            import_id=record.pk if record else None,
            rows_read=read,
            seconds=time.monotonic() - self.began,
            **told,
        )

    def record(
        self,
        status: ImportStatus,
        read: int,
        *,
        changes: Sequence[Change] = (),
        problems: Sequence[Problem] = (),
        reason: str | None = None,
    ) -> Import | None:
        if self.dry_run:
            return None
        record = Import.objects.create(
            kind=self.kind.kind,
            status=status,
            file_name=self.file_name,
            content_sha256=hashlib.sha256(self.content).hexdigest(),
            content_bytes=len(self.content),
            rows_read=read,
            rows_loaded=read if status == ImportStatus.LOADED else 0,
            rows_rejected=len({problem.line for problem in problems}),
            changes=[change.to_json() for change in changes],
            refusal=reason,
            created_by=self.created_by,
            finished_at=timezone.now(),
        )
        RejectedRow.objects.bulk_create(
            (
                RejectedRow(
                    bill_import=record,
                    line=each.line,
                    column=each.column,
                    value=each.value,
                    reason=each.reason,
                )
                for each in problems
            ),
            batch_size=1000,
        )
        return record


def deliver(
    kind: Kind,
    content: bytes,
    *,
    file_name: str,
    created_by: str | None = None,
    dry_run: bool = False,
) -> Outcome:
    """Replaces the scopes that the file holds rows of, in one transaction, or changes nothing.

    A refusal is an outcome, kept as an import of that status with its bad rows. `dry_run` writes
    nothing at all.
    """
    attempt = Attempt(kind, content, file_name, created_by, dry_run, time.monotonic())
    problems = Problems()
    try:
        if len(content) > MOST_BYTES:
            raise Refused(f"the file has more than {MOST_BYTES:,} bytes; deliver it in parts")
        rows = kind.read(content, problems)
        once_only(kind, rows, problems)
        if kind.check:
            kind.check(rows, problems)
        if not rows and not problems.found:
            raise Refused("the file has no rows; nothing was replaced")
    except Refused as refusal:
        return attempt.refused(str(refusal), Problems(), 0)
    if problems.found:
        bad = {problem.line for problem in problems.found}
        count = len(problems.found)
        reason = (
            f"{count:,} {'problem' if count == 1 else 'problems'} in its rows; nothing was replaced"
        )
        return attempt.refused(
            f"{reason}. Correct them and deliver the file again",
            problems,
            len(bad | {row.line for row in rows}),
        )
    return attempt.taken(rows)


def once_only(kind: Kind, rows: Iterable[Delivered], problems: Problems) -> None:
    """Two rows for the same thing are a doubt, not a sum."""
    seen: dict[Hashable, int] = {}
    for delivered in rows:
        first = seen.setdefault(key_of(kind, delivered.row), delivered.line)
        if first != delivered.line:
            problems.add(
                delivered.line, None, None, f"the same {', '.join(kind.key)} as line {first}"
            )


def key_of(kind: Kind, row: models.Model) -> Hashable:
    return tuple(getattr(row, name) for name in kind.key)


def values_of(kind: Kind, row: models.Model) -> Hashable:
    return tuple(getattr(row, name) for name in kind.compared)


def replace(kind: Kind, rows: Sequence[Delivered], *, write: bool) -> list[Change]:
    """What each scope of the rows held and holds; where it differs and `write`, its rows are
    replaced.
    """
    new: dict[Scope, list[models.Model]] = {}
    for delivered in rows:
        new.setdefault(kind.scope(delivered.row), []).append(delivered.row)
    old: dict[Scope, list[models.Model]] = {scope: [] for scope in new}
    for row in kind.stored([delivered.row for delivered in rows]):
        if (scope := kind.scope(row)) in old:
            old[scope].append(row)
    changes = [difference(kind, scope, old[scope], new[scope]) for scope in sorted(new)]
    moved = [change.scope for change in changes if change.is_any]
    if write and moved:
        gone = [row.pk for scope in moved for row in old[scope]]
        for first in range(0, len(gone), BATCH):
            kind.model._default_manager.filter(pk__in=gone[first : first + BATCH]).delete()
        kind.model._default_manager.bulk_create(
            [row for scope in moved for row in new[scope]], batch_size=BATCH
        )
    return told_together(changes)


def difference(
    kind: Kind, scope: Scope, old: Sequence[models.Model], new: Sequence[models.Model]
) -> Change:
    before = {key_of(kind, row): row for row in old}
    after = {key_of(kind, row): row for row in new}
    kept = before.keys() & after.keys()
    altered = {key for key in kept if values_of(kind, before[key]) != values_of(kind, after[key])}
    moved = [before[key] for key in before.keys() - kept | altered] + [
        after[key] for key in after.keys() - kept
    ]
    return Change(
        scope=scope,
        rows_before=len(old),
        rows_after=len(new),
        quantity_before=added_up(kind, old),
        quantity_after=added_up(kind, new),
        added=len(after) - len(kept),
        removed=len(before) - len(kept),
        altered=len(altered),
        months=kind.months(moved) if moved else (None, None),
        moved=tuple(moved_rows(kind, before, after))[:MOVED_TOLD] if kind.tells_rows else (),
    )


def moved_rows(
    kind: Kind, before: Mapping[Hashable, models.Model], after: Mapping[Hashable, models.Model]
) -> Iterator[str]:
    """What a reader checks before it is put in force, by key."""
    names = {key: in_words(row, kind.key) for key, row in [*before.items(), *after.items()]}
    for key, name in sorted(names.items(), key=lambda each: each[1]):
        old, new = before.get(key), after.get(key)
        if old is None and new is not None:
            yield f"+ {name}: {in_words(new, kind.compared)}"
        elif new is None and old is not None:
            yield f"- {name}: {in_words(old, kind.compared)}"
        elif old is not None and new is not None and values_of(kind, old) != values_of(kind, new):
            yield f"{name}: {in_words(new, kind.compared)}, was {in_words(old, kind.compared)}"


def in_words(row: models.Model, names: Iterable[str]) -> str:
    values = (getattr(row, name) for name in names)
    return " ".join(
        plain(value) if isinstance(value, Decimal) else str(value)
        for value in values
        if value is not None
    )


def told_together(changes: Iterable[Change]) -> list[Change]:
    """One change for each stretch that answers speak of."""
    told: dict[str, Change] = {}
    for change in changes:
        name = str(change.scope)
        told[name] = told[name] + change if name in told else change
    return list(told.values())


def wider(one: Months, other: Months) -> Months:
    firsts = [months[0] for months in (one, other) if months[0]]
    lasts = [months[1] for months in (one, other) if months[1]]
    return min(firsts, default=None), max(lasts, default=None)


def sum_of_both(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else EXACT.add(one, other)


def added_up(kind: Kind, rows: Iterable[models.Model]) -> Decimal | None:
    if kind.measure is None:
        return None
    return exact_sum(kind.measure(row) for row in rows)


def unknown_teams(rows: Iterable[Delivered], organisation: Organisation) -> list[str]:
    """Names that the organisation does not know; their share of a cost would stay unallocated, so
    it is said now.
    """
    told = {str(team) for each in rows if (team := getattr(each.row, "team", None))}
    unknown = sorted(team for team in told if organisation.team(team) is None)
    if not unknown:
        return []
    more = f" and {len(unknown) - NAMES_SHOWN} more" if len(unknown) > NAMES_SHOWN else ""
    return [
        f"not a team of the organisation, so its share stays unallocated: {', '.join(unknown[:NAMES_SHOWN])}{more}"
    ]


def note_audit(kind: Kind, record: Import) -> None:
    detail = {
        "import": record.pk,
        "file": record.file_name,
        "sha256": record.content_sha256,
        "rows": record.rows_loaded,
        "scopes": [change["scope"] for change in record.changes][:SCOPES_AUDITED],
    }
    audit.record(record.created_by, f"{kind.kind.label} loaded", f"import {record.pk}", detail)


def months_of(days: Iterable[date]) -> Months:
    """The first and the last month of some days."""
    months = {day.replace(day=1) for day in days}
    return min(months), max(months)


def month_text(month: date | None) -> str | None:
    return f"{month:%Y-%m}" if month else None
