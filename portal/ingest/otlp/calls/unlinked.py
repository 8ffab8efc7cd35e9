"""One call that a service's observers told of in traces of their own, which nothing links: no
parent, no trace, no answer's id. What is left to go by is that the spans look alike, or are the two
halves of a stream.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from math import log
from operator import attrgetter
from typing import NamedTuple

from portal.ingest.otlp.calls.groups import close, is_inside
from portal.ingest.otlp.calls.seen import Seen

BEGUN_US = 5_000_000  # how far apart both may begin: the client's own start lies between
ENDED_US = 1_000_000  # how far apart both may end
# Only calls of one stretch are compared, so that a busy service's calls are no endless chain. About
# a minute, and no round number: schedules begin and end at full minutes.
STRETCH_US = 61_803_399

Pair = tuple[Seen, Seen]

begun = attrgetter("started_us")


class Likeness(NamedTuple):
    """What calls have in common among which the other span of one is looked for."""

    service: str
    api_key_id: int | None
    model: str
    stretch: int


def likeness(span: Seen, at_us: int) -> Likeness | None:
    """None where it says too little to be found again."""
    told = span.told
    if not (span.is_call and told.service and told.model and told.scope):
        return None
    return Likeness(told.service, told.api_key_id, told.model, at_us // STRETCH_US)


def whole(span: Seen) -> Likeness | None:
    """Of a call that tells tokens, by its end: an outer observer may begin long before."""
    return likeness(span, span.ended_us) if span.has_usage and any(span.totals) else None


def half(span: Seen) -> Likeness | None:
    """Of a stream's request or log, by where one ends and the other begins."""
    if span.parent_span_id is not None or not (span.is_log or span.is_stream):
        return None
    return likeness(span, span.started_us if span.is_log else span.ended_us)


def collected(
    spans: Iterable[Seen], key: Callable[[Seen], Likeness | None]
) -> Iterator[list[Seen]]:
    """Spans of one likeness, where there are several."""
    found: dict[Likeness, list[Seen]] = {}
    for span in spans:
        common = key(span)
        if common is not None:
            found.setdefault(common, []).append(span)
    return (each for each in found.values() if len(each) > 1)


def by_likeness(spans: Iterable[Seen]) -> list[list[Seen]]:
    """The calls of each likeness where several observers tell of some."""
    telling = [span for span in spans if span.has_usage]
    if not by_several(telling):
        return []
    return [each for each in collected(telling, whole) if by_several(each)]


def by_several(spans: Iterable[Seen]) -> bool:
    return len({span.told.scope for span in spans}) > 1


def by_stream(spans: Iterable[Seen]) -> list[list[Seen]]:
    """The halves of streams of each likeness where both kinds are there."""
    return [each for each in collected(spans, half) if len({span.is_log for span in each}) > 1]


def look_alike(one: Seen, other: Seen) -> bool:
    """Whether two calls may be one: of one likeness, told by different observers in different
    traces, one of which begins with its call; at least one without an answer's id; one inside of
    the other, with its totals.
    """
    return (
        abs(one.started_us - other.started_us) <= BEGUN_US
        and abs(one.ended_us - other.ended_us) <= ENDED_US
        and (is_inside(one, other) or is_inside(other, one))
        and one.overlaps(other)
        and one.key.trace != other.key.trace
        and one.told.scope != other.told.scope
        and (one.parent_span_id is None or other.parent_span_id is None)
        and one.failed is other.failed
        and (one.proof is None or other.proof is None)
        and close(one.totals, other.totals)
        and whole(one) == whole(other) is not None
    )


def are_halves(request: Seen, log: Seen) -> bool:
    """Whether the log may tell of the request's stream."""
    return (
        request.key.trace != log.key.trace
        and request.told.scope == log.told.scope
        and 0 <= log.started_us - request.started_us <= BEGUN_US
    )


def cell(totals: tuple[int, int]) -> tuple[int, int]:
    """Totals that are close are in one cell, or in two beside each other."""
    put_in, put_out = totals
    return int(90 * log(100 + put_in)), int(90 * log(100 + put_out))


def lookalikes(spans: Iterable[Seen]) -> Iterator[Pair]:
    """Pairs of spans that may tell of one call."""
    listed = [span for span in spans if span.is_call]
    if all(span.parent_span_id is not None for span in listed):
        return
    for alike in by_likeness(listed):
        yield from near_pairs(alike)
    for halves in by_stream(listed):
        logs = sorted((span for span in halves if span.is_log), key=begun)
        begins = [each.started_us for each in logs]
        for request in halves:
            if not request.is_log:
                first = bisect_left(begins, request.started_us)
                last = bisect_right(begins, request.started_us + BEGUN_US)
                yield from (
                    (request, each) for each in logs[first:last] if are_halves(request, each)
                )


def near_pairs(alike: Iterable[Seen]) -> Iterator[Pair]:
    """Pairs of calls that look alike, in one sweep by time over those of like totals."""
    passed: dict[tuple[int, int], list[Seen]] = {}
    for one in sorted(alike, key=begun):
        row, column = cell(one.totals)
        for place in product(range(row - 1, row + 2), range(column - 1, column + 2)):
            for other in reversed(passed.get(place, ())):
                if one.started_us - other.started_us > BEGUN_US:
                    break
                if look_alike(other, one):
                    yield other, one
        passed.setdefault((row, column), []).append(one)
