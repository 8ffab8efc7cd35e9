"""What the on-call page says of its readings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from portal.pages.frame.durations import milliseconds
from portal.pages.frame.state import PageState
from reports.analysis.on_call import Deviation, OnCallReading, Subject
from reports.readable import count, listed, moment, money, percent

GAUGE_WIDTH = Decimal(100)
MOST_TIMES = 10  # more than this is of next to nothing; its multiple says nothing
HISTORY = 12  # hours looked back for the beginning of what is off


@dataclass(frozen=True)
class ReadingText:
    """One reading in words and as a small gauge (x positions of 0 to 100)."""

    name: str
    title: str
    unit: str
    now: str
    usual: str  # "180.20 (160.00 to 210.00)"
    word: str  # "2.3 times expected", "as expected", "no comparison"
    is_off: bool
    is_thin: bool
    is_estimate: bool
    gauge: dict[str, float] | None

    @property
    def heading(self) -> str:
        return f"{self.title}, {self.unit}" if self.unit else self.title

    @property
    def now_with_unit(self) -> str:
        return f"{self.now} {self.unit}" if self.unit else self.now


@dataclass(frozen=True)
class ModelText:
    """One model's row; `query` shows its calls of the hour on the debug page."""

    name: str
    provider: str | None
    readings: list[ReadingText]
    query: str
    is_off: bool


@dataclass(frozen=True)
class OffText:
    """A row of what is off: each reading with since when, and what is at stake in the hour."""

    name: str
    provider: str | None
    is_total: bool
    readings: list[tuple[ReadingText, str]]
    failing: str | None
    money: str | None
    query: str
    failed_query: str


@dataclass(frozen=True)
class Hour:
    """The sixty minutes that the page shows, and addresses that show their calls elsewhere."""

    state: PageState
    now: datetime

    def debug_query(self, subject: Subject, *, failed: bool = False) -> str:
        """The calls of the same minutes on the debug page; the window goes along."""
        return self.state.query_string(
            model=subject.model, failed="1" if failed else None, hours="1", until=self.until
        )

    @property
    def until(self) -> str:
        """Whole minutes; the one that runs is still of the hour."""
        whole = self.now.replace(second=0, microsecond=0)
        end = whole if whole == self.now else whole + timedelta(minutes=1)
        return f"{end:%Y-%m-%dT%H:%M}"

    def model_text(self, subject: Subject) -> ModelText:
        return ModelText(
            name=subject_name(subject),
            provider=subject.provider,
            readings=[reading_text(reading) for reading in subject.readings],
            query=self.debug_query(subject),
            is_off=bool(subject.off),
        )

    def off_text(
        self,
        subject: Subject,
        readings: list[OnCallReading],
        lasted: Mapping[Deviation, int | None],
    ) -> OffText:
        key = subject.provider, subject.model, subject.is_total
        return OffText(
            name=subject_name(subject),
            provider=subject.provider,
            is_total=subject.is_total,
            readings=[
                (reading_text(reading), since(lasted[*key, reading.measure.name], self.now))
                for reading in readings
            ],
            failing=count(subject.failing_calls) if subject.failing_calls else None,
            money=money(subject.money) if subject.money else None,
            query=self.debug_query(subject),
            failed_query=self.debug_query(subject, failed=True),
        )


def subject_name(subject: Subject) -> str:
    return "All models" if subject.is_total else subject.model or "unknown model"


def since(hours: int | None, now: datetime) -> str:
    """When what is off began: the hour nearest to the middle of the first sixty minutes that are
    off, so that it stands still while minutes pass.
    """
    if hours is None:
        return f"for over {HISTORY} hours"
    began = (now - timedelta(hours=hours - 1)).replace(minute=0)
    return f"since about {f'{began:%H:%M}' if began.date() == now.date() else moment(began)}"


def reading_text(reading: OnCallReading) -> ReadingText:
    measure, comparison = reading.measure, reading.comparison
    usual = "no comparison"
    if comparison.usual is not None and comparison.low is not None and comparison.high is not None:
        low, high = in_unit(measure.name, comparison.low), in_unit(measure.name, comparison.high)
        usual = in_unit(measure.name, comparison.usual)
        if low != high:
            usual += f" ({low} to {high})"
    return ReadingText(
        name=measure.name,
        title=measure.title,
        unit="" if measure.name in ("errors", "p95") else measure.unit,
        now=in_unit(measure.name, comparison.now),
        usual=usual,
        word=word_for(reading),
        is_off=reading.is_off,
        is_thin=reading.is_thin,
        is_estimate=measure.is_estimate,
        gauge=gauge(reading),
    )


def word_for(reading: OnCallReading) -> str:
    """How now stands to what is expected, in words that need no colour."""
    comparison = reading.comparison
    if comparison.place == "no comparison":
        return "no comparison"
    if reading.is_thin:
        return "too few traces to judge"
    if reading.is_off:
        return _far_off(comparison.now or Decimal(0), comparison.ratio)
    return {"above": "slightly above expected", "below": "below expected"}.get(
        comparison.place, "as expected"
    )


def _far_off(now: Decimal, ratio: Decimal | None) -> str:
    if not now:
        return "none, where some are expected"
    if ratio is None or ratio > MOST_TIMES:
        return "far above expected"
    if ratio > 1:
        return f"{ratio.quantize(Decimal('0.1'))} times expected"
    return f"down to {percent(ratio, 0)} of expected"


def in_unit(measure: str, value: Decimal | None) -> str:
    if measure == "burn":
        return money(value)
    if measure == "errors":
        return percent(value)
    if measure == "p95":
        return milliseconds(value)
    return count(value)


def gauge(reading: OnCallReading) -> dict[str, float] | None:
    """Where the range, the median and now lie on a scale from zero to just beyond the largest."""
    comparison = reading.comparison
    if (
        comparison.now is None
        or comparison.usual is None
        or comparison.low is None
        or comparison.high is None
    ):
        return None
    end = max(comparison.now, comparison.high) * Decimal("1.1")
    if not end:
        return None

    def at(value: Decimal) -> float:
        return float(round(value / end * GAUGE_WIDTH, 2))

    low, high = at(comparison.low), at(comparison.high)
    return {
        "low": low,
        "width": max(high - low, 1.0),
        "usual": at(comparison.usual),
        "now": at(comparison.now),
    }


def left_out(subject: Subject, beyond_calls: Decimal | None, month: str) -> str:
    """What burn does not hold, and how much that is where a bill or the calls tell."""
    share = (
        f"{percent(beyond_calls)} of the AI cost billed for {month}"
        if beyond_calls is not None
        else "no bill tells how much"
    )
    parts = [f"GPU and infrastructure ({share})"]
    now = subject.now
    for calls, words in (
        (now.unpriced_calls, "of models without a price"),
        (now.pending_calls, "too fresh to be priced"),
    ):
        if round(calls):  # a part of an hour may count for less than a call
            noun = "call" if round(calls) == 1 else "calls"
            parts.append(f"{count(calls)} {noun} {words} ({percent(calls / now.calls)} of calls)")
    return f"Burn is what model calls cost at list prices. It leaves out {listed(parts)}."
