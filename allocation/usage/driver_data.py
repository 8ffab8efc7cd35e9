"""Driver data that is no trace, as a run reads it, with one fingerprint that can be taken again
later.

A run keeps what it looked at and the fingerprint. The same look later gives the same fingerprint as
long as a new run would see the same numbers, however often they were delivered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from django.db import connection

from allocation.models import ImportKind
from allocation.organisation.targets import Organisation, load_organisation
from allocation.plans.gpu import GpuRow, load_gpu
from allocation.usage.index import Digest, Key, ToldUsage, places_of_rows
from allocation.usage.measures import Reading, load_series
from allocation.usage.reports import (
    Owners,
    identity_owners,
    load_reported,
    note_callers,
    reported_days,
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


class Reports(NamedTuple):
    """The providers' usage reports as a run read them: while the version stays, another run reads
    the same.
    """

    version: str
    sha256: str
    places: int  # decimal places that keep every token count whole


@dataclass(frozen=True)
class DriverData:
    """`reported` are all rows of the reports; or those of some days, and then `reported_days` has
    those of each key.
    """

    reported: list[ToldUsage]
    reported_days: dict[Key, list[date]] | None
    reports: Reports
    gpu: list[GpuRow]
    series: dict[str, list[Reading]]
    sha256: str


VERSION_SQL = "SELECT coalesce(string_agg(format('%s %s', name, version), ' ' ORDER BY name), '') FROM report_version"


class Identities(NamedTuple):
    """Whose each key is, read once for all that a run does with it; `version` is that of the
    reports before.
    """

    version: str
    owners: Owners

    @classmethod
    def read(cls) -> Identities:
        return cls(
            reports_version(), identity_owners()
        )  # the version first: what comes in between makes it another


def reports_version() -> str:
    """Moves on with every change of a report, or of whose a key is."""
    with connection.cursor() as cursor:
        cursor.execute(VERSION_SQL)
        version: str = cursor.fetchone()[0]
        return version


def read_driver_data(
    look: Look,
    *,
    callers: Iterable[str],
    identities: Identities,
    organisation: Organisation,
    known: Reports | None = None,
    days: frozenset[date] | None = None,
) -> DriverData:
    """`callers` are the gateway's keys in the traces of these days: whose each is belongs to the
    fingerprint.

    Of reports that are still the `known` ones only these days are read.
    """
    version, owners = identities
    callers_digest, others_digest = Digest(), Digest()
    note_callers(callers, start=look.start, end=look.end, owners=owners, note=callers_digest.add)
    told = (
        _read_of_days(look, owners, known, days)
        if known is not None and known.version == version
        else None
    )
    reported, by_key, reports = told or _read_all(look, identities)
    gpu = load_gpu(start=look.start, end=look.end, note=others_digest.add) if look.gpu else []
    series = load_series(
        look.series, month=look.month, organisation=organisation, note=others_digest.add
    )
    whole = Digest()
    for sha256 in (callers_digest.hexdigest(), reports.sha256, others_digest.hexdigest()):
        whole.add(sha256)
    return DriverData(
        reported=reported,
        reported_days=by_key,
        reports=reports,
        gpu=gpu,
        series=series,
        sha256=whole.hexdigest(),
    )


Told = tuple[list[ToldUsage], dict[Key, list[date]] | None, Reports]


def _read_of_days(
    look: Look, owners: Owners, known: Reports, days: frozenset[date] | None
) -> Told | None:
    """These days' reports, with the days of each key; None where a report came meanwhile."""
    reported = load_reported(
        start=look.start, end=look.end, days=days, owners=owners, note=lambda _line: None
    )
    by_key = reported_days(look.start, look.end)
    return (reported, by_key, known) if reports_version() == known.version else None


def _read_all(look: Look, identities: Identities) -> Told:
    digest = Digest()
    reported = load_reported(
        start=look.start, end=look.end, owners=identities.owners, note=digest.add
    )
    return reported, None, Reports(identities.version, digest.hexdigest(), places_of_rows(reported))


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
        cursor.execute(
            CALLERS_SQL, {"start": f"{look.start} 00:00+00", "end": f"{look.end} 00:00+00"}
        )
        callers = [caller for (caller,) in cursor.fetchall()]
    told = read_driver_data(
        look, callers=callers, identities=Identities.read(), organisation=load_organisation()
    )
    return told.sha256
