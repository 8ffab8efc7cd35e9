"""The on-call view: burn, errors, latency and traffic of the last hour, most unusual first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from reports.analysis.latency import Histogram
from reports.analysis.usual import Comparison, compare
from reports.queries.usage.now import HourRow, LatencyRow

MINUTES = Decimal(60)
Key = tuple[str | None, str | None]  # provider, model
Item = TypeVar("Item")


@dataclass(frozen=True)
class Stretch:
    """Sixty minutes of some calls."""

    calls: Decimal = Decimal(0)
    errors: Decimal = Decimal(0)
    tokens: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    unpriced_calls: Decimal = Decimal(0)
    pending_calls: Decimal = Decimal(0)
    latency: Histogram = field(default_factory=lambda: Histogram(counts=()))

    @property
    def error_rate(self) -> Decimal | None:
        return self.errors / self.calls if self.calls else None

    @property
    def tokens_per_minute(self) -> Decimal:
        return self.tokens / MINUTES

    @property
    def p95_ms(self) -> Decimal | None:
        value = self.latency.percentile_ms(0.95)
        return None if value is None else Decimal(round(value, 3)).quantize(Decimal("0.001"))


@dataclass(frozen=True)
class OnCallMeasure:
    """How one measure is read, and from when on its deviation deserves a look."""

    name: str
    title: str
    unit: str
    value: Callable[[Stretch], Decimal | None]
    factor: Decimal
    least: Decimal  # deviation below this, in the unit, is noise
    is_estimate: bool = False
    only_above: bool = False  # less of it is no trouble
    least_calls: int = 0  # of fewer calls it says nothing


RATE: dict[str, Any] = {"only_above": True, "least_calls": 20}
MEASURES = (
    OnCallMeasure(
        "burn",
        "Burn",
        "USD per hour",
        lambda s: s.cost,
        Decimal("1.5"),
        Decimal(1),
        is_estimate=True,
    ),
    OnCallMeasure(
        "errors",
        "Error rate",
        "of calls",
        lambda s: s.error_rate,
        Decimal("1.5"),
        Decimal("0.01"),
        **RATE,
    ),
    OnCallMeasure(
        "p95", "p95 latency", "ms", lambda s: s.p95_ms, Decimal("1.5"), Decimal(50), **RATE
    ),
    OnCallMeasure(
        "tokens",
        "Tokens",
        "per minute",
        lambda s: s.tokens_per_minute,
        Decimal("1.5"),
        Decimal(100),
    ),
    OnCallMeasure("calls", "Calls", "per hour", lambda s: s.calls, Decimal("1.5"), Decimal(20)),
)


@dataclass(frozen=True)
class OnCallReading:
    """One measure of one subject."""

    measure: OnCallMeasure
    comparison: Comparison
    calls: Decimal  # now

    @property
    def is_off(self) -> bool:
        if self.calls < self.measure.least_calls or (
            self.measure.only_above and self.comparison.place == "below"
        ):
            return False
        return self.comparison.is_off(factor=self.measure.factor, least=self.measure.least)

    @property
    def weight(self) -> Decimal:
        """How far from usual, as a factor of at least 1, where it is off; 0 otherwise."""
        if not self.is_off:
            return Decimal(0)
        ratio = self.comparison.ratio
        if ratio is None or not ratio:
            return Decimal(1000)
        return max(ratio, 1 / ratio)


@dataclass(frozen=True)
class Subject:
    """A model, or everything (provider and model None and `is_total`)."""

    provider: str | None
    model: str | None
    is_total: bool
    now: Stretch
    readings: tuple[OnCallReading, ...]

    @property
    def off(self) -> list[OnCallReading]:
        return sorted((r for r in self.readings if r.is_off), key=lambda r: -r.weight)

    def reading(self, name: str) -> OnCallReading:
        return next(r for r in self.readings if r.measure.name == name)


@dataclass(frozen=True)
class OnCall:
    total: Subject
    models: list[Subject]  # what is off first, then by burn

    @property
    def is_silent(self) -> bool:
        """No call at all in the last 60 minutes."""
        return not self.total.now.calls

    @property
    def off(self) -> list[tuple[Subject, OnCallReading]]:
        """Everything unusual, totals before models, the furthest from usual first."""
        found = [
            (subject, reading) for subject in (self.total, *self.models) for reading in subject.off
        ]
        return sorted(found, key=lambda pair: (not pair[0].is_total, -pair[1].weight))


def on_call(
    *, usage: Sequence[HourRow], latency: Sequence[LatencyRow], known_weeks: Sequence[int]
) -> OnCall:
    """Compares week 0 with the weeks in `known_weeks`; a model without calls in a known week counts
    as zero there.
    """
    stretches = _stretches(usage, latency)
    keys = {key for _, key in stretches}
    models = [_subject(key, stretches, known_weeks) for key in keys]
    total_by_week = {
        week: _sum(value for (w, _), value in stretches.items() if w == week)
        for week in (0, *known_weeks)
    }
    total = Subject(None, None, True, total_by_week[0], _readings(total_by_week, known_weeks))
    shown = [model for model in models if model.now.calls or model.off]
    return OnCall(total=total, models=sorted(shown, key=_most_unusual_first))


def _most_unusual_first(subject: Subject) -> tuple[Decimal, Decimal, str, str]:
    weight = max((reading.weight for reading in subject.readings), default=Decimal(0))
    return -weight, -subject.now.cost, subject.model or "", subject.provider or ""


def _stretches(
    usage: Iterable[HourRow], latency: Iterable[LatencyRow]
) -> dict[tuple[int, Key], Stretch]:
    bins: dict[tuple[int, Key], list[tuple[int, Decimal]]] = {}
    for latency_row in latency:
        key = (latency_row.weeks_back, (latency_row.provider, latency_row.model))
        bins.setdefault(key, []).append((latency_row.bin, latency_row.calls))
    found = {}
    for row in usage:
        key = (row.weeks_back, (row.provider, row.model))
        found[key] = Stretch(
            calls=row.calls,
            errors=row.errors,
            tokens=row.tokens,
            cost=row.cost,
            unpriced_calls=row.unpriced_calls,
            pending_calls=row.pending_calls,
            latency=Histogram.of(bins.get(key, [])),
        )
    return found


def _sum(stretches: Iterable[Stretch]) -> Stretch:
    parts = list(stretches)
    zero = Decimal(0)
    return Stretch(
        calls=sum((s.calls for s in parts), zero),
        errors=sum((s.errors for s in parts), zero),
        tokens=sum((s.tokens for s in parts), zero),
        cost=sum((s.cost for s in parts), zero),
        unpriced_calls=sum((s.unpriced_calls for s in parts), zero),
        pending_calls=sum((s.pending_calls for s in parts), zero),
        latency=Histogram.of(pair for s in parts for pair in s.latency.counts),
    )


def _subject(
    key: Key, stretches: dict[tuple[int, Key], Stretch], known_weeks: Sequence[int]
) -> Subject:
    by_week = {week: stretches.get((week, key), Stretch()) for week in (0, *known_weeks)}
    return Subject(key[0], key[1], False, by_week[0], _readings(by_week, known_weeks))


def _readings(by_week: dict[int, Stretch], known_weeks: Sequence[int]) -> tuple[OnCallReading, ...]:
    return tuple(
        OnCallReading(
            measure,
            compare(
                measure.value(by_week[0]), [measure.value(by_week[week]) for week in known_weeks]
            ),
            by_week[0].calls,
        )
        for measure in MEASURES
    )
