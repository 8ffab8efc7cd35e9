"""The on-call view: errors, burn, latency and traffic of the last hour, and what of it is off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from reports.analysis.latency import Histogram
from reports.analysis.usual import Comparison, compare
from reports.queries.usage.now import HourRow, LatencyRow

ZERO = Decimal(0)
MINUTES = Decimal(60)
Key = tuple[str | None, str | None]  # provider, model
Deviation = tuple[str | None, str | None, bool, str]  # provider, model, is total, measure


@dataclass(frozen=True)
class Stretch:
    """Sixty minutes of some calls."""

    calls: Decimal = ZERO
    errors: Decimal = ZERO
    tokens: Decimal = ZERO
    cost: Decimal = ZERO
    unpriced_calls: Decimal = ZERO
    pending_calls: Decimal = ZERO
    spans: Decimal = ZERO
    latency: Histogram = field(default_factory=lambda: Histogram(counts=()))

    @property
    def error_rate(self) -> Decimal | None:
        return self.errors / self.calls if self.calls else None

    @property
    def failed_spans(self) -> Decimal:
        """As many of the spans as of the calls: each failed one stands for as many calls as the
        others.
        """
        return self.errors * self.spans / self.calls if self.calls else ZERO

    @property
    def tokens_per_minute(self) -> Decimal:
        return self.tokens / MINUTES

    @property
    def p95_ms(self) -> Decimal | None:
        value = self.latency.percentile_ms(0.95)
        return None if value is None else Decimal(round(value, 3)).quantize(Decimal("0.001"))


LEAST_SPANS = 20  # of fewer spans a rate, a percentile or a sum is chance
LEAST_FAILED_SPANS = 5  # one failed span may stand for hundreds of calls


@dataclass(frozen=True)
class OnCallMeasure:
    """How one measure is read, and from when on its deviation deserves a look.

    Less of it is no trouble, unless `below` says from which factor on it is.
    """

    name: str
    title: str
    unit: str
    value: Callable[[Stretch], Decimal | None]
    least: Decimal  # deviation below this, in the unit, is noise
    factor: Decimal = Decimal("1.5")
    below: Decimal | None = None
    is_estimate: bool = False
    least_spans: int = LEAST_SPANS
    seen: Callable[[Stretch], Decimal] = lambda s: s.spans


MEASURES = (
    OnCallMeasure(
        "errors",
        "Error rate",
        "of calls",
        lambda s: s.error_rate,
        Decimal("0.01"),
        least_spans=LEAST_FAILED_SPANS,
        seen=lambda s: s.failed_spans,
    ),
    OnCallMeasure("burn", "Burn", "USD per hour", lambda s: s.cost, Decimal(1), is_estimate=True),
    OnCallMeasure("p95", "p95 latency", "ms", lambda s: s.p95_ms, Decimal(50)),
    OnCallMeasure("tokens", "Tokens", "per minute", lambda s: s.tokens_per_minute, Decimal(100)),
    OnCallMeasure("calls", "Calls", "per hour", lambda s: s.calls, Decimal(20), below=Decimal(10)),
)


@dataclass(frozen=True)
class OnCallReading:
    """One measure of one subject; `seen` and `seen_usually` are the spans that it rests on."""

    measure: OnCallMeasure
    comparison: Comparison
    seen: Decimal
    seen_usually: Decimal

    @property
    def is_off(self) -> bool:
        return self._deviates and not self.is_thin

    @property
    def is_thin(self) -> bool:
        """It deviates, and rests on too few spans to say so."""
        spans = self.seen_usually if self.comparison.place == "below" else self.seen
        return self._deviates and spans < self.measure.least_spans

    @property
    def _deviates(self) -> bool:
        measure = self.measure
        factor = measure.below if self.comparison.place == "below" else measure.factor
        return factor is not None and self.comparison.is_off(factor=factor, least=measure.least)

    @property
    def deviation(self) -> Decimal:
        """How far it is from the expected where it is off, in the measure's unit; 0 otherwise."""
        now, usual = self.comparison.now, self.comparison.usual
        return abs(now - usual) if self.is_off and now is not None and usual is not None else ZERO

    @property
    def excess(self) -> Decimal:
        """What is over the expected where it is off; 0 otherwise."""
        return self.deviation if self.comparison.place == "above" else ZERO


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
        return [reading for reading in self.readings if reading.is_off]

    @property
    def failing_calls(self) -> Decimal:
        """Calls of the hour that failed beyond the expected share, where errors are off."""
        return self.reading("errors").excess * self.now.calls

    @property
    def money(self) -> Decimal:
        """USD of the hour over the expected, where burn is off."""
        return self.reading("burn").excess

    def reading(self, name: str) -> OnCallReading:
        return next(r for r in self.readings if r.measure.name == name)


RANKS: Mapping[str, Callable[[Subject], tuple[Decimal, Decimal]]] = {
    "failing": lambda subject: (-subject.failing_calls, -subject.money),
    "money": lambda subject: (-subject.money, -subject.failing_calls),
}


@dataclass(frozen=True)
class OnCall:
    total: Subject
    models: list[Subject]  # by calls

    @property
    def is_silent(self) -> bool:
        """No call at all in the last 60 minutes."""
        return not self.total.now.calls

    @property
    def is_silent_as_expected(self) -> bool:
        comparison = self.total.reading("calls").comparison
        return self.is_silent and comparison.place == "within"

    def off(self, rank: str = "failing") -> list[tuple[Subject, list[OnCallReading]]]:
        """The models that are off and with what, the most failing calls (or money) first. All
        together come last, with what these models are less than half of.
        """
        models = sorted(
            (model for model in self.models if model.off),
            key=lambda model: (*RANKS[rank](model), model.model or "", model.provider or ""),
        )
        untold = [reading for reading in self.total.off if not self._is_told(reading, models)]
        found = [(model, model.off) for model in models]
        return [*found, (self.total, untold)] if untold else found

    def _is_told(self, reading: OnCallReading, models: Sequence[Subject]) -> bool:
        name = reading.measure.name
        told = [model for model in models if model.reading(name).is_off]
        if name == "p95":
            return bool(told)
        if name == "errors":
            parts, whole = sum(model.failing_calls for model in told), self.total.failing_calls
        else:
            parts = sum(model.reading(name).deviation for model in told)
            whole = self.total.reading(name).deviation
        return bool(told) and parts * 2 >= whole

    @property
    def deviations(self) -> set[Deviation]:
        return {
            (subject.provider, subject.model, subject.is_total, reading.measure.name)
            for subject in (self.total, *self.models)
            for reading in subject.off
        }


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
    return OnCall(total=total, models=sorted(shown, key=_most_calls_first))


def hours_off(found: OnCall, before: Iterable[OnCall]) -> dict[Deviation, int | None]:
    """For how many hours in a row each deviation lasts, at least; None where `before`, the hours
    before from the newest on, does not reach its beginning. Reads no further than it has to.
    """
    lasting = set(found.deviations)
    lasted: dict[Deviation, int | None] = dict.fromkeys(lasting)
    for hours, earlier in enumerate(before, start=1):
        ended = lasting - earlier.deviations
        lasted.update(dict.fromkeys(ended, hours))
        lasting -= ended
        if not lasting:
            break
    return lasted


def _most_calls_first(subject: Subject) -> tuple[Decimal, str, str]:
    return -subject.now.calls, subject.model or "", subject.provider or ""


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
            spans=row.spans,
            latency=Histogram.of(bins.get(key, [])),
        )
    return found


def _sum(stretches: Iterable[Stretch]) -> Stretch:
    parts = list(stretches)
    return Stretch(
        calls=sum((s.calls for s in parts), ZERO),
        errors=sum((s.errors for s in parts), ZERO),
        tokens=sum((s.tokens for s in parts), ZERO),
        cost=sum((s.cost for s in parts), ZERO),
        unpriced_calls=sum((s.unpriced_calls for s in parts), ZERO),
        pending_calls=sum((s.pending_calls for s in parts), ZERO),
        spans=sum((s.spans for s in parts), ZERO),
        latency=Histogram.of(pair for s in parts for pair in s.latency.counts),
    )


def _subject(
    key: Key, stretches: dict[tuple[int, Key], Stretch], known_weeks: Sequence[int]
) -> Subject:
    by_week = {week: stretches.get((week, key), Stretch()) for week in (0, *known_weeks)}
    return Subject(key[0], key[1], False, by_week[0], _readings(by_week, known_weeks))


def _readings(by_week: dict[int, Stretch], known_weeks: Sequence[int]) -> tuple[OnCallReading, ...]:
    past = [by_week[week] for week in known_weeks]
    return tuple(
        OnCallReading(
            measure,
            compare(measure.value(by_week[0]), [measure.value(stretch) for stretch in past]),
            seen=measure.seen(by_week[0]),
            seen_usually=compare(None, [stretch.spans for stretch in past]).usual or ZERO,
        )
        for measure in MEASURES
    )
