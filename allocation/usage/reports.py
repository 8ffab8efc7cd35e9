"""Providers' own usage reports as a driver: who used what by key, user, workspace or project, batch
or not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from datetime import date

from django.db import connection

from allocation.catalogue.token_classes import TOKEN_COLUMNS
from allocation.models import IdentityOwner, UsageIdentity
from allocation.storage.copy_text import copy_cells, copy_lines
from allocation.usage.index import SAME_PROVIDER, Key, ToldUsage

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
    WHERE day >= '{start}' AND day < '{end}' {only}
    ORDER BY day, provider COLLATE "C", project COLLATE "C", model COLLATE "C", is_batch,
        api_key COLLATE "C",
        "user" COLLATE "C", workspace COLLATE "C"
) TO STDOUT
"""


def load_reported(
    *,
    start: date,
    end: date,
    owners: Owners,
    note: Callable[[str], None],
    days: Iterable[date] | None = None,
) -> list[ToldUsage]:
    """Reported usage of the half-open range, or of these days of it, with the owners that
    identities had then.

    `note` is told every row.
    """
    tokens = ", ".join(f"trim_scale({name})" for name in TOKEN_COLUMNS)
    dates: dict[str, date] = {}
    found = []
    only = "" if days is None else "AND day = ANY('{" + ",".join(map(str, sorted(days))) + "}')"
    for line in copy_lines(REPORTED_SQL.format(tokens=tokens, start=start, end=end, only=only)):
        told, provider, project, model, is_batch, api_key, user, workspace, *numbers = copy_cells(
            line
        )
        day = dates.get(told or "") or dates.setdefault(told or "", date.fromisoformat(told or ""))
        provider = provider or ""
        values = dict(zip(KINDS, (api_key, user, workspace, project), strict=True))
        team, feature = owner_of(owners, provider, values, day)
        note(f"{line}\t{team}\t{feature}")
        requests, *counts = [number or "0" for number in numbers]
        found.append(
            ToldUsage(
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
    return found


DAYS_SQL = """
SELECT DISTINCT provider, project, model, is_batch, day FROM allocation_providerusage
WHERE day >= %(start)s AND day < %(end)s
"""


def reported_days(start: date, end: date) -> dict[Key, list[date]]:
    """The days of the half-open range for which usage of each key is reported."""
    found: dict[Key, list[date]] = {}
    with connection.cursor() as cursor:
        cursor.execute(DAYS_SQL, {"start": start, "end": end})
        for *names, day in cursor.fetchall():
            found.setdefault(_key(*names), []).append(day)
    return found


def _key(provider: str, project: str | None, model: str | None, is_batch: bool) -> Key:
    return Key(SAME_PROVIDER.get(provider, provider), project, model, is_batch)


def caller_owners(rows: Sequence[ToldUsage], owners: Owners) -> list[ToldUsage]:
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
