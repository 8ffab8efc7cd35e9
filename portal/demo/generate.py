"""The demo's files: one OTLP request (protobuf, gzip) for each day, three FOCUS bills for each month, and the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from portal.demo.bills import ACCOUNTS, BillFile, Usage, bill_files
from portal.demo.calls import traffic_days
from portal.demo.focus_rows import billed_through, gzipped
from portal.demo.settings import DemoSettings
from portal.demo.traces import requests_of_day
from portal.demo.truth import Truth


@dataclass(frozen=True)
class DemoFiles:
    traces: list[Path]  # in day order
    bills: list[tuple[BillFile, Path]]  # in month order
    truth: Truth  # of the months written


def write_files(
    settings: DemoSettings,
    folder: Path,
    *,
    since: datetime | None = None,
    every_month: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> DemoFiles:
    """Writes what is new since `since`, or everything; equal settings give equal bytes.

    A bill is delivered whole, so a month in which anything is new is written from its first day on. `every_month` makes the
    truth (and the bills) of all months.
    """
    for name in ("traces", "bills"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    first_new = since.date() if since else settings.first_day
    months = settings.months
    if since and not every_month:
        # A closed month is new until its last day has been billed by the slowest provider.
        months = [month for month in months if _last_day(month) >= _billed_before(since)]
    days = [day for day in settings.days if day >= first_new or day.replace(day=1) in months]
    usage, traces = Usage(), []
    for number, day in enumerate(days, 1):
        found = list(traffic_days(settings, [day]))
        for each in found:
            usage.add(each)
        if day >= first_new:
            body = b"".join(requests_of_day(settings, found, since=since))
            if body:
                path = folder / "traces" / _trace_name(day, since)
                path.write_bytes(gzipped(body, level=1))
                traces.append(path)
        progress(number, len(days))
    usage.add_playground(settings, days)
    truth = Truth()
    bills = []
    for bill in bill_files(settings, usage, months, truth):
        path = folder / "bills" / bill.name
        path.write_bytes(bill.content)
        bills.append((bill, path))
    return DemoFiles(traces, bills, truth)


def _trace_name(day: date, since: datetime | None) -> str:
    if since and since.date() == day:
        return f"{day}-from-{since:%H%M%S}.pb.gz"
    return f"{day}.pb.gz"


def _last_day(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def _billed_before(since: datetime) -> date:
    """The first day that some bill did not hold at `since`."""
    return min(billed_through(account, since) for account in ACCOUNTS.values())
