"""Driver data that is no trace, as a run reads it, with one fingerprint that can be taken again later.

A run keeps what it looked at and the fingerprint. The same look later gives the same fingerprint as long as a new run
would see the same numbers, however often they were delivered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection

from allocation.drivers import Digest, ToldUsage
from allocation.gpu import GpuRow, load_gpu
from allocation.measures import Reading, load_series
from allocation.models import ImportKind
from allocation.reported import load_reported, note_callers
from allocation.targets import Organisation, load_organisation

DRIVER_KINDS = (ImportKind.SERIES, ImportKind.GPU_USAGE, ImportKind.PROVIDER_USAGE, ImportKind.IDENTITY_OWNERS)


@dataclass(frozen=True)
class Look:
    """What a run of a billing month looks at: days from `start` until `end`, excluded; series are the month's."""

    month: date
    start: date
    end: date
    gpu: bool
    series: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        days = {"month": self.month.isoformat(), "start": self.start.isoformat(), "end": self.end.isoformat()}
        return {**days, "gpu": self.gpu, "series": list(self.series)}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Look:
        month, start, end = (date.fromisoformat(kept[name]) for name in ("month", "start", "end"))
        return cls(month, start, end, kept["gpu"], tuple(kept["series"]))


@dataclass(frozen=True)
class DriverData:
    reported: list[ToldUsage]
    gpu: list[GpuRow]
    series: dict[str, list[Reading]]
    sha256: str


def read_driver_data(look: Look, *, callers: Iterable[str], organisation: Organisation) -> DriverData:
    """`callers` are the gateway's keys in the traces of these days: whose each is belongs to the fingerprint."""
    digest = Digest()
    note_callers(callers, start=look.start, end=look.end, note=digest.add)
    reported = load_reported(start=look.start, end=look.end, note=digest.add)
    gpu = load_gpu(start=look.start, end=look.end, note=digest.add) if look.gpu else []
    series = load_series(look.series, month=look.month, organisation=organisation, note=digest.add)
    return DriverData(reported, gpu, series, digest.hexdigest())


CALLERS_SQL = """
SELECT DISTINCT d.caller
FROM allocation_usagedimension d
JOIN (
    SELECT hour, dimension_id FROM usage_hourly UNION ALL SELECT hour, dimension_id FROM usage_delta
) u ON u.dimension_id = d.id
WHERE d.caller IS NOT NULL AND d.team IS NULL AND u.hour >= %(start)s AND u.hour < %(end)s
"""


def fingerprint_now(look: Look) -> str:
    """The fingerprint that a run with this look would get now."""
    with connection.cursor() as cursor:
        cursor.execute(CALLERS_SQL, {"start": f"{look.start} 00:00+00", "end": f"{look.end} 00:00+00"})
        callers = [caller for (caller,) in cursor.fetchall()]
    return read_driver_data(look, callers=callers, organisation=load_organisation()).sha256
