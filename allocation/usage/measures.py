"""What `proportional` splits go by, by target and day: calls and tokens of traces, GPU-seconds, and
uploaded series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from django.db import connection

from allocation.catalogue.token_classes import ALL_COLUMNS, OUTPUT_SIDE, TOKEN_COLUMNS
from allocation.models import DriverPoint
from allocation.organisation.targets import NAMED, Organisation, Owner, Target, at_level, resolve
from allocation.rules.methods import (
    GPU_SECONDS,
    REQUESTS,
    SEATS,
    SERIES,
    TOKEN_DRIVERS,
    Split,
)
from allocation.usage.facts import UsageFacts
from allocation.usage.keys import SAME_PROVIDER, DeclaredUsage, Key, declared_owner
from allocation.values.money import places_of, plain, quanta_of
from allocation.values.periods import Period

GPU_SQL = """
-- One row per day, node and workload owner; a node's own row has no owner and carries the capacity.
SELECT (hour AT TIME ZONE 'UTC')::date AS day, node, workload IS NOT NULL, team, feature,
    environment, phase,
    sum(booked_seconds), sum(capacity_seconds)
FROM allocation_gpuusage
WHERE hour >= %(start)s AND hour < %(end)s
GROUP BY 1, 2, 3, 4, 5, 6, 7
ORDER BY 1, node COLLATE "C", 3, team COLLATE "C", feature COLLATE "C", environment COLLATE "C",
    phase COLLATE "C"
"""


class GpuRow(NamedTuple):
    """One day of one owner's workloads on a node; `owner` None is the node itself, with its
    capacity.
    """

    day: date
    node: str
    owner: Owner | None
    booked: Decimal
    capacity: Decimal | None


def load_gpu(*, start: date, end: date, note: Callable[[str], None]) -> list[GpuRow]:
    """GPU usage of these days; `note` is told every row, for the fingerprint of the inputs."""
    with connection.cursor() as cursor:
        cursor.execute(GPU_SQL, {"start": f"{start} 00:00+00", "end": f"{end} 00:00+00"})
        rows = cursor.fetchall()
    found = []
    for row in rows:
        day, node, is_workload, team, feature, environment, phase, booked, capacity = row
        note(repr((*row[:7], plain(booked), None if capacity is None else plain(capacity))))
        owner = Owner(team, feature, environment=environment, phase=phase) if is_workload else None
        found.append(GpuRow(day, node, owner, booked, capacity))
    return found


class Booking(NamedTuple):
    target: int
    seconds: int


class NodeDay(NamedTuple):
    """What was booked on a node, in whole numbers of the index's places; capacity None where nobody
    reported it.
    """

    bookings: tuple[Booking, ...]
    capacity: int | None


@dataclass
class GpuIndex:
    """Bookings by node and day; the month under None."""

    places: int = 0
    nodes: dict[str, dict[date | None, NodeDay]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, rows: Sequence[GpuRow], *, nodes: Iterable[str], number: Callable[[Owner, date], int]
    ) -> GpuIndex:
        """The index of some nodes; `number` makes the target of an owner on a day."""
        wanted = set(nodes)
        # Places of every row, so that a bill of another node does not change how amounts are
        # written.
        texts = [
            plain(value)
            for row in rows
            for value in (row.booked, row.capacity)
            if value is not None
        ]
        rows = [row for row in rows if row.node in wanted]
        index = cls(places=max(map(places_of, texts), default=0))
        bookings: dict[str, dict[date | None, dict[int, int]]] = {}
        capacity: dict[str, dict[date | None, int]] = {}
        for row in rows:
            for day in (row.day, None):
                booked = bookings.setdefault(row.node, {}).setdefault(day, {})
                if row.owner is not None and row.booked:
                    target = number(row.owner, row.day)
                    booked[target] = booked.get(target, 0) + quanta_of(
                        plain(row.booked), index.places
                    )
                if row.capacity is not None:
                    known = capacity.setdefault(row.node, {})
                    known[day] = known.get(day, 0) + quanta_of(plain(row.capacity), index.places)
        index.nodes = {
            node: {
                day: NodeDay(
                    tuple(Booking(*pair) for pair in booked.items()),
                    capacity.get(node, {}).get(day),
                )
                for day, booked in days.items()
            }
            for node, days in bookings.items()
        }
        return index


CACHED = TOKEN_COLUMNS.index("cache_read")
# Indexes into TOKEN_COLUMNS that each token driver counts.
TOKENS_OF: dict[str, tuple[int, ...]] = {
    "tokens": ALL_COLUMNS,
    "input_tokens": tuple(n for n in ALL_COLUMNS if n not in OUTPUT_SIDE and n != CACHED),
    "output_tokens": OUTPUT_SIDE,
    "cached_tokens": (CACHED,),
}
NAMES = {
    REQUESTS: "requests",
    "tokens": "tokens",
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
    "cached_tokens": "cached tokens",
    GPU_SECONDS: "GPU-seconds booked",
}
BY_USAGE = frozenset({REQUESTS, *TOKEN_DRIVERS})


class Measure(NamedTuple):
    """What a driver counts for one target, in whole numbers of 10**-places, and the rung of what
    says so.
    """

    weight: int
    rung: int


class Measures(NamedTuple):
    """A driver over some time: by target without model, in 10**-places."""

    by_target: Mapping[Target, Measure]
    places: int
    name: str


class Reading(NamedTuple):
    """A number that counts for a target on a day; `day` None is the month as a whole."""

    day: date | None
    target: Target
    quantity: str  # plain decimal text
    rung: int


@dataclass
class MeasureBook:
    """Measures of a month, each summed once when it is first asked for.

    `facts` know whether a day has any usage; its rows come from `usage_on`, those of the month,
    several days in one, from `usage_on(None)`.
    """

    month: date
    organisation: Organisation
    facts: UsageFacts
    usage_on: Callable[[date | None], Sequence[DeclaredUsage]]
    gpu: Sequence[GpuRow]
    series: Mapping[str, Sequence[Reading]]
    _summed: dict[tuple[object, ...], Sums] = field(default_factory=dict)

    def __call__(self, split: Split, day: date | None) -> Measures:
        """The driver of the split on a day, or in the month where `day` is None."""
        if split.driver in BY_USAGE:
            sums = self._of_usage(split, day) if day is None or self.has_usage(split, day) else {}
        else:
            sums = self._of_readings(split)
        by_target, places = sums.get(day, ({}, 0))
        name = NAMES.get(split.driver or "") or split.series or "seats"
        return Measures(by_target, places, name)

    def has_usage(self, split: Split, day: date) -> bool:
        """Whether usage on the day counts for a split by calls or tokens."""
        columns = TOKENS_OF.get(split.driver or "")
        return self._is_within(day) and any(
            sums.of(columns) if columns else any(sums.calls.values())
            for key, days in self.facts.days.items()
            if is_counted(split, key) and (sums := days.get(day)) is not None
        )

    def _is_within(self, day: date) -> bool:
        within = Period.month(self.month)
        return within.start <= day < within.end

    def _of_usage(self, split: Split, day: date | None) -> Sums:
        name = (split.driver, split.usage, split.level, day)
        found = self._summed.get(name)
        if found is None:
            readings = self._usage_readings(split, self.usage_on(day), day)
            found = self._summed[name] = summed(self._at_level(split, readings))
        return found

    def _of_readings(self, split: Split) -> Sums:
        name = (split.driver, split.series, split.level)
        found = self._summed.get(name)
        if found is None:
            found = self._summed[name] = summed(self._at_level(split, self._readings(split)))
        return found

    def _at_level(self, split: Split, readings: Iterable[Reading]) -> list[Reading]:
        levels: dict[Target, Target] = {}
        found = []
        for reading in readings:
            target = reading.target
            level = levels.get(target)
            if level is None:
                named = at_level(target, split.level) or Target(reason=target.reason)
                level = levels[target] = named
            found.append(reading._replace(target=level))
        return found

    def _readings(self, split: Split) -> Iterable[Reading]:
        if split.driver in (SERIES, SEATS):
            return self.series.get(split.series or "", [])
        if split.driver == GPU_SECONDS:
            return self._gpu_readings()
        raise LookupError(f"there is no driver {split.driver}")

    def _usage_readings(
        self, split: Split, rows: Iterable[DeclaredUsage], day: date | None
    ) -> Iterable[Reading]:
        columns = TOKENS_OF.get(split.driver or "")
        targets: dict[tuple[object, ...], Target] = {}
        for row in rows:
            if not self._is_within(row.day) or not is_counted(split, row.key):
                continue
            name = (row.attributes, self.organisation.epoch(row.day))
            target = targets.get(name)
            if target is None:
                target = targets[name] = self._target(declared_owner(row), row.day)
            counted = row.calls if columns is None else _sum_text([row.tokens[n] for n in columns])
            yield Reading(day, target, counted, row.rung)

    def _gpu_readings(self) -> Iterable[Reading]:
        for row in self.gpu:
            if self._is_within(row.day) and row.owner is not None:
                yield Reading(row.day, self._target(row.owner, row.day), plain(row.booked), NAMED)

    def _target(self, owner: Owner, day: date) -> Target:
        return resolve(self.organisation, owner, model=None, day=day)


def is_counted(split: Split, key: Key) -> bool:
    """Whether calls of the key count: those of the provider, project or model that it names."""
    for name, value in split.usage:
        wanted = SAME_PROVIDER.get(value, value) if name == "provider" else value
        if getattr(key, name) != wanted:
            return False
    return True


def _sum_text(texts: Sequence[str]) -> str:
    try:
        return str(sum(map(int, texts)))
    except ValueError:
        return plain(sum(map(Decimal, texts), Decimal(0)))


# By day, None for the month: what each target has, in whole numbers of so many places as the sums
# need.
Sums = dict[date | None, tuple[dict[Target, Measure], int]]


def summed(readings: Sequence[Reading]) -> Sums:
    """Sums by day and of the month. Zeros are kept out."""
    places = max((places_of(reading.quantity) for reading in readings), default=0)
    sums: dict[date | None, dict[Target, list[int]]] = {}
    for day, target, quantity, rung in readings:
        if weight := quanta_of(quantity, places):
            _add(sums.setdefault(day, {}), target, weight, rung)
    month = {target: list(measure) for target, measure in sums.get(None, {}).items()}
    for day, of_day in sums.items():
        for target, (weight, rung) in of_day.items() if day else ():
            _add(month, target, weight, rung)
    by_day = {**sums, None: month} if sums else {}
    return {day: _in_least_places(of, places) for day, of in by_day.items()}


def _in_least_places(
    sums: Mapping[Target, list[int]], places: int
) -> tuple[dict[Target, Measure], int]:
    """However the sums came to be, they are written alike."""
    more = 0
    while more < places and all(weight % 10 ** (more + 1) == 0 for weight, _ in sums.values()):
        more += 1
    measures = {
        target: Measure(weight // 10**more, rung) for target, (weight, rung) in sums.items()
    }
    return measures, places - more


def _add(sums: dict[Target, list[int]], target: Target, weight: int, rung: int) -> None:
    known = sums.get(target)
    if known is None:
        sums[target] = [weight, rung]
    else:
        known[0] += weight
        known[1] = max(known[1], rung)


def load_series(
    names: Iterable[str], *, month: date, organisation: Organisation, note: Callable[[str], None]
) -> dict[str, list[Reading]]:
    """The month's readings of these series; `note` is told every row, for the fingerprint of the
    inputs.
    """
    found: dict[str, list[Reading]] = {}
    rows = DriverPoint.objects.filter(series__in=sorted(set(names)), month=month)
    for row in rows.order_by("series", "day", "team", "feature").values_list(
        "series", "day", "team", "feature", "quantity"
    ):
        series, day, team, feature, quantity = row
        note(repr((*row[:4], plain(quantity))))
        target = resolve(organisation, Owner(team, feature), model=None, day=day or month)
        found.setdefault(series, []).append(Reading(day, target, plain(quantity), NAMED))
    return found
