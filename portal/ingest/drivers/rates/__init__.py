"""Monthly exchange rates with their source. A file replaces the pairs and months that it names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.utils import timezone

from allocation.models import ExchangeRate, ImportKind
from portal.ingest.drivers.kinds import Asked, DeliveredRow, DriverKind, Scope
from portal.ingest.drivers.table import (
    FileColumn,
    Problems,
    currency,
    month,
    name_text,
    positive,
    read_table,
)

COLUMNS = (
    FileColumn("month", month, needed=True, optional=False),
    FileColumn("base", currency, needed=True, optional=False),
    FileColumn("quote", currency, needed=True, optional=False),
    FileColumn("rate", positive, needed=True, optional=False),
    FileColumn("source", name_text, needed=True, optional=False),
)


def read(content: bytes, asked: Asked, problems: Problems) -> list[DeliveredRow]:
    now = timezone.now()
    rows = []
    for line in read_table(content, COLUMNS, problems):
        if line.values["base"] == line.values["quote"]:
            problems.add(line.number, "quote", line.values["quote"], "the same currency as base")
        else:
            rows.append(DeliveredRow(line.number, ExchangeRate(**line.values, uploaded_at=now)))
    return rows


def stored(rows: Sequence[Any]) -> models.QuerySet[ExchangeRate]:
    return ExchangeRate.objects.filter(month__in={row.month for row in rows})


def refuse_frozen(rows: Sequence[DeliveredRow], problems: Problems) -> None:
    """A month that is closed keeps what it was closed with."""
    frozen = {
        (rate.month, rate.base, rate.quote): rate
        for rate in stored([each.row for each in rows]).exclude(frozen_at=None)
    }
    for each in rows:
        row: Any = each.row
        kept = frozen.get((row.month, row.base, row.quote))
        if kept and (kept.rate, kept.source) != (row.rate, row.source):
            closed = f"frozen with the close of {row.month:%Y-%m} at {kept.rate:f} ({kept.source})"
            problems.add(each.line, "rate", row.rate, f"{closed}; it can't change")


RATES = DriverKind(
    name=ImportKind.RATES.value,
    label="Exchange rates",
    help="CSV with month, base, quote, rate, source. Sets the rates it has; frozen ones stay.",
    model=ExchangeRate,
    read=read,
    key=("month", "base", "quote"),
    compared=("rate", "source"),
    scope=lambda row: Scope(
        f"{row.base} to {row.quote}", f"{row.month:%Y-%m}", f"{row.month:%Y-%m}"
    ),
    stored=stored,
    months=lambda _rows: (None, None),
    measure=lambda row: row.rate,
    check=refuse_frozen,
    tells_rows=True,
    position=5,
)
