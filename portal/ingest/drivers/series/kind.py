"""Uploaded series: seats, queries, gigabytes. One file is one month of one series."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from django.db import models

from allocation.models import DriverPoint, ImportKind
from portal.errors import Refused
from portal.ingest.drivers.delivery import Delivered, Kind, Scope
from portal.ingest.drivers.table import Bad, Column, Problems, day, name_text, quantity, read_table

COLUMNS = (
    Column("team", name_text, optional=False),
    Column("feature", name_text),
    Column("day", day),
    Column("quantity", quantity, needed=True, optional=False),
)
LONGEST_NAME = 100


def series_kind(*, name: str, month: date) -> Kind:
    """Raises Refused for a name that is none."""
    try:
        series = name_text(name)
    except Bad as error:
        raise Refused(f"the name of the series: {error}") from None
    if not series or len(series) > LONGEST_NAME:
        raise Refused(f"a series needs a name of at most {LONGEST_NAME} characters, such as seats")
    month = month.replace(day=1)

    def read(content: bytes, problems: Problems) -> list[Delivered]:
        rows = []
        for line in read_table(content, COLUMNS, problems):
            told = line.values
            if told["day"] and told["day"].replace(day=1) != month:
                problems.add(
                    line.number,
                    "day",
                    told["day"],
                    f"outside {month:%Y-%m}, the month of this file",
                )
            elif not (told["team"] or told["feature"]):
                problems.add(
                    line.number, "team", None, "missing: a quantity is of a team or a feature"
                )
            else:
                rows.append(Delivered(line.number, DriverPoint(series=series, month=month, **told)))
        return rows

    def stored(_rows: Sequence[Any]) -> models.QuerySet[DriverPoint]:
        return DriverPoint.objects.filter(series=series, month=month)

    return Kind(
        kind=ImportKind.SERIES,
        model=DriverPoint,
        read=read,
        key=("team", "feature", "day"),
        compared=("quantity",),
        scope=lambda row: Scope(row.series, f"{row.month:%Y-%m}", f"{row.month:%Y-%m}"),
        stored=stored,
        months=lambda _rows: (month, month),
        measure=lambda row: row.quantity,
    )
