"""Driver data that is no trace, as a run reads it, with one fingerprint that can be taken again later.

A run keeps what it looked at and the fingerprint. The same look later gives the same fingerprint as
long as a new run would see the same numbers, however often they were delivered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection

from allocation.models import ImportKind
from allocation.organisation.load import load_organisation
from allocation.organisation.targets import Organisation
from allocation.usage.gpu import GpuRow, load_gpu
from allocation.usage.keys import Digest, digest_of
from allocation.usage.measures import Reading, load_series
from allocation.usage.reports import (
    Owners,
    Reports,
    identity_owners,
    load_reports,
    note_callers,
)

DRIVER_KINDS = (
    ImportKind.SERIES,
    ImportKind.GPU_USAGE,
    ImportKind.PROVIDER_USAGE,
    ImportKind.IDENTITY_OWNERS,
)


@dataclass(frozen=True)
class Look:
    """What a run of a billing month looks at: days from `start` until `end`, excluded; series are
    the month's.
    """

    month: date
    start: date
    end: date
    gpu: bool
    series: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        days = {
            "month": self.month.isoformat(),
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
        }
        return {**days, "gpu": self.gpu, "series": list(self.series)}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Look:
        month, start, end = (date.fromisoformat(kept[name]) for name in ("month", "start", "end"))
        return cls(month, start, end, kept["gpu"], tuple(kept["series"]))


@dataclass(frozen=True)
class DriverData:
    """What was found there. `callers_sha256` covers whose the traces' gateway keys are,
    `others_sha256` GPU usage and series.
    """

    reports: Reports
    gpu: list[GpuRow]
    series: dict[str, list[Reading]]
    callers_sha256: str
    others_sha256: str

    @property
    def sha256(self) -> str:
        return digest_of([self.callers_sha256, self.reports.sha256, self.others_sha256])


def read_driver_data(
    look: Look, *, callers: Iterable[str], owners: Owners, organisation: Organisation
) -> DriverData:
    """`callers` are the gateway's keys in the traces of these days: whose each is belongs to the
    fingerprint.
    """
    callers_digest, others_digest = Digest(), Digest()
    note_callers(callers, start=look.start, end=look.end, owners=owners, note=callers_digest.add)
    reports = load_reports(start=look.start, end=look.end, owners=owners)
    gpu = load_gpu(start=look.start, end=look.end, note=others_digest.add) if look.gpu else []
    series = load_series(
        look.series, month=look.month, organisation=organisation, note=others_digest.add
    )
    return DriverData(reports, gpu, series, callers_digest.hexdigest(), others_digest.hexdigest())


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
        values = {"start": f"{look.start} 00:00+00", "end": f"{look.end} 00:00+00"}
        cursor.execute(CALLERS_SQL, values)
        callers = [caller for (caller,) in cursor.fetchall()]
    found = read_driver_data(
        look, callers=callers, owners=identity_owners(), organisation=load_organisation()
    )
    return found.sha256
