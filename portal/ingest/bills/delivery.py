"""Loading one delivered bill: the service behind the command, the upload page and the API."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal, localcontext
from itertools import zip_longest
from typing import Any, NamedTuple

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from allocation.models import Delivery, Import, ImportStatus, Source
from allocation.values.money import EXACT, plain
from allocation.values.names import quoted
from allocation.values.periods import BadPeriod, Period
from portal.ingest.bills import publish
from portal.ingest.bills.files.gathering import unpacked
from portal.ingest.bills.files.stream import BillFile, start_bytes
from portal.ingest.bills.formats import AUTO, Rows, check_format, format_of
from portal.ingest.bills.load.loader import Loaded, Loader, absolute_billed, check_totals
from portal.ingest.bills.load.rejected import absolute_by_currency, sums_as_json
from portal.ingest.problems import BillRefused, Problem, keep_rejected
from portal.jobs.models import JobStatus
from portal.jobs.queue import enqueue
from reports.queries.reconcile.other_months import months_with_bills

MOST_REJECTED_PERCENT = 5  # of the rows
MOST_REJECTED_MONEY_PERCENT = 1  # of the absolute billed amounts of a currency
REJECTED_SHOWN = 20
UNREAD_SHOWN = 20  # columns and reasons

Progress = Callable[[int, int | None, str], None]


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """What became of one delivery. Amounts are strings, per currency."""

    import_id: int
    status: str  # loaded, unchanged, refused
    rows_read: int = 0
    rows_loaded: int = 0
    rows_rejected: int = 0
    repairs: dict[str, int] = field(default_factory=dict)
    totals: list[dict[str, str | None]] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    replaced: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[Problem] = field(default_factory=list)  # the first twenty
    rejected_money: list[dict[str, Any]] = field(default_factory=list)
    unread: list[dict[str, Any]] = field(default_factory=list)  # values loaded as null
    earlier_months: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    reason: str | None = None  # why it was refused, or which import holds the same content
    same_as: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The object of `import_bill --json` (design.md section 8)."""
        shown: dict[str, Any] = {
            "import": self.import_id,
            "status": self.status,
            "rows_read": self.rows_read,
            "rows_loaded": self.rows_loaded,
            "rows_rejected": self.rows_rejected,
            "repairs": self.repairs,
            "totals": self.totals,
            "files": self.files,
            "replaced": self.replaced,
            "rejected": [each.to_json() for each in self.rejected],
            "seconds": round(self.seconds, 3),
        }
        if self.rejected_money:
            shown["rejected_money"] = self.rejected_money
        if self.unread:
            shown["unread"] = self.unread
        if self.earlier_months:
            shown["earlier_months"] = self.earlier_months
        if self.reason is not None:
            shown["reason"] = self.reason
        if self.same_as is not None:
            shown["same_as"] = self.same_as
        return shown


class UnchangedContent(Exception):
    """The content is published already; what was loaded of it once more is rolled back."""

    def __init__(self, same: Import) -> None:
        super().__init__(f"already loaded as import {same.pk}")
        self.same = same


def load_bill(
    *,
    files: Sequence[BillFile],
    source_name: str,
    delivery: str | None = None,
    format: str = AUTO,
    confirm_shrink: bool = False,
    month: str | None = None,
    created_by: str | None = None,
    progress: Progress | None = None,
    finish_guard: Callable[[], None] | None = None,
) -> ImportOutcome:
    """Loads the files of one delivery and publishes them, or leaves everything as it was.

    Everything happens in one transaction of the default connection, so a worker killed at any
    moment leaves nothing visible. A refusal is an outcome, kept as an import of that status.
    `month` (YYYY-MM) is what they are said to be the bill of: what holds another billing month is
    refused. `finish_guard` runs inside the transaction, before the publishing. Other errors are
    raised, and leave the import `failed`. What was mistyped (a path, a format, a month) raises
    BillRefused before there is an import or a source.
    """
    began = time.monotonic()
    check_format(format)
    said = month_of(month)
    for file in files:
        start_bytes(file)
    source = source_of(source_name, delivery)
    close_abandoned()
    bill_import = Import.objects.create(
        source=source, file_name=name_of([file.name for file in files]), created_by=created_by
    )
    attempt = BillLoad(
        bill_import, source, files, format, confirm_shrink, said, progress, finish_guard
    )
    ended = carry_out(attempt)
    loaded = attempt.loaded
    return ImportOutcome(
        import_id=bill_import.pk,
        status=ended.status.value,
        rows_read=loaded.rows_read,
        rows_loaded=loaded.rows_loaded if ended.status == ImportStatus.LOADED else 0,
        rows_rejected=loaded.rows_rejected,
        repairs=dict(sorted(attempt.repairs.items())),
        totals=bill_import.totals,
        files=bill_import.files,
        replaced=publish.replaced(bill_import.changes),
        rejected=loaded.problems[:REJECTED_SHOWN],
        rejected_money=bill_import.rejected_money,
        unread=bill_import.unread,
        earlier_months=with_bills(bill_import.earlier_months),
        seconds=time.monotonic() - began,
        reason=ended.reason,
        same_as=ended.same_as,
    )


def with_bills(earlier: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same with whether each month has a bill: of one that has none, no page shows the cost."""
    known = months_with_bills() if earlier else set()
    return [{**each, "has_bill": each["month"] in known} for each in earlier]


class Ended(NamedTuple):
    """How an attempt ended, and why it was not loaded."""

    status: ImportStatus
    reason: str | None = None
    same_as: int | None = None


def carry_out(attempt: BillLoad) -> Ended:
    """Runs the attempt, and records what became of it where that was not its last step."""
    try:
        with localcontext(EXACT):
            attempt.run()
        return Ended(ImportStatus.LOADED)
    except UnchangedContent as found:
        ended = Ended(ImportStatus.UNCHANGED, str(found), found.same.pk)
    except BillRefused as refusal:
        ended = Ended(ImportStatus.REFUSED, str(refusal))
    except BaseException as error:
        # Where the database is what failed, `close_abandoned` says so later.
        with suppress(DatabaseError):
            attempt.record(ImportStatus.FAILED, f"{type(error).__name__}: {error}")
        raise
    attempt.record(ended.status, ended.reason)
    return ended


def source_of(name: str, delivery: str | None) -> Source:
    """The source of this name, made when new. Raises BillRefused where it is delivered another
    way.
    """
    if delivery is not None and delivery not in Delivery.values:
        raise BillRefused(
            f"delivery {quoted(delivery)} is not known; use one of {', '.join(Delivery.values)}"
        )
    if not name.strip() or len(name) > 200 or not name.isprintable():
        raise BillRefused(
            "a source needs a name of at most 200 printable characters, such as aws-main"
        )
    source, _ = Source.objects.get_or_create(
        name=name.strip(), defaults={"delivery": delivery or Delivery.OVERWRITE}
    )
    if delivery is not None and source.delivery != delivery:
        raise BillRefused(
            f"the source {source.name} is delivered as {source.delivery}, not {delivery}; "
            "leave the delivery out, or use another source"
        )
    return source


def name_of(names: Sequence[str]) -> str:
    """What a delivery of these files is called."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def hash_of(hashes: Sequence[str]) -> str:
    """The hash of a delivery: that of its only file, or over those of its files in any order."""
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()


def close_abandoned() -> int:
    """Marks imports whose loader died as failed; how many. A living loader holds the lock of its
    import's row.
    """
    with transaction.atomic():
        abandoned = Import.objects.select_for_update(skip_locked=True).filter(
            kind="bill",
            status=ImportStatus.LOADING,
            created_at__lt=timezone.now() - timedelta(minutes=1),
        )
        return Import.objects.filter(pk__in=[each.pk for each in abandoned]).update(
            status=ImportStatus.FAILED,
            refusal="the loader ended before the file was loaded; nothing of it was published",
            finished_at=timezone.now(),
        )


def month_of(text: str | None) -> date | None:
    """The first day of a month given as YYYY-MM; raises BillRefused for other text."""
    try:
        return Period.parse(text).start if text else None
    except BadPeriod as error:
        raise BillRefused(str(error)) from None


@dataclass(slots=True)
class BillLoad:
    """One delivery on its way into the ledger."""

    bill_import: Import
    source: Source
    files: Sequence[BillFile]
    format: str
    confirm_shrink: bool
    month: date | None
    progress: Progress | None
    finish_guard: Callable[[], None] | None
    loaded: Loaded = field(default_factory=Loaded)
    repairs: Counter[str] = field(default_factory=Counter)
    rows: Rows | None = None
    names: list[str] = field(default_factory=list)  # of the files, out of their archive

    def run(self) -> None:
        side = connection.copy()
        try:
            with transaction.atomic(), unpacked(self.files) as files:
                Import.objects.select_for_update().get(pk=self.bill_import.pk)  # says: alive
                self.names = [file.name for file in files]
                self.rows = format_of(files, asked=self.format).read(files)
                loader = Loader(
                    self.rows.header,
                    file_names=self.names,
                    billing_timezone=self.source.billing_timezone,
                    side=side,
                )
                self._load(loader, size=sum(file.path.stat().st_size for file in files))
                self._refuse_same_content()
                self._refuse_too_many_rejected()
                self._refuse_too_much_rejected(loader)
                self._refuse_another_month()
                publish.stage(self.source, self.bill_import, self.loaded.scopes)
                check_totals(self.loaded)
                self._publish()
        finally:
            side.close()
            if self.rows is not None:
                self.rows.close()

    def _load(self, loader: Loader, *, size: int) -> None:
        rows = self.rows
        assert rows is not None
        self.loaded = loader.loaded
        for found in loader.load(rows):
            if self.progress:
                self.progress(min(rows.bytes_read, size), size, f"{found.rows_read:,} rows read")
        self.repairs = self.loaded.repairs + Counter(rows.repairs)
        for name in rows.header.missing:
            self.repairs[f"missing_column_{name}"] = self.loaded.rows_read
        self.bill_import.content_sha256 = hash_of(rows.file_hashes)
        self.bill_import.content_bytes = rows.content_bytes
        self.bill_import.focus_version = rows.header.version
        self.bill_import.totals = publish.totals_as_json(self.loaded.totals)
        self.bill_import.earlier_months = [
            {"month": month, "currency": currency, "rows": count, "billed_cost": plain(billed)}
            for (month, currency), (count, billed) in sorted(self.loaded.earlier.items())
        ]
        self.bill_import.unread = [each.to_json() for each in self.loaded.unread.most(UNREAD_SHOWN)]
        self.bill_import.rejected_money = sums_as_json(loader.rejected_money())

    def _refuse_same_content(self) -> None:
        """Two files of one content would count the same money twice."""
        first: dict[str, str] = {}
        for told in self._files_as_json():
            name, digest = told["name"], told["sha256"]
            if told["rows_read"] and digest in first:
                raise BillRefused(
                    f"{first[digest]} and {name} hold the same content; the same money would "
                    "count twice. Nothing was loaded; deliver one of them"
                )
            first[digest] = name

    def _refuse_too_many_rejected(self) -> None:
        found = self.loaded
        if found.rows_rejected * 100 > MOST_REJECTED_PERCENT * found.rows_read:
            raise BillRefused(
                f"{found.rows_rejected:,} of {found.rows_read:,} rows can't be loaded, more than "
                f"{MOST_REJECTED_PERCENT}%; the first is {found.problems[0]}. All of them: "
                f"{found.reasons}. Nothing was loaded; correct the export and deliver it again"
            )

    def _refuse_too_much_rejected(self, loader: Loader) -> None:
        if not self.loaded.rows_rejected:
            return
        loaded = absolute_billed(self.loaded)
        for currency, amount in absolute_by_currency(loader.rejected_money()).items():
            total = amount + loaded.get(currency or "", Decimal(0))
            if amount * 100 > MOST_REJECTED_MONEY_PERCENT * total:
                raise BillRefused(
                    f"rows with {plain(amount)} of {plain(total)} {currency} billed can't be "
                    f"loaded, more than {MOST_REJECTED_MONEY_PERCENT}%; the first is "
                    f"{self.loaded.problems[0]}. All of them: {self.loaded.reasons}. "
                    "Nothing was loaded; correct the export and deliver it again"
                )

    def _refuse_another_month(self) -> None:
        others = [
            scope
            for scope in self.loaded.scopes
            if self.month and scope.billing_month != self.month
        ]
        if others:
            held = ", ".join(
                sorted(
                    {
                        f"billing account {each.billing_account_id}, {publish.days(each)}"
                        for each in others
                    }
                )
            )
            raise BillRefused(
                f"this was delivered as the bill of {self.month:%Y-%m}, but holds {held}. "
                "Nothing was loaded; deliver it as what it is, or deliver the right file"
            )

    def _publish(self) -> None:
        source = publish.lock_source(self.source.pk)
        same = publish.already_loaded(
            source, self.bill_import.content_sha256 or "", self.loaded.scopes
        )
        if same is not None:
            raise UnchangedContent(same)
        changes = publish.replacements(source, self.loaded.scopes)
        publish.refuse_overlaps(source, self.bill_import, changes)
        if not self.confirm_shrink:
            publish.refuse_shrinking(changes)
        self.bill_import.changes = publish.difference(changes)
        publish.publish(changes)
        if self.finish_guard:
            self.finish_guard()
        self.record(ImportStatus.LOADED, None)
        months = {change.new.billing_month for change in changes}
        months |= {change.old.billing_month for change in changes if change.old is not None}
        for month in sorted(months):
            ask_for_allocation(f"{month:%Y-%m}", created_by=self.bill_import.created_by)

    def record(self, status: ImportStatus, reason: str | None) -> None:
        """Writes the outcome and the rejected rows of this import."""
        row = self.bill_import
        row.status, row.refusal, row.finished_at = status, reason, timezone.now()
        row.rows_read, row.rows_rejected = self.loaded.rows_read, self.loaded.rows_rejected
        row.rows_loaded = self.loaded.rows_loaded if status == ImportStatus.LOADED else 0
        row.repairs = dict(sorted(self.repairs.items()))
        row.files = self._files_as_json(published=status == ImportStatus.LOADED)
        if status != ImportStatus.LOADED:
            row.changes = []
        with transaction.atomic():
            row.save()
            if status == ImportStatus.UNCHANGED:
                return  # its rejected rows stand with the import that holds the same content
            keep_rejected(row, self.loaded.problems)

    def _files_as_json(self, *, published: bool = False) -> list[dict[str, Any]]:
        """One object per file; those that were not read to their end have no hash."""
        hashes = self.rows.file_hashes if self.rows and self.bill_import.content_sha256 else []
        found = self.loaded
        return [
            {
                "name": name,
                "sha256": digest,
                "rows_read": found.read_of_file[number],
                "rows_loaded": found.read_of_file[number] - found.rejected_of_file[number]
                if published
                else 0,
                "rows_rejected": found.rejected_of_file[number],
            }
            for number, (name, digest) in enumerate(zip_longest(self.names, hashes))
        ]


def ask_for_allocation(period: str, *, created_by: str | None) -> None:
    """Queues the allocation of a month. One that runs already began before this change, so another
    follows it.
    """
    job = enqueue(
        "allocate", {"period": period}, dedupe_key=f"allocate:{period}", created_by=created_by
    )
    if job.status == JobStatus.RUNNING:
        key = f"allocate:{period}:after:{job.pk}"
        enqueue("allocate", {"period": period}, dedupe_key=key, created_by=created_by)
