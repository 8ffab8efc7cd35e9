"""/on-call/: the last 60 minutes against what is expected, for a reader at three in the morning."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from portal.pages.frame.durations import milliseconds
from portal.pages.frame.render import key_step, render_page
from portal.pages.frame.state import PageState
from reports.analysis.on_call import OnCall, OnCallReading, Subject, on_call
from reports.queries.usage.now import WEEKS, KnownTelemetry, known_telemetry, latency_now, usage_now
from reports.queries.usage.picked import UsageFilter
from reports.readable import ago, count, money, percent

HEADLINES = 3  # subjects told at the top; the table holds all of them
GAUGE_WIDTH = Decimal(100)


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
    provider: str | None
    model: str | None
    readings: list[ReadingText]
    is_off: bool

    @property
    def query(self) -> str:
        """What the address of the debug page takes to show this model alone."""
        return f"&model={quote(self.model, safe='')}" if self.model else ""


@dataclass(frozen=True)
class Headline:
    """What is off with one subject, the furthest from expected first."""

    subject: str
    readings: list[ReadingText]


@require_safe
def show_on_call(request: HttpRequest) -> HttpResponse:
    """The page; for htmx only the part that refreshes itself."""
    state = PageState.from_request(request)
    asked = asked_moment(request.GET.get("at"))
    now = asked or timezone.now()
    picked = UsageFilter(environment=state.environment)
    known = known_telemetry(now=now)
    found = on_call(
        usage=usage_now(now=now, picked=picked, teams=state.scope),
        latency=latency_now(now=now, picked=picked, teams=state.scope),
        known_weeks=[week for week in range(1, WEEKS + 1) if known.covers(now, week)],
    )
    context = {
        **describe(found, known, now),
        "is_now": asked is None,
        "own_query": state.query_string(at=request.GET.get("at")),
        "now_query": state.query_string(),
        "last_query": state.query_string(at=last_busy(known)),
        "key_step": key_step(request),
    }
    if request.headers.get("HX-Request") and not request.headers.get("HX-Boosted"):
        return render(request, "operate/on_call/now.html", {"state": state, **context})
    return render_page(
        request, "operate/on_call/page.html", context, page="on-call", title="On-call", state=state
    )


def asked_moment(text: str | None) -> datetime | None:
    """`at` of the address, an ISO time (UTC unless it says otherwise); None for now, and for what
    is no past time.
    """
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC) if moment < timezone.now() and moment.year >= 2000 else None


def last_busy(known: KnownTelemetry) -> str | None:
    """The end of the last hour with calls."""
    return (known.last_hour + timedelta(hours=1)).isoformat() if known.last_hour else None


def describe(found: OnCall, known: KnownTelemetry, now: datetime) -> dict[str, Any]:
    readings = [reading_text(reading) for reading in found.total.readings]
    off = list(dict.fromkeys(subject for subject, _ in found.off))
    return {
        "now": now,
        "from": now - timedelta(hours=1),
        "known": known,
        "is_silent": found.is_silent,
        "last_started": ago(known.last_started, now)
        if known.last_started and known.last_started <= now
        else None,
        "total": readings,
        "weeks": found.total.reading("calls").comparison.weeks,
        "headlines": [
            Headline(subject_name(subject), [reading_text(reading) for reading in subject.off])
            for subject in off[:HEADLINES]
        ],
        "more_off": max(len(off) - HEADLINES, 0),
        "models": [model_text(subject) for subject in found.models],
        "unpriced_calls": round(
            found.total.now.unpriced_calls
        ),  # a part of an hour may count for less than a call
        "pending_calls": round(found.total.now.pending_calls),
    }


def subject_name(subject: Subject) -> str:
    return "All models" if subject.is_total else subject.model or "unknown model"


def model_text(subject: Subject) -> ModelText:
    return ModelText(
        provider=subject.provider,
        model=subject.model,
        readings=[reading_text(reading) for reading in subject.readings],
        is_off=bool(subject.off),
    )


def reading_text(reading: OnCallReading) -> ReadingText:
    measure, comparison = reading.measure, reading.comparison
    usual = "no comparison"
    if comparison.usual is not None and comparison.low is not None and comparison.high is not None:
        low, high = in_unit(measure.name, comparison.low), in_unit(measure.name, comparison.high)
        usual = in_unit(measure.name, comparison.usual) + (
            f" ({low} to {high})" if comparison.weeks > 1 else ""
        )
    return ReadingText(
        name=measure.name,
        title=measure.title,
        unit="" if measure.name in ("errors", "p95") else measure.unit,
        now=in_unit(measure.name, comparison.now),
        usual=usual,
        word=word_for(reading),
        is_off=reading.is_off,
        is_estimate=measure.is_estimate,
        gauge=gauge(reading),
    )


MOST_TIMES = 100  # more than this is of next to nothing; its exact multiple says nothing


def word_for(reading: OnCallReading) -> str:
    """How now stands to what is expected, in words that need no colour."""
    comparison = reading.comparison
    if comparison.place == "no comparison":
        return "no comparison"
    if not reading.is_off:
        return "as expected"
    ratio = comparison.ratio
    if ratio is None or not ratio:
        return "up (was 0)" if comparison.now else "down to 0"
    if ratio > MOST_TIMES:
        return f"over {MOST_TIMES} times expected"
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
