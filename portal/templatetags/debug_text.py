"""How spans read in the debug templates."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from django import template
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from portal.ingest.otlp.traces.normalise import NOT_INFERENCE, OUTSIDE_WINDOW, REPEATS_CALLS
from portal.pages.frame.durations import milliseconds
from portal.pages.frame.state import PageState
from reports.analysis.waterfall import SpanNode
from reports.charts.histogram import Bar
from reports.queries.traces.costs import SpanCost
from reports.readable import grouped

register = template.Library()


@register.simple_tag
def duration(microseconds: int | None) -> SafeString:
    """Rounded for reading, exact on hover."""
    if microseconds is None:
        return format_html("\u2013")
    return format_html(
        '<span class="n" title="{} \u00b5s">{}</span>',
        microseconds,
        milliseconds(microseconds / 1000),
    )


@register.simple_tag
def tick(ms: float) -> str:
    if ms < 1000:
        return f"{ms:g} ms"
    return f"{ms / 1000:g} s"


@register.simple_tag
def bar_title(bar: Bar) -> str:
    return (
        f"{grouped(bar.calls)} calls from {milliseconds(bar.from_ms)} to {milliseconds(bar.to_ms)}"
    )


@register.simple_tag
def trace_link(trace: UUID, day: date, state: PageState, picked: Any) -> str:
    """A trace, and in its address the choice that the reader comes back to; the day makes the
    look-up narrow.
    """
    query = state.query_string(**{**picked.parameters, "day": day.isoformat()})
    return f"{reverse('debug-trace', args=[trace.hex])}?{query}"


@register.simple_tag
def span_state(call: Any) -> SafeString:
    """Whether a span failed, and why it is not counted where it is not."""
    notes = []
    if call.error_type or call.status_code == 2:
        notes.append(("failed", f"failed: {call.error_type}" if call.error_type else "failed"))
    if call.is_outside:
        notes.append(("note-out", OUTSIDE_WINDOW))
    if call.not_counted == NOT_INFERENCE or not (call.is_inference or call.counted):
        notes.append(("", "no inference call"))
    elif call.not_counted and call.not_counted != OUTSIDE_WINDOW:
        notes.append(("note-out", call.not_counted))
    if not notes:
        notes.append(("", "ok"))
    return format_html_join(", ", '<span class="{}">{}</span>', notes)


@register.simple_tag
def price_source(price: SpanCost) -> str:
    """Who states a call's prices, and whether they are of its tier."""
    told = price.sources or "a price list without a name"
    return f"{told}, general price for {price.general_tier}" if price.general_tier else told


@register.simple_tag
def span_notes(node: SpanNode) -> SafeString:
    """What a reader must know of a span in a waterfall: failure, a missing parent, a claim that
    does not add up.
    """
    span, notes = node.span, []
    if span.error_type or span.status_code == 2:
        notes.append(("failed", span.error_type or "failed"))
    if node.is_orphan:
        notes.append(("", "parent not received"))
    if span.is_outside:
        notes.append(("note-out", OUTSIDE_WINDOW))
    if span.not_counted and span.not_counted not in (NOT_INFERENCE, OUTSIDE_WINDOW, REPEATS_CALLS):
        notes.append(("note-out", span.not_counted))
    difference = node.claim_difference
    if difference == 0:
        notes.append(("note-ok", f"{grouped(span.tokens)} tokens, agrees with its calls"))
    elif difference is not None:
        word = "more" if difference > 0 else "fewer"
        claim = (
            f"says {grouped(span.tokens)} tokens, {grouped(abs(difference))} {word} than its calls"
        )
        notes.append(("note-out", claim))
    return format_html_join("", ' <span class="wf-note {}">{}</span>', notes)
