"""Taking one delivered driver file: the service behind the commands, the upload page and the API.

A file is read whole. One bad row refuses it, and nothing changes. A good one replaces the scopes
that it holds rows of (a series and month, say) and no other; the answer says what each of them was
and is.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from allocation.models import Import, ImportStatus
from allocation.organisation.stored import load_organisation
from allocation.organisation.targets import Organisation
from portal.accounts import audit
from portal.errors import Refused
from portal.ingest.drivers.changes import ScopeChange, key_of, replace
from portal.ingest.drivers.kinds import Asked, DeliveredRow, DriverKind
from portal.ingest.drivers.outdated import outdated_months
from portal.ingest.drivers.table import MOST_BYTES, Problems
from portal.ingest.problems import Problem, keep_rejected

REJECTED_SHOWN = 20
NAMES_SHOWN = 10
SCOPES_AUDITED = 50
NOTHING_ASKED: Asked = {}


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
    changes: list[ScopeChange] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)  # months whose run saw other driver data
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
            "rejected": [each.to_json() for each in self.problems[:REJECTED_SHOWN]],
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
            f"{month} was allocated with other usage data: allocate {month} again"
            for month in self.outdated
        ]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class DriverLoad:
    """A file on its way in."""

    kind: DriverKind
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

    def taken(self, rows: Sequence[DeliveredRow]) -> Outcome:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_advisory_xact_lock(hashtext(%s))",
                    [f"apportion driver {self.kind.name}"],
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
                note_audit(record)
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
            kind=self.kind.name,
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
        changes: Sequence[ScopeChange] = (),
        problems: Sequence[Problem] = (),
        reason: str | None = None,
    ) -> Import | None:
        if self.dry_run:
            return None
        record = Import.objects.create(
            kind=self.kind.name,
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
        keep_rejected(record, problems)
        return record


def deliver(
    kind: DriverKind,
    content: bytes,
    *,
    file_name: str,
    asked: Asked = NOTHING_ASKED,
    created_by: str | None = None,
    dry_run: bool = False,
) -> Outcome:
    """Replaces the scopes that the file holds rows of, in one transaction, or changes nothing.

    A refusal is an outcome, kept as an import of that status with its bad rows. `dry_run` writes
    nothing at all. Raises Refused where what was said beside the file is not enough.
    """
    understood = kind.understand(asked)
    attempt = DriverLoad(kind, content, file_name, created_by, dry_run, time.monotonic())
    problems = Problems()
    try:
        if len(content) > MOST_BYTES:
            raise Refused(f"the file has more than {MOST_BYTES:,} bytes; deliver it in parts")
        rows = kind.read(content, understood, problems)
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


def once_only(kind: DriverKind, rows: Iterable[DeliveredRow], problems: Problems) -> None:
    """Two rows for the same thing are a doubt, not a sum."""
    seen: dict[Hashable, int] = {}
    for delivered in rows:
        first = seen.setdefault(key_of(kind, delivered.row), delivered.line)
        if first != delivered.line:
            problems.add(
                delivered.line, None, None, f"the same {', '.join(kind.key)} as line {first}"
            )


def unknown_teams(rows: Iterable[DeliveredRow], organisation: Organisation) -> list[str]:
    """Names that the organisation does not know; their share of a cost would stay unallocated, so
    it is said now.
    """
    told = {str(team) for each in rows if (team := getattr(each.row, "team", None))}
    unknown = sorted(team for team in told if organisation.team(team) is None)
    if not unknown:
        return []
    more = f" and {len(unknown) - NAMES_SHOWN} more" if len(unknown) > NAMES_SHOWN else ""
    return [
        "not a team of the organisation, so its share stays unallocated: "
        f"{', '.join(unknown[:NAMES_SHOWN])}{more}"
    ]


def note_audit(record: Import) -> None:
    detail = {
        "import": record.pk,
        "file": record.file_name,
        "sha256": record.content_sha256,
        "rows": record.rows_loaded,
        "scopes": [change["scope"] for change in record.changes][:SCOPES_AUDITED],
    }
    action = f"{record.get_kind_display()} loaded"
    audit.record(record.created_by, action, f"import {record.pk}", detail)
