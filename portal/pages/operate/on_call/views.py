"""/on-call/: the last 60 minutes against what is expected, for a reader at three in the morning."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from portal.pages.frame.render import key_step, render_page
from portal.pages.frame.state import PageState
from portal.pages.operate.on_call.wording import (
    HISTORY,
    Hour,
    OffText,
    left_out,
    reading_text,
)
from reports.analysis.on_call import (
    LEAST_FAILED_SPANS,
    LEAST_SPANS,
    RANKS,
    Deviation,
    OnCall,
    hours_off,
    on_call,
)
from reports.queries.costs.beyond_calls import share_beyond_calls
from reports.queries.usage.now import (
    WEEKS,
    KnownTelemetry,
    known_telemetry,
    latency_now,
    usage_now,
)
from reports.queries.usage.picked import UsageFilter
from reports.readable import ago

DEFAULT_RANK = "failing"
HOURS_AT_ONCE = 3


@require_safe
def show_on_call(request: HttpRequest) -> HttpResponse:
    """The page; for htmx only the part that refreshes itself."""
    state = PageState.from_request(request)
    asked = asked_moment(request.GET.get("at"))
    now = asked or timezone.now()
    known = known_telemetry(now=now)
    found = read_hours(state, known, now, range(1))[0]
    rank = request.GET.get("rank", DEFAULT_RANK)
    rank = rank if rank in RANKS else DEFAULT_RANK
    own = {
        "at": request.GET.get("at") if asked else None,
        "rank": rank if rank != DEFAULT_RANK else None,
    }
    context = {
        **describe(found, known, Hour(state, now)),
        "off": off_texts(found, known, Hour(state, now), rank),
        "rank": rank,
        "ranks": [
            (name == rank, label, state.query_string(**{**own, "rank": name}))
            for name, label in (("failing", "failing calls"), ("money", "USD per hour"))
        ],
        "left_out": left_out(found.total, beyond_calls(request), state.period.words),
        "is_now": asked is None,
        "own_query": state.query_string(**own),
        "now_query": state.query_string(**{**own, "at": None}),
        "last_query": state.query_string(**{**own, "at": last_busy(known)}),
        "key_step": key_step(request),
    }
    if request.headers.get("HX-Request") and not request.headers.get("HX-Boosted"):
        return render(request, "operate/on_call/now.html", {"state": state, **context})
    return render_page(
        request,
        "operate/on_call/page.html",
        context,
        page="on-call",
        title="On-call",
        state=state,
        kept=own,
    )


def read_hours(
    state: PageState,
    known: KnownTelemetry,
    now: datetime,
    hours_back: range,
    *,
    with_latency: bool = True,
) -> list[OnCall]:
    """The sixty minutes that end so many hours before `now`, each against its own weeks before.

    Latency is by far the most rows; not everybody needs it.
    """
    picked = UsageFilter(environment=state.environment)
    usage = usage_now(now=now, picked=picked, teams=state.scope, hours_back=hours_back)
    latency = (
        latency_now(now=now, picked=picked, teams=state.scope, hours_back=hours_back)
        if with_latency
        else []
    )
    return [
        on_call(
            usage=[row for row in usage if row.hours_back == back],
            latency=[row for row in latency if row.hours_back == back],
            known_weeks=[
                week
                for week in range(1, WEEKS + 1)
                if known.covers(now - timedelta(hours=back), week)
            ],
        )
        for back in hours_back
    ]


def off_texts(found: OnCall, known: KnownTelemetry, hour: Hour, rank: str) -> list[OffText]:
    off = found.off(rank)
    lasted: dict[Deviation, int | None] = {}
    if off:
        lasted = hours_off(found, _hours_before(found, known, hour))
    return [hour.off_text(subject, readings, lasted) for subject, readings in off]


def _hours_before(found: OnCall, known: KnownTelemetry, hour: Hour) -> Iterator[OnCall]:
    """From the newest on, read a few at a time: most of what is off began not long ago."""
    with_latency = any(measure == "p95" for *_, measure in found.deviations)
    for first in range(1, HISTORY + 1, HOURS_AT_ONCE):
        hours = range(first, min(first + HOURS_AT_ONCE, HISTORY + 1))
        yield from read_hours(hour.state, known, hour.now, hours, with_latency=with_latency)


def beyond_calls(request: HttpRequest) -> Decimal | None:
    """The share of the bill that burn can't hold, over every currency that has a rate."""
    return share_beyond_calls(PageState.from_request(request, converts=True).question)


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


def describe(found: OnCall, known: KnownTelemetry, hour: Hour) -> dict[str, Any]:
    return {
        "now": hour.now,
        "known": known,
        "is_silent": found.is_silent,
        "is_silent_as_expected": found.is_silent_as_expected,
        "last_started": ago(known.last_started, hour.now)
        if known.last_started and known.last_started <= hour.now
        else None,
        "total": [reading_text(reading) for reading in found.total.readings],
        "weeks": found.total.reading("calls").comparison.weeks,
        "unpriced_query": (
            hour.debug_query(found.total) if round(found.total.now.unpriced_calls) else None
        ),
        "models": [hour.model_text(subject) for subject in found.models],
        "least_spans": LEAST_SPANS,
        "least_failed_spans": LEAST_FAILED_SPANS,
    }
