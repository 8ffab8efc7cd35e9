"""What was delivered: files, what was wrong with them, and how far each source reaches. Files speak
of the whole organisation, and who may open them is asked before: no scope needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Count, Max, Min, Sum

from allocation.models import (
    ChargeScope,
    Import,
    ImportKind,
    ImportStatus,
    RejectedRow,
    ScopeState,
    Source,
)

BLOCK = 2000  # rejected rows read at once


@dataclass(frozen=True)
class SourceDeliveries:
    """A source of bills: billing months and rows of its current snapshots, when the last of them
    was published, and the newest file.
    """

    source: Source
    first_month: date | None
    last_month: date | None
    rows: int
    published_at: datetime | None
    newest: Import | None

    @property
    def refused(self) -> Import | None:
        """The newest file, where nothing of it was loaded."""
        failed = (ImportStatus.REFUSED, ImportStatus.FAILED)
        return self.newest if self.newest and self.newest.status in failed else None


def bill_sources() -> list[SourceDeliveries]:
    """By name; three statements, however many there are."""
    current = ChargeScope.objects.filter(state=ScopeState.CURRENT).values("source")
    measured = current.annotate(
        first=Min("billing_month"),
        last=Max("billing_month"),
        all_rows=Sum("rows"),
        published=Max("published_at"),
    )
    scopes = {each["source"]: each for each in measured}
    bills = Import.objects.filter(kind=ImportKind.BILL)
    newest = {each.source_id: each for each in bills.order_by("source", "-pk").distinct("source")}
    found = []
    for source in Source.objects.order_by("name"):
        scope = scopes.get(source.pk)
        found.append(
            SourceDeliveries(
                source=source,
                first_month=scope["first"] if scope else None,
                last_month=scope["last"] if scope else None,
                rows=scope["all_rows"] if scope else 0,
                published_at=scope["published"] if scope else None,
                newest=newest.get(source.pk),
            )
        )
    return found


def newest_imports(*, before: int | None, limit: int) -> list[Import]:
    """Newest first; those with a lower id than `before`, where given."""
    found = Import.objects.select_related("source").order_by("-pk")
    return list((found.filter(pk__lt=before) if before else found)[:limit])


def one_import(import_id: int) -> Import | None:
    return Import.objects.select_related("source").filter(pk=import_id).first()


@dataclass(frozen=True)
class RejectedReason:
    column: str | None
    reason: str
    rows: int


@dataclass(frozen=True)
class ImportContents:
    """Some of a file's snapshots and problems, and how many there are; `by_reason` are the most
    frequent problems.
    """

    scopes: list[ChargeScope]
    all_scopes: int
    rejected: list[RejectedRow]
    all_rejected: int
    by_reason: list[RejectedReason]


def import_contents(
    delivered: Import, *, scopes: int, rejected: int, reasons: int
) -> ImportContents:
    """At most so many snapshots, rejected rows in the order read, and reasons."""
    counted = delivered.rejected.values_list("column", "reason").annotate(rows=Count("pk"))
    return ImportContents(
        scopes=list(delivered.scopes.order_by("billing_month", "billing_account_id")[:scopes]),
        all_scopes=delivered.scopes.count(),
        rejected=list(delivered.rejected.order_by("pk")[:rejected]),
        all_rejected=delivered.rejected.count(),
        by_reason=[RejectedReason(*each) for each in counted.order_by("-rows")[:reasons]],
    )


def rejected_blocks(delivered: Import) -> Iterator[list[RejectedRow]]:
    """Every problem in the order read, by file and line, in pages by key: no cursor stays open
    while a reader is slow.
    """
    after = 0
    while rows := list(delivered.rejected.filter(pk__gt=after).order_by("pk")[:BLOCK]):
        yield rows
        after = rows[-1].pk
