"""What a run knew of each day's usage: enough for the next run to read only the days that changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from django.db import connection

from allocation.catalogue.entries import Entries
from allocation.storage.copy_text import copy_lines
from allocation.usage.day_sums import sum_days
from allocation.usage.driver_data import Reports
from allocation.usage.index import (
    DRIVER_PLACES,
    CallerNames,
    Digest,
    Key,
    ToldUsage,
    UsageIndex,
    WholeMonthNeeded,
    caller_names,
    names_sql,
    rest_sql,
    told_usage,
    usage_sql,
)
from allocation.usage.reports import Owners, caller_owners
from allocation.values.periods import DAY, Period

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
            if (now := versions.get(day, 0)) is None
            or day not in self.days
            or now != self.days[day].version
        }

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> UsageFacts:
        keys = [Key(*cells) for cells in told["keys"]]
        return cls(
            start=date.fromisoformat(told["start"]),
            end=date.fromisoformat(told["end"]),
            days={
                date.fromisoformat(day): DayFacts(
                    version,
                    sha256,
                    frozenset(keys[n] for n in places),
                    has_fractions,
                    is_sampled,
                    tuple(callers),
                )
                for day, (version, sha256, places, has_fractions, is_sampled, callers) in told[
                    "days"
                ].items()
            },
        )


@dataclass(frozen=True)
class UsageReader:
    """How usage of a half-open range of days is read: with or without its regions, which side of a
    call between agents pays, the organisation's own names of models, and whose each gateway's key
    is.
    """

    start: date
    end: date
    by_region: bool
    caller_pays: bool
    entries: Entries
    owners: Owners

    def read(
        self, days: frozenset[date] | None, *, billed_as: Callable[[Key], Key]
    ) -> tuple[list[ToldUsage], UsageFacts]:
        """Told usage of all days, or of these only, and what each of them said.

        `billed_as` names a call's key as the index does.
        """
        start, end = self.start, self.end
        # Versions first: what comes in between is read now, and again by the next run.
        versions = usage_versions(start, end)
        sum_days(start, end)
        parts = (
            [Period(start, end)]
            if days is None
            else [Period(d, d + DAY) for d in sorted(days) if start <= d < end]
        )
        rows, digests = self._told(
            usage_sql(part.start, part.end, by_region=self.by_region) for part in parts
        )
        silent = {
            day: DayFacts(version, "", frozenset(), False, False, ())
            for day, version in versions.items()
            if day not in digests and (days is None or day in days)
        }
        return rows, UsageFacts(start, end, silent | _facts_of(rows, versions, digests, billed_as))

    def rest(self, *, but: frozenset[date], cuts: Iterable[date]) -> list[ToldUsage]:
        """Told usage of all days `but` these, as one row for all days between two cuts.

        Whose a call is must be the same on all of these days. The day of a row is one of them.
        """
        owned = {day for days, _ in self.owners.values() for day in days}
        cuts = {self.start, *cuts, *owned}
        rows, _ = self._told(
            [rest_sql(self.start, self.end, but=but, cuts=cuts, by_region=self.by_region)]
        )
        return rows

    def _told(self, statements: Iterable[str]) -> tuple[list[ToldUsage], dict[date, Digest]]:
        """What the statements find, and the digest of what each day says, names and all."""
        lines = [line.split("\t", 3) for sql in statements for line in copy_lines(sql)]
        names = self._names({dimension for _, _, dimension, _ in lines})
        days = {text: date.fromisoformat(text) for text in {text for text, *_ in lines}}
        digests = {day: Digest() for day in days.values()}
        rows = []
        for text, _, dimension, numbers in lines:
            day, own = days[text], names[dimension]
            digests[day].add(f"{text}\t{own.text}\t{numbers}")
            rows.append(told_usage(day, own, numbers))
        return caller_owners(rows, self.owners), digests

    def _names(self, dimensions: Iterable[str]) -> dict[str, CallerNames]:
        lines = (
            line.split("\t", 1)
            for line in copy_lines(names_sql(dimensions, by_region=self.by_region))
        )
        return {
            dimension: caller_names(told, caller_pays=self.caller_pays, entries=self.entries)
            for dimension, told in lines
        }


def _facts_of(
    rows: Sequence[ToldUsage],
    versions: Mapping[date, int | None],
    digests: Mapping[date, Digest],
    billed_as: Callable[[Key], Key],
) -> dict[date, DayFacts]:
    """Of days with usage."""
    by_day: dict[date, list[ToldUsage]] = {}
    for row in rows:
        by_day.setdefault(row.day, []).append(row)
    return {
        day: DayFacts(
            version=versions.get(day, 0),
            sha256=digests[day].hexdigest(),
            keys=frozenset(map(billed_as, {row.key for row in own})),
            has_fractions=any("." in "".join(row.tokens) for row in own),
            is_sampled=any(row.variance != (0, 0) for row in own),
            callers=tuple(sorted({row.caller for row in own if row.caller is not None})),
        )
        for day, own in by_day.items()
    }


@dataclass(frozen=True)
class LateUsage:
    """Days that are read again, and what a former run knew of the others.

    `reports` are the providers' ones as that run read them; None: not to be relied upon.
    """

    days: frozenset[date]
    known: UsageFacts
    reports: Reports | None

    @property
    def others(self) -> dict[date, DayFacts]:
        return {day: facts for day, facts in self.known.days.items() if day not in self.days}

    def joined(self, read: UsageFacts) -> UsageFacts:
        return UsageFacts(read.start, read.end, {**self.others, **read.days})

    def check(self, joined: UsageFacts) -> None:
        """Raises WholeMonthNeeded where the days that were read change how all others are read."""
        if joined.is_sampled or joined.places != self.known.places:
            raise WholeMonthNeeded("sampled usage, or tokens of other decimal places")

    def check_others(self) -> None:
        """Raises WholeMonthNeeded where usage of the other days came meanwhile: read now, the rest
        of the month would not be what is known of it.
        """
        now = usage_versions(self.known.start, self.known.end)
        if not self.known.changed_days(now) <= self.days:
            raise WholeMonthNeeded("usage of other days came meanwhile")

    def complete(self, index: UsageIndex, rest: UsageIndex | None) -> None:
        """Make the index of the days that were read one of the month, whose other days have keys
        but no rows.

        `rest` has the rows of all other days together, under any day.
        """
        together = None
        if rest is not None:
            together = {
                key: [row for rows in days.values() for row in rows]
                for key, days in rest.days.items()
            }
        others = ((key, day) for day, facts in self.others.items() for key in facts.keys)
        index.complete(self.days, others, together)
