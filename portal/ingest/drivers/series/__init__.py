"""Uploaded series: seats, queries, gigabytes. One file is one month of one series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import models

from allocation.models import DriverPoint, ImportKind
from portal.errors import Refused
from portal.ingest.drivers.kinds import Ask, Asked, DeliveredRow, DriverKind, Scope, months_of
from portal.ingest.drivers.table import (
    Bad,
    FileColumn,
    Problems,
    day,
    name_text,
    quantity,
    read_table,
)

COLUMNS = (
    FileColumn("team", name_text, optional=False),
    FileColumn("feature", name_text),
    FileColumn("day", day),
    FileColumn("quantity", quantity, needed=True, optional=False),
)
LONGEST_NAME = 100


def understand(asked: Asked) -> Asked:
    """Raises Refused for a name that is none, and without a month."""
    if asked.get("month") is None:
        raise Refused("a usage file needs its month, such as 2026-10")
    try:
        name = name_text(asked.get("name") or "")
    except Bad as error:
        raise Refused(f"the name of the usage file: {error}") from None
    if not name or len(name) > LONGEST_NAME:
        raise Refused(
            f"a usage file needs a name of at most {LONGEST_NAME} characters, such as seats"
        )
    return {"name": name, "month": asked["month"].replace(day=1)}


def read(content: bytes, asked: Asked, problems: Problems) -> list[DeliveredRow]:
    series, month = asked["name"], asked["month"]
    rows = []
    for line in read_table(content, COLUMNS, problems):
        told = line.values
        if told["day"] and told["day"].replace(day=1) != month:
            reason = f"outside {month:%Y-%m}, the month of this file"
            problems.add(line.number, "day", told["day"], reason)
        elif not (told["team"] or told["feature"]):
            reason = "missing: a quantity is of a team or a feature"
            problems.add(line.number, "team", None, reason)
        else:
            rows.append(DeliveredRow(line.number, DriverPoint(series=series, month=month, **told)))
    return rows


def stored(rows: Sequence[Any]) -> models.QuerySet[DriverPoint]:
    return DriverPoint.objects.filter(
        series__in={row.series for row in rows}, month__in={row.month for row in rows}
    )


SERIES = DriverKind(
    name=ImportKind.SERIES.value,
    label="Usage file",
    help="CSV with team, feature, day, quantity; feature and day may be missing."
    " Replaces this month.",
    model=DriverPoint,
    asks=(
        Ask("name", "Such as seats. A new name is kept beside the others.", has_known=True),
        Ask("month", is_month=True),
    ),
    understand=understand,
    read=read,
    key=("team", "feature", "day"),
    compared=("quantity",),
    scope=lambda row: Scope(row.series, f"{row.month:%Y-%m}", f"{row.month:%Y-%m}"),
    stored=stored,
    months=lambda rows: months_of(row.month for row in rows),
    measure=lambda row: row.quantity,
    position=1,
)
