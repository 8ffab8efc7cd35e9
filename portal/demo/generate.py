"""The demo's files: one OTLP request (protobuf, gzip) for each week, three FOCUS bills for each
month, and the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from portal.demo.bills import ACCOUNTS, DemoBill, DemoUsage, bill_files, month_lines
from portal.demo.calls import traffic_days
from portal.demo.focus_rows import billed_through, gzipped
from portal.demo.settings import DemoSettings, at
from portal.demo.traces import requests_of_day
from portal.demo.truth import Truth

DAYS_PER_FILE = timedelta(days=7)
BYTES_PER_FILE = 24 * 1024**2


@dataclass(frozen=True)
class DemoFiles:
    traces: list[Path]  # in order of time
    bills: list[tuple[DemoBill, Path]]  # in month order
    truth: Truth  # of the months written


def write_files(
    settings: DemoSettings,
    folder: Path,
    *,
    since: datetime | None = None,
) -> DemoFiles:
    """Writes what is new since `since`, or everything; equal settings give equal bytes.

    A bill is delivered whole, so a month in which anything is new is written from its first day on.
    """
    for name in ("traces", "bills"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    first_new = since.date() if since else settings.first_day
    months = settings.months
    if since:
        # Bills grow by whole days; a closed month is new until its last day has been billed by the
        # slowest provider.
        is_another_day = since.date() < settings.now.date()
        months = [
            month
            for month in months
            if is_another_day and _last_day(month) >= _billed_before(since)
        ]
    days = [day for day in settings.days if day >= first_new or day.replace(day=1) in months]
    usage, traces = DemoUsage(), _TraceFiles(folder / "traces")
    for day in days:
        found = list(traffic_days(settings, [day]))
        for each in found:
            usage.add(each)
        if day >= first_new:
            traces.add(
                max(since, at(day)) if since else at(day),
                b"".join(requests_of_day(settings, found, since=since)),
            )
    traces.flush()
    usage.add_unseen(settings, days)
    truth = Truth()
    bills = []
    for bill in bill_files(settings, usage, months, truth):
        path = folder / "bills" / bill.name
        path.write_bytes(bill.content)
        bills.append((bill, path))
    return DemoFiles(traces.paths, bills, truth)


class _TraceFiles:
    """Joins the requests of some days into one file, as a collector's file exporter rotates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: list[Path] = []
        self.since: datetime | None = None
        self.pieces: list[bytes] = []

    def add(self, since: datetime, requests: bytes) -> None:
        if self.since and (
            since - self.since >= DAYS_PER_FILE or sum(map(len, self.pieces)) > BYTES_PER_FILE
        ):
            self.flush()
        self.since = self.since or since
        self.pieces.append(requests)

    def flush(self) -> None:
        content = b"".join(self.pieces)
        if content and self.since:
            path = self.folder / f"traces-from-{self.since:%Y-%m-%d-%H%M%S}.pb.gz"
            path.write_bytes(gzipped(content, level=1))
            self.paths.append(path)
        self.since, self.pieces = None, []


def _last_day(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def _billed_before(since: datetime) -> date:
    """The first day that some bill did not hold at `since`."""
    return min(billed_through(account, since) for account in ACCOUNTS.values())


def whole_truth(settings: DemoSettings) -> Truth:
    """The truth of every month, without writing files."""
    usage, truth = DemoUsage(), Truth()
    for each in traffic_days(settings, settings.days):
        usage.add(each)
    usage.add_unseen(settings, settings.days)
    for month in settings.months:
        for account in ACCOUNTS.values():
            month_lines(settings, usage, account, month, truth)
    return truth
