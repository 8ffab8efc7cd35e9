"""/debug/: calls of a time window, by model; single calls; one trace as a waterfall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from portal.pages.frame.durations import milliseconds
from portal.pages.frame.render import Crumb, key_step, render_page
from portal.pages.frame.state import PageState
from reports.analysis.latency import Histogram
from reports.analysis.price_doubts import doubts_csv
from reports.analysis.waterfall import SpanNode, waterfall
from reports.charts.histogram import Bar, LogScale, Mark, bars, percentile_marks
from reports.queries.ownership.organisation import names_of
from reports.queries.traces.calls import (
    SLICE,
    CallRow,
    ErrorRow,
    Failure,
    costliest_calls,
    errors_by_type,
    newest_spans,
    slowest_calls,
    spans_outside_window,
)
from reports.queries.traces.costs import span_costs
from reports.queries.traces.spans import LIMIT, trace_spans
from reports.queries.usage.models import ModelUsage, latency_by_model, usage_by_model
from reports.queries.usage.now import known_telemetry
from reports.queries.usage.picked import Choices, UsageFilter, usage_choices
from reports.queries.usage.price_doubts import usage_price_doubts
from reports.queries.usage.unpriced import usage_unpriced
from reports.readable import grouped
from reports.window import HourWindow

HOURS = {
    "1": "Last hour",
    "6": "Last 6 hours",
    "24": "Last 24 hours",
    "72": "Last 3 days",
    "168": "Last 7 days",
}
DEFAULT_HOURS = 24
OUTSIDE_CAPTION = (
    "The last 12 to arrive: kept and listed, counted nowhere. Usually a wrong clock or an old file."
)
MOST_DOUBTS = 25  # shown; the file holds all of them
HISTOGRAMS = 6  # models drawn at first; the others open below them


class DebugForm(forms.Form):
    """What the reader picked. Anything not understood is left out."""

    model = forms.CharField(required=False, max_length=300)
    feature = forms.CharField(required=False, max_length=300)
    version = forms.CharField(required=False, max_length=300)
    service = forms.CharField(required=False, max_length=300)
    failed = forms.BooleanField(required=False)
    error = forms.CharField(required=False, max_length=300)
    hours = forms.ChoiceField(choices=list(HOURS.items()), required=False)
    until = forms.DateTimeField(
        required=False, input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
    )


@dataclass(frozen=True)
class Picked:
    """Which calls of which window. `failure` narrows the single calls; the rollup does not know
    it.
    """

    filter: UsageFilter
    failure: Failure
    window: HourWindow
    hours: int
    until: datetime | None  # None: now

    @property
    def parameters(self) -> dict[str, str | None]:
        """The address parameters of this choice, beside those of the top bar."""
        return {
            "model": self.filter.model,
            "feature": self.filter.feature,
            "version": self.filter.version,
            "service": self.filter.service,
            "failed": "1" if self.failure.is_failed else None,
            "error": self.failure.error_type,
            **self.window_parameters,
        }

    @property
    def window_parameters(self) -> dict[str, str | None]:
        return {
            "hours": str(self.hours),
            "until": f"{self.until:%Y-%m-%dT%H:%M}" if self.until else None,
        }

    @property
    def is_unpicked(self) -> bool:
        return self.filter.is_unpicked and self.failure.is_any

    @property
    def kind(self) -> str:
        """What the single calls are, in words that stand before "calls"."""
        if self.failure.error_type:
            return f"{self.failure.error_type} "
        return "failed " if self.failure.is_failed else ""


@dataclass(frozen=True)
class ModelPanel:
    """One model's row, and its histogram where its latency is known."""

    usage: ModelUsage
    p50: str
    p95: str
    p99: str
    bars: list[Bar]
    marks: list[Mark]
    query: str

    @property
    def highest(self) -> int:
        """Calls of the highest bar."""
        return max((bar.calls for bar in self.bars), default=0)

    @property
    def in_words(self) -> str:
        """What the histogram shows, for who does not see it."""
        return (
            f"Latency of {self.usage.model or 'unknown model'}, {grouped(self.usage.calls)} calls:"
            f" half of the calls within {self.p50}, 95% within {self.p95}, 99% within {self.p99}"
        )


@require_safe
def show_debug(request: HttpRequest) -> HttpResponse:
    state = PageState.from_request(request)
    picked = picked_from(request, state)
    usage = usage_by_model(window=picked.window, picked=picked.filter, teams=state.scope)
    histograms = latency_by_model(window=picked.window, picked=picked.filter, teams=state.scope)
    scale = LogScale.around(histograms.values())
    first_hour, last_hour = picked.window.hours
    choices = usage_choices(window=picked.window, teams=state.scope)
    total = total_of(usage)
    panels = model_panels(usage, histograms, scale, state, picked)
    drawn = [panel for panel in panels if panel.bars]
    newest_hour = None if total.calls else known_telemetry(now=timezone.now()).last_hour
    newest_end = newest_hour + timedelta(hours=1) if newest_hour else None
    context = {
        **newest(state, picked),
        "form": picked.filter,
        "hours": [(value, label, int(value) == picked.hours) for value, label in HOURS.items()],
        "choice_lists": choice_lists(choices),
        "state_parameters": sorted(state.parameters().items()),
        "counted_from": first_hour,
        "counted_until": last_hour,
        "has_calls": bool(total.calls),
        "last_hour_end": newest_end,
        "last_query": state.query_string(
            **{
                **picked.parameters,
                "hours": str(DEFAULT_HOURS),
                "until": f"{newest_end:%Y-%m-%dT%H:%M}" if newest_end else None,
            }
        ),
        "key_step": key_step(request),
        "total": total,
        "total_latency": latency_texts(
            Histogram.of(pair for h in histograms.values() for pair in h.counts)
        ),
        "models": panels,
        "drawn": drawn[:HISTOGRAMS],
        "drawn_more": drawn[HISTOGRAMS:],
        "axis": scale.axis() if scale else [],
        "outside": named(spans_outside_window(teams=state.scope)),
        "outside_caption": OUTSIDE_CAPTION,
        "unpriced": usage_unpriced(window=picked.window, picked=picked.filter, teams=state.scope),
        "clear_query": state.query_string(**picked.window_parameters),
        "live_query": state.query_string(**{**picked.parameters, "until": None}),
    }
    return render_page(
        request,
        "operate/debug/page.html",
        context,
        page="debug",
        title="Debug",
        state=state,
        kept=picked.parameters,
    )


@require_safe
def show_newest(request: HttpRequest) -> HttpResponse:
    """The part of the debug page that asks for itself every five seconds."""
    state = PageState.from_request(request)
    return render(
        request,
        "operate/debug/newest.html",
        {"state": state, **newest(state, picked_from(request, state))},
    )


@require_safe
def show_calls(request: HttpRequest) -> HttpResponse:
    """Single calls, read from raw spans: the debug page takes them in after its figures; a page
    without that.
    """
    state = PageState.from_request(request)
    picked = picked_from(request, state)
    asked: dict[str, Any] = {
        "window": picked.window,
        "picked": picked.filter,
        "teams": state.scope,
        "failure": picked.failure,
    }
    among = f"among the newest {SLICE:,} {picked.kind}spans of the window"
    context: dict[str, Any] = {
        "errors": error_rows(state, picked),
        "slowest": named(slowest_calls(**asked)),
        "costliest": named(costliest_calls(**asked)),
        "failed_query": state.query_string(**{**picked.parameters, "failed": "1"}),
        "slice": SLICE,
        "slowest_caption": f"The slowest {among}",
        "costliest_caption": f"The dearest {among}",
    }
    return _part_or_page(request, state, picked, context, name="single_calls", title="Single calls")


def error_rows(state: PageState, picked: Picked) -> list[tuple[ErrorRow, str]]:
    """Each type of error, and the address parameters that show its calls alone."""
    rows = errors_by_type(
        window=picked.window,
        picked=picked.filter,
        teams=state.scope,
        error_type=picked.failure.error_type,
    )
    return [
        (
            row,
            state.query_string(**{**picked.parameters, "failed": "1", "error": row.error_type}),
        )
        for row in rows
    ]


@require_safe
def show_prices(request: HttpRequest) -> HttpResponse:
    """What is in doubt about prices: the debug page takes it in after its figures; a page without
    that.
    """
    state = PageState.from_request(request)
    picked = picked_from(request, state)
    found = usage_price_doubts(window=picked.window, picked=picked.filter, teams=state.scope)
    context: dict[str, Any] = {
        "doubts": found.doubts[:MOST_DOUBTS],
        "more": max(len(found.doubts) - MOST_DOUBTS, 0),
        "general_calls": found.general_calls,
        "csv_query": state.query_string(**picked.parameters),
    }
    return _part_or_page(request, state, picked, context, name="prices", title="Prices in doubt")


def _part_or_page(
    request: HttpRequest,
    state: PageState,
    picked: Picked,
    context: dict[str, Any],
    *,
    name: str,
    title: str,
) -> HttpResponse:
    """What the debug page takes in after its figures; a page of its own for who follows a link."""
    context["picked"] = picked
    if request.headers.get("HX-Request"):
        return render(request, f"operate/debug/{name}.html", {"state": state, **context})
    context["crumbs"] = [
        Crumb("Debug", f"{reverse('debug')}?{state.query_string(**picked.parameters)}"),
        Crumb(title),
    ]
    template = f"operate/debug/{name}_page.html"
    return render_page(request, template, context, page="debug", title=title, state=state)


@require_safe
def download_prices(request: HttpRequest) -> HttpResponse:
    """Every doubt, exact."""
    state = PageState.from_request(request)
    picked = picked_from(request, state)
    found = usage_price_doubts(window=picked.window, picked=picked.filter, teams=state.scope)
    response = HttpResponse(doubts_csv(found.doubts), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="prices-in-doubt.csv"'
    return response


def newest(state: PageState, picked: Picked) -> dict[str, Any]:
    return {
        "newest": named(
            newest_spans(
                window=picked.window,
                picked=picked.filter,
                teams=state.scope,
                failure=picked.failure,
            )
        ),
        "picked": picked,
        "newest_caption": (
            f"The last 12 {picked.kind}spans that began in the window"
            f"{', of any kind' if picked.failure.is_any else ''}"
        ),
        "newest_query": state.query_string(**picked.parameters),
        "is_live": picked.until is None,
        "picked_until": picked.until,
        "looked_at": timezone.now(),
    }


def named(calls: Sequence[CallRow]) -> list[CallRow]:
    """The calls with their teams and features called as the organisation calls them."""
    names = names_of(teams={call.team for call in calls}, features={call.feature for call in calls})
    return [
        replace(
            call,
            team=names.team(call.team) if call.team else None,
            feature=names.feature(call.feature) if call.feature else None,
        )
        for call in calls
    ]


def choice_lists(choices: Choices) -> list[tuple[str, list[tuple[str, str]]]]:
    """(id of the list, its values, each with what it is called) of every field that picks calls."""
    names = names_of(features=choices.features)
    return [
        ("models", [(model, model) for model in choices.models]),
        ("features", [(feature, names.feature(feature)) for feature in choices.features]),
        ("versions", [(version, version) for version in choices.versions]),
        ("services", [(service, service) for service in choices.services]),
    ]


def picked_from(request: HttpRequest, state: PageState) -> Picked:
    form = DebugForm(request.GET)
    form.is_valid()
    asked = form.cleaned_data
    hours = int(asked.get("hours") or DEFAULT_HOURS)
    until = asked.get("until")
    if until is not None and not 2000 <= until.year <= 2100:
        until = None
    # Clocks differ a little: a span stamped a minute ahead is still news.
    end = until or timezone.now() + timedelta(minutes=1)
    chosen = UsageFilter(
        model=asked.get("model") or None,
        feature=asked.get("feature") or None,
        version=asked.get("version") or None,
        service=asked.get("service") or None,
        environment=state.environment,
    )
    return Picked(
        filter=chosen,
        failure=Failure(bool(asked.get("failed")), asked.get("error") or None),
        window=HourWindow(end - timedelta(hours=hours), end),
        hours=hours,
        until=until,
    )


def total_of(usage: Sequence[ModelUsage]) -> ModelUsage:
    """All models together."""

    def total(name: str) -> Decimal:
        return sum((getattr(row, name) for row in usage), Decimal(0))

    names = [
        "calls",
        "errors",
        "calls_without_usage",
        "input_tokens",
        "cached_tokens",
        "output_tokens",
        "cost",
        "priced_calls",
        "unpriced_calls",
        "pending_calls",
    ]
    return ModelUsage(None, None, *(total(name) for name in names))


def latency_texts(histogram: Histogram) -> dict[str, str]:
    return {
        f"p{share}": milliseconds(histogram.percentile_ms(share / 100)) for share in (50, 95, 99)
    }


def model_panels(
    usage: Sequence[ModelUsage],
    histograms: dict[tuple[str | None, str | None], Histogram],
    scale: LogScale | None,
    state: PageState,
    picked: Picked,
) -> list[ModelPanel]:
    panels = []
    for row in usage:
        histogram = histograms.get((row.provider, row.model), Histogram(counts=()))
        panels.append(
            ModelPanel(
                usage=row,
                **latency_texts(histogram),
                bars=bars(histogram, scale) if scale else [],
                marks=percentile_marks(histogram, scale) if scale else [],
                query=state.query_string(**{**picked.parameters, "model": row.model}),
            )
        )
    return panels


# ---------------------------------------------------------------- one trace


@dataclass(frozen=True)
class WaterfallStep:
    """One step of the waterfall: a span, or the end of a parent."""

    node: SpanNode | None
    closes: bool
    x: float = 0
    width: float = 0


@require_safe
def show_trace(request: HttpRequest, trace: str) -> HttpResponse:
    """`trace` is 32 hex digits; `day` in the address (of any of its spans) makes the look-up
    narrow.
    """
    state = PageState.from_request(request)
    picked = picked_from(request, state)
    trace_id = UUID(hex=trace)
    found = trace_spans(trace_id=trace_id, day=day_from(request.GET.get("day")), teams=state.scope)
    if not found:
        raise Http404
    spans = found[:LIMIT]
    drawn = waterfall(spans, {each.span_id: each for each in span_costs(spans).values()})
    context = {
        "trace": trace_id.hex,
        "waterfall": drawn,
        "lines": [line_of(step.node, step.closes) for step in drawn.steps],
        "first": spans[0],
        "spans": len(spans),
        "left_out": len(found) > LIMIT,
        "limit": LIMIT,
        "outside": any(span.is_outside for span in spans),
        "crumbs": [
            Crumb("Debug", f"{reverse('debug')}?{state.query_string(**picked.parameters)}"),
            Crumb(f"Trace {trace_id.hex[:8]}"),
        ],
    }
    return render_page(
        request,
        "operate/debug/trace.html",
        context,
        page="debug",
        title="Trace",
        state=state,
        kept={**picked.parameters, "day": request.GET.get("day")},
    )


def day_from(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None


def line_of(node: SpanNode | None, closes: bool) -> WaterfallStep:
    if node is None:
        return WaterfallStep(node=None, closes=closes)
    return WaterfallStep(
        node=node,
        closes=closes,
        x=round(node.start * 100, 3),
        width=round(max(node.width * 100, 0.4), 3),
    )
