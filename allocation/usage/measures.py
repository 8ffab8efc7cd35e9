"""What `proportional` splits go by: calls and tokens of traces, GPU-seconds, and uploaded series,
by target and day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from allocation.catalogue.token_classes import OUTPUT_SIDE, TOKEN_COLUMNS
from allocation.models import DriverPoint
from allocation.organisation.owners import NAMED, Owner
from allocation.organisation.targets import Organisation, Target, at_level, resolve
from allocation.plans.gpu import GpuRow
from allocation.rules.methods import (
    GPU_SECONDS,
    REQUESTS,
    SEATS,
    SERIES,
    TOKEN_DRIVERS,
    Split,
)
from allocation.usage.index import ALL_USAGE, SAME_PROVIDER, ToldUsage, WholeMonthNeeded, told_owner
from allocation.values.money import places_of, plain, quanta_of
from allocation.values.periods import Period

CACHED = TOKEN_COLUMNS.index("cache_read")
# Indexes into TOKEN_COLUMNS that each token driver counts.
TOKENS_OF: dict[str, tuple[int, ...]] = {
    "tokens": tuple(range(len(TOKEN_COLUMNS))),
    "input_tokens": tuple(
        n for n in range(len(TOKEN_COLUMNS)) if n not in OUTPUT_SIDE and n != CACHED
    ),
    "output_tokens": OUTPUT_SIDE,
    "cached_tokens": (CACHED,),
}
NAMES = {REQUESTS: "requests", "tokens": "tokens", "input_tokens": "input tokens", "output_tokens": "output tokens",
         "cached_tokens": "cached tokens", GPU_SECONDS: "GPU-seconds booked"}  # fmt: skip


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


# Driver, level and time (None: the month) -> what it counts.
MeasuresOf = Callable[[Split, date | None], Measures]


class Reading(NamedTuple):
    """A number that counts for a target on a day; `day` None is the month as a whole."""

    day: date | None
    target: Target
    quantity: str  # plain decimal text
    rung: int


@dataclass
class MeasureBook:
    """Measures of a month, each summed once when it is first asked for.

    `usage` is that of the days `loaded`, None for all, with the `rest` of the month in one or
    without; WholeMonthNeeded is raised where that doesn't answer. `month_reads` is told where the
    month's calls were asked for.
    """

    month: date
    organisation: Organisation
    usage: Sequence[ToldUsage]
    gpu: Sequence[GpuRow]
    series: dict[str, list[Reading]]
    loaded: frozenset[date] | None = None
    rest: Sequence[ToldUsage] | None = None
    month_reads: set[str] = field(default_factory=set)
    _summed: dict[tuple[object, ...], Sums] = field(default_factory=dict)

    def __call__(self, split: Split, day: date | None) -> Measures:
        """The driver of the split on a day, or in the month where `day` is None."""
        if split.driver == REQUESTS or split.driver in TOKEN_DRIVERS:
            self._check(day)
        by_target, places = self._of(split).get(day, ({}, 0))
        name = NAMES.get(split.driver or "") or split.series or "seats"
        return Measures(by_target, places, name)

    def _check(self, day: date | None) -> None:
        if day is None:
            self.month_reads.add(ALL_USAGE)
        if self.loaded is not None and (
            self.rest is None if day is None else day not in self.loaded
        ):
            raise WholeMonthNeeded(f"all calls of {day or 'the month'}")

    def _of(self, split: Split) -> Sums:
        name = (split.driver, split.series, split.usage, split.level)
        if name not in self._summed:
            levels: dict[Target, Target] = {}

            def level(target: Target) -> Target:
                own = at_level(target, split.level) or Target(reason=target.reason)
                return levels.setdefault(target, own)

            self._summed[name] = summed(
                [
                    Reading(day, levels.get(target) or level(target), quantity, rung)
                    for day, target, quantity, rung in self._readings(split)
                ]
            )
        return self._summed[name]

    def _readings(self, split: Split) -> Iterable[Reading]:
        if split.driver in (SERIES, SEATS):
            return self.series.get(split.series or "", [])
        if split.driver == GPU_SECONDS:
            return self._gpu_readings()
        if split.driver != REQUESTS and split.driver not in TOKEN_DRIVERS:
            raise LookupError(f"there is no driver {split.driver}")
        return self._usage_readings(split)

    def _usage_readings(self, split: Split) -> Iterable[Reading]:
        wanted = dict(split.usage)
        if "provider" in wanted:
            wanted["provider"] = SAME_PROVIDER.get(wanted["provider"], wanted["provider"])
        columns = TOKENS_OF.get(split.driver or "")
        within = Period.month(self.month)
        targets: dict[tuple[object, ...], Target] = {}
        for is_rest, rows in ((False, self.usage), (True, self.rest or ())):
            for row in rows:
                if not within.start <= row.day < within.end:
                    continue
                if any(getattr(row.key, name) != value for name, value in wanted.items()):
                    continue
                name = (row.attributes, self.organisation.epoch(row.day))
                target = targets.get(name) or targets.setdefault(
                    name, self._target(told_owner(row), row.day)
                )
                counted = (
                    row.calls if columns is None else _sum_text([row.tokens[n] for n in columns])
                )
                yield Reading(None if is_rest else row.day, target, counted, row.rung)

    def _gpu_readings(self) -> Iterable[Reading]:
        within = Period.month(self.month)
        for row in self.gpu:
            if within.start <= row.day < within.end and row.owner is not None:
                yield Reading(row.day, self._target(row.owner, row.day), plain(row.booked), NAMED)

    def _target(self, owner: Owner, day: date) -> Target:
        return resolve(self.organisation, owner, model=None, day=day)


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
    return {
        target: Measure(weight // 10**more, rung) for target, (weight, rung) in sums.items()
    }, places - more


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
