"""What `proportional` splits go by, by target and day: calls and tokens of traces, GPU-seconds, and
uploaded series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from django.db import connection

from allocation.catalogue.canonical import ALL_COLUMNS, OUTPUT_SIDE, TOKEN_COLUMNS
from allocation.models import DriverPoint
from allocation.organisation.targets import (
    NAMED,
    Numbers,
    Organisation,
    Owner,
    Target,
    at_level,
    resolve,
)
from allocation.rules.methods import (
    GPU_SECONDS,
    REQUESTS,
    SEATS,
    SERIES,
    TOKEN_DRIVERS,
    Split,
)
from allocation.usage.facts import Number
from allocation.usage.index import Usage, UsageIndex
from allocation.usage.keys import SAME_PROVIDER, Key
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
    """Measures of a month, each summed once when it is first asked for."""

    month: date
    organisation: Organisation
    book: Numbers
    traces: UsageIndex
    gpu: Sequence[GpuRow]
    series: Mapping[str, Sequence[Reading]]
    _summed: dict[tuple[object, ...], Sums] = field(default_factory=dict)
    _of_traces: dict[tuple[object, ...], Measured] = field(default_factory=dict)
    _levels: dict[str, dict[int, Target]] = field(default_factory=dict)

    def __call__(self, split: Split, day: date | None) -> Measures:
        """The driver of the split on a day, or in the month where `day` is None."""
        if split.driver in BY_USAGE:
            by_target, places = self._of_usage(split, day)
        else:
            by_target, places = self._of_readings(split).get(day, NOTHING_MEASURED)
        name = NAMES.get(split.driver or "") or split.series or "seats"
        return Measures(by_target, places, name)

    def has_usage(self, split: Split, day: date) -> bool:
        """Whether usage on the day counts for a split by calls or tokens."""
        columns = TOKENS_OF.get(split.driver or "")
        return self._is_within(day) and any(
            sums.of(columns) if columns else any(sums.calls.values())
            for key, days in self.traces.facts.days.items()
            if is_counted(split, key) and (sums := days.get(day)) is not None
        )

    def _is_within(self, day: date) -> bool:
        within = Period.month(self.month)
        return within.start <= day < within.end

    # ------------------------------------------------------------ calls and tokens

    def _of_usage(self, split: Split, day: date | None) -> Measured:
        name = (split.driver, split.usage, split.level, day)
        found = self._of_traces.get(name)
        if found is None:
            found = self._of_traces[name] = self._counted(split, self._rows(split, day))
        return found

    def _rows(self, split: Split, day: date | None) -> Iterator[Usage]:
        if day is None:
            for key, of_day, row in self.traces.month:
                if self._is_within(of_day) and is_counted(split, key):
                    yield row
        elif self._is_within(day):
            for key, rows in self.traces.days.get(day, {}).items():
                if is_counted(split, key):
                    yield from rows

    def _counted(self, split: Split, rows: Iterable[Usage]) -> Measured:
        """Summed by number first: many rows are of one target, and some targets of one level."""
        columns = TOKENS_OF.get(split.driver or "")
        counts: dict[int, Number] = {}
        rungs: dict[int, int] = {}
        for row in rows:
            count = row.calls if columns is None else sum([row.tokens[n] for n in columns])
            if count:
                number = row.target
                counts[number] = counts.get(number, 0) + count
                if row.rung > rungs.get(number, 0):
                    rungs[number] = row.rung
        sums: dict[Target, Number] = {}
        weakest: dict[Target, int] = {}
        for number, count in counts.items():
            level = self._at_level(split, number)
            sums[level] = sums.get(level, 0) + count
            weakest[level] = max(weakest.get(level, 0), rungs[number])
        weights, places = whole_numbers(sums, 0 if columns is None else self.traces.facts.places)
        return {level: Measure(weights[level], weakest[level]) for level in sums}, places

    def _at_level(self, split: Split, number: int) -> Target:
        levels = self._levels.setdefault(split.level, {})
        found = levels.get(number)
        if found is None:
            found = levels[number] = named_at(self.book.targets[number], split.level)
        return found

    # ------------------------------------------------------------ GPU usage and series

    def _of_readings(self, split: Split) -> Sums:
        name = (split.driver, split.series, split.level)
        found = self._summed.get(name)
        if found is None:
            readings = [
                reading._replace(target=named_at(reading.target, split.level))
                for reading in self._readings(split)
            ]
            found = self._summed[name] = summed(readings)
        return found

    def _readings(self, split: Split) -> Iterable[Reading]:
        if split.driver in (SERIES, SEATS):
            return self.series.get(split.series or "", [])
        if split.driver == GPU_SECONDS:
            return self._gpu_readings()
        raise LookupError(f"there is no driver {split.driver}")

    def _gpu_readings(self) -> Iterable[Reading]:
        for row in self.gpu:
            if self._is_within(row.day) and row.owner is not None:
                target = resolve(self.organisation, row.owner, model=None, day=row.day)
                yield Reading(row.day, target, plain(row.booked), NAMED)


def named_at(target: Target, level: str) -> Target:
    """The target as a split of the level names it; without a team only why it has none."""
    return at_level(target, level) or Target(reason=target.reason)


def is_counted(split: Split, key: Key) -> bool:
    """Whether calls of the key count: those of the provider, project or model that it names."""
    for name, value in split.usage:
        wanted = SAME_PROVIDER.get(value, value) if name == "provider" else value
        if getattr(key, name) != wanted:
            return False
    return True


# What each target has, in whole numbers of so many places as the sums need.
Measured = tuple[dict[Target, Measure], int]
Sums = dict[date | None, Measured]  # by day, None for the month
NOTHING_MEASURED: Measured = ({}, 0)


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


def _in_least_places(sums: Mapping[Target, list[int]], places: int) -> Measured:
    """However the sums came to be, they are written alike."""
    weights, least = whole_numbers({target: weight for target, (weight, _) in sums.items()}, places)
    return {target: Measure(weights[target], rung) for target, (_, rung) in sums.items()}, least


def whole_numbers(sums: Mapping[Target, Number], places: int) -> tuple[dict[Target, int], int]:
    """The numbers, which are of 10**-places, as whole ones of as few places as they need."""
    more = 0
    if all(isinstance(number, int) for number in sums.values()):
        while more < places and all(number % 10 ** (more + 1) == 0 for number in sums.values()):
            more += 1
        return {target: int(number) // 10**more for target, number in sums.items()}, places - more
    while any((number * 10**more).denominator != 1 for number in sums.values()):
        more += 1
    return {target: int(number * 10**more) for target, number in sums.items()}, places + more


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
