"""What a run knew of each day's usage: enough for the next run to read only the days that changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from django.db import connection

from allocation.catalogue import Entries
from allocation.charges import copy_lines
from allocation.drivers import (
    DRIVER_PLACES,
    Digest,
    Key,
    ToldUsage,
    UsageIndex,
    WholeMonthNeeded,
    told_usage,
    usage_sql,
)
from allocation.periods import DAY, Period
from allocation.reported import caller_owners

VERSIONS_SQL = """
-- One row per day with usage: its version, NULL while some of it waits to be merged.
SELECT day, CASE WHEN bool_or(waits) THEN NULL ELSE max(version) END
FROM (
    SELECT day, version, false AS waits FROM usage_day_version
    UNION ALL
    SELECT DISTINCT (hour AT TIME ZONE 'UTC')::date, NULL::bigint, true FROM usage_delta
) days
WHERE day >= %(start)s AND day < %(end)s
GROUP BY 1
"""


def usage_versions(start: date, end: date) -> dict[date, int | None]:
    """The version of each day's usage rollup; None is like no other."""
    with connection.cursor() as cursor:
        cursor.execute(VERSIONS_SQL, {"start": start, "end": end})
        return dict(cursor.fetchall())


class DayFacts(NamedTuple):
    """One day as a run read it. `keys` are those that bills are joined on."""

    version: int | None
    sha256: str
    keys: frozenset[Key]
    has_fractions: bool
    is_sampled: bool
    callers: tuple[str, ...]  # gateway keys of calls that name no team


@dataclass(frozen=True)
class UsageFacts:
    """By day; `start` and `end` bound the days that were read."""

    start: date
    end: date
    days: Mapping[date, DayFacts]

    def text(self) -> str:
        """For the fingerprint of a run's inputs: contents, not versions."""
        days = [(str(day), facts.sha256) for day, facts in sorted(self.days.items()) if facts.keys]
        return f"{self.start} {self.end} {days}"

    @property
    def is_sampled(self) -> bool:
        return any(facts.is_sampled for facts in self.days.values())

    @property
    def has_fractions(self) -> bool:
        return any(facts.has_fractions for facts in self.days.values())

    @property
    def callers(self) -> set[str]:
        return {caller for facts in self.days.values() for caller in facts.callers}

    @property
    def places(self) -> int:
        """Decimal places that keep every token count of the month whole."""
        return DRIVER_PLACES if self.has_fractions else 0

    def as_json(self) -> dict[str, Any]:
        keys = sorted({key for facts in self.days.values() for key in facts.keys}, key=repr)
        place = {key: n for n, key in enumerate(keys)}
        return {
            "start": str(self.start),
            "end": str(self.end),
            "keys": [list(key) for key in keys],
            "days": {
                str(day): [
                    facts.version,
                    facts.sha256,
                    sorted(place[key] for key in facts.keys),
                    facts.has_fractions,
                    facts.is_sampled,
                    facts.callers,
                ]
                for day, facts in sorted(self.days.items())
            },
        }

    def changed_days(self, versions: Mapping[date, int | None]) -> set[date]:
        """Days whose usage is not, or may not be, what it was."""
        return {
            day
            for day in self.days.keys() | versions.keys()
            if (now := versions.get(day, 0)) is None or day not in self.days or now != self.days[day].version
        }

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> UsageFacts:
        keys = [Key(*cells) for cells in told["keys"]]
        return cls(
            start=date.fromisoformat(told["start"]),
            end=date.fromisoformat(told["end"]),
            days={
                date.fromisoformat(day): DayFacts(
                    version, sha256, frozenset(keys[n] for n in places), has_fractions, is_sampled, tuple(callers)
                )
                for day, (version, sha256, places, has_fractions, is_sampled, callers) in told["days"].items()
            },
        )


@dataclass
class UsageReading:
    """Reads told usage and remembers what each day said."""

    caller_pays: bool
    entries: Entries
    by_region: bool
    _start: date = date.min
    _end: date = date.min
    _days: frozenset[date] | None = None
    _digests: dict[date, Digest] = field(default_factory=dict)
    _versions: dict[date, int | None] = field(default_factory=dict)
    _rows: list[ToldUsage] = field(default_factory=list)

    def read(self, start: date, end: date, *, days: Iterable[date] | None) -> list[ToldUsage]:
        """Rows of all days of the half-open range, or of these only."""
        self._start, self._end = start, end
        self._days = None if days is None else frozenset(days)
        # Versions first: what comes in between is read now, and again by the next run.
        self._versions = usage_versions(start, end)
        wanted = (
            [Period(start, end)] if days is None else [Period(d, d + DAY) for d in sorted(days) if start <= d < end]
        )
        rows = [
            row
            for part in wanted
            for row in told_usage(self._noted(part), caller_pays=self.caller_pays, entries=self.entries)
        ]
        if any(row.caller for row in rows):
            rows = caller_owners(rows)
        self._rows = rows
        return rows

    def _noted(self, part: Period) -> Iterator[str]:
        for line in copy_lines(usage_sql(part.start, part.end, by_region=self.by_region)):
            day = date.fromisoformat(line[:10])
            digest = self._digests.get(day)
            if digest is None:
                digest = self._digests[day] = Digest()
            digest.add(line)
            yield line

    def facts(self, billed_as: Callable[[Key], Key]) -> UsageFacts:
        """Of the days that were read; `billed_as` names a call's key as the index does."""
        told: dict[date, tuple[set[Key], list[bool], set[str]]] = {}
        for row in self._rows:
            keys, flags, callers = told.setdefault(row.day, (set(), [False, False], set()))
            keys.add(row.key)
            if row.caller is not None:
                callers.add(row.caller)
            flags[0] = flags[0] or any("." in text for text in row.tokens)
            flags[1] = flags[1] or row.variance != (0, 0)
        silent = [day for day in self._versions if day not in told and (self._days is None or day in self._days)]
        return UsageFacts(
            self._start,
            self._end,
            {day: DayFacts(self._versions[day], "", frozenset(), False, False, ()) for day in silent}
            | {
                day: DayFacts(
                    self._versions.get(day, 0),
                    self._digests[day].hexdigest(),
                    frozenset(map(billed_as, keys)),
                    has_fractions=flags[0],
                    is_sampled=flags[1],
                    callers=tuple(sorted(callers)),
                )
                for day, (keys, flags, callers) in told.items()
            },
        )


@dataclass(frozen=True)
class LateUsage:
    """Days that are read again, and what a former run knew of the others."""

    days: frozenset[date]
    known: UsageFacts

    @property
    def others(self) -> dict[date, DayFacts]:
        return {day: facts for day, facts in self.known.days.items() if day not in self.days}

    def joined(self, read: UsageFacts) -> UsageFacts:
        return UsageFacts(read.start, read.end, {**self.others, **read.days})

    def check(self, joined: UsageFacts) -> None:
        """Raises WholeMonthNeeded where the days that were read change how all others are read."""
        if joined.is_sampled or joined.places != self.known.places:
            raise WholeMonthNeeded("sampled usage, or tokens of other decimal places")

    def complete(self, index: UsageIndex) -> None:
        """Make the index of the days that were read one of the month, whose other days have keys but no rows."""
        index.is_partial = True
        for day, facts in self.others.items():
            for key in facts.keys:
                index.days.setdefault(key, {}).setdefault(day, [])
