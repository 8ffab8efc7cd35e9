"""Driver data that is no trace, as a run reads it, with one fingerprint that can be taken again
later.

A run keeps what it looked at and the fingerprint. The same look later gives the same fingerprint as
long as a new run would see the same numbers, however often they were delivered.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from django.db import connection

from allocation.catalogue.canonical import TOKEN_COLUMNS
from allocation.catalogue.vocabulary import canonical_model
from allocation.models import IdentityOwner, ImportKind, UsageIdentity
from allocation.organisation.stored import load_organisation
from allocation.organisation.targets import Organisation
from allocation.storage.rows import copy_cells, copy_lines
from allocation.usage.keys import SAME_PROVIDER, DeclaredUsage, Digest, Key, digest_of
from allocation.usage.measures import GpuRow, Reading, load_gpu, load_series

REPORTED_RUNG, GATEWAY_RUNG = 3, 2
GATEWAY = "gateway"
# Narrow to wide: the first identity that has an owner says whose a row is.
KINDS = (UsageIdentity.API_KEY, UsageIdentity.USER, UsageIdentity.WORKSPACE, UsageIdentity.PROJECT)

Owners = dict[tuple[str, str, str], tuple[list[date], list[tuple[str, str | None]]]]


REPORTED_SQL = """
COPY (
    SELECT day, provider, project, model, is_batch, api_key, "user", workspace,
        trim_scale(requests), {tokens}
    FROM allocation_providerusage
    WHERE day >= %(start)s AND day < %(end)s
    ORDER BY day, provider COLLATE "C", project COLLATE "C", model COLLATE "C", is_batch,
        api_key COLLATE "C", "user" COLLATE "C", workspace COLLATE "C"
) TO STDOUT
""".replace("{tokens}", ", ".join(f"trim_scale({name})" for name in TOKEN_COLUMNS))


class Reports(NamedTuple):
    """The providers' usage reports of some days; `digests` are equal for days that say the same."""

    rows: list[DeclaredUsage]
    digests: dict[date, str]

    @property
    def sha256(self) -> str:
        return digest_of(f"{day} {digest}" for day, digest in sorted(self.digests.items()))


def load_reports(*, start: date, end: date, owners: Owners) -> Reports:
    """Reported usage of the half-open range, with the owners that identities had on each day."""
    rows: list[DeclaredUsage] = []
    digests: dict[date, Digest] = {}
    dates: dict[str, date] = {}
    for line in copy_lines(REPORTED_SQL, {"start": start, "end": end}):
        text, provider, project, model, is_batch, api_key, user, workspace, *numbers = copy_cells(
            line
        )
        day = dates.get(text or "")
        if day is None:
            day = dates[text or ""] = date.fromisoformat(text or "")
            digests[day] = Digest()
        provider = provider or ""
        values = dict(zip(KINDS, (api_key, user, workspace, project), strict=True))
        team, feature = owner_of(owners, provider, values, day)
        digests[day].add(f"{line}\t{team}\t{feature}")
        requests, *counts = [number or "0" for number in numbers]
        rows.append(
            DeclaredUsage(
                day=day,
                key=_key(provider, project, model, is_batch == "t"),
                attributes=(team, feature, *[None] * 6),
                rung=REPORTED_RUNG,
                calls=requests,
                tokens=tuple(counts),
                list_cost=None,
                variance=(0, 0),
            )
        )
    return Reports(rows, {day: digest.hexdigest() for day, digest in digests.items()})


def _key(provider: str, project: str | None, model: str | None, is_batch: bool) -> Key:
    known = canonical_model(model) if model else None
    return Key(SAME_PROVIDER.get(provider, provider), project, known, is_batch)


def caller_owners(rows: Sequence[DeclaredUsage], owners: Owners) -> list[DeclaredUsage]:
    """The rows with whose a gateway's key, or end user, is where a call names no team.

    A gateway's own keys stand under the provider `gateway`; else the key is looked for under the
    call's provider.
    """
    if all(row.caller is None for row in rows):
        return list(rows)
    found = []
    for row in rows:
        if row.caller is not None:
            values = dict.fromkeys((UsageIdentity.API_KEY, UsageIdentity.USER), row.caller)
            names = (
                (provider, owner_of(owners, provider, dict(values), row.day))
                for provider in (GATEWAY, row.key.provider or "")
            )
            team, feature = next((owner for _, owner in names if owner[0]), (None, None))
            if team is not None:
                told = (team, row.attributes[1] or feature, *row.attributes[2:])
                row = row._replace(attributes=told, rung=max(row.rung, GATEWAY_RUNG))
        found.append(row)
    return found


def note_callers(
    callers: Iterable[str], *, start: date, end: date, owners: Owners, note: Callable[[str], None]
) -> None:
    """Tells `note` whose each of these keys and end users is on the days, from the first of them
    on, by provider.
    """
    wanted = set(callers)
    for (provider, kind, value), (days, known) in sorted(owners.items()):
        if value in wanted and kind in (UsageIdentity.API_KEY, UsageIdentity.USER):
            first = max(bisect_right(days, start) - 1, 0)
            spans = zip(days[first:], known[first:], strict=True)
            told = [(max(day, start).isoformat(), *owner) for day, owner in spans if day < end]
            if told:
                note(repr((provider, kind, value, told)))


def identity_owners() -> Owners:
    """(provider, kind, value) -> first days, ascending, and who owns the identity from each."""
    found: Owners = {}
    rows = IdentityOwner.objects.order_by("valid_from").values_list(
        "provider", "kind", "value", "valid_from", "team", "feature"
    )
    for provider, kind, value, valid_from, team, feature in rows:
        days, owners = found.setdefault(
            (SAME_PROVIDER.get(provider, provider), kind, value), ([], [])
        )
        days.append(valid_from)
        owners.append((team, feature))
    return found


def owner_of(
    owners: Owners, provider: str, values: dict[UsageIdentity, str | None], day: date
) -> tuple[str | None, str | None]:
    """(team, feature) of the narrowest identity that somebody owned on that day."""
    for kind, value in values.items():
        days, known = owners.get(
            (SAME_PROVIDER.get(provider, provider), str(kind), value or ""), ([], [])
        )
        place = bisect_right(days, day)
        if place:
            return known[place - 1]
    return None, None


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
