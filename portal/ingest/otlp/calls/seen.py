"""What counting needs of a span, and where it stands in its trace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from portal.ingest.otlp.traces.emitters import emitter_of
from portal.ingest.otlp.traces.kinds import is_certain
from portal.ingest.otlp.traces.normalise import Dimension, Who
from portal.ingest.otlp.traces.usage import Buckets


class SpanPlace(NamedTuple):
    """Of a span in the database."""

    day: str
    trace: str
    span_id: int


@dataclass(frozen=True, slots=True)
class Seen:
    """One span inside the time window, as far as counting goes."""

    key: SpanPlace
    parent_span_id: int | None
    told: Dimension
    who: Who
    repeats: bool  # it is known to repeat its calls' usage
    is_log: bool  # of a stream, when it is over
    has_usage: bool
    tokens: Buckets
    failed: bool
    weight: Decimal
    client_cost: Decimal | None
    started_us: int
    ended_us: int
    response_id: str | None
    is_bound: bool  # sent with a key that is bound to a team
    arrived: int = 0  # microseconds since 1970; 0: not stored yet

    @property
    def is_call(self) -> bool:
        return self.told.is_inference

    @property
    def is_stream(self) -> bool:
        """Whether it may be a stream's request, of which a log will tell the usage."""
        silent = self.is_call and not self.has_usage and not self.failed
        return silent and emitter_of(self.told.scope or "").pairs == "stream_log"

    @property
    def is_certain(self) -> bool:
        return is_certain(self.told.operation, self.told.model)

    @property
    def proof(self) -> str | None:
        """The answer's id, unless its emitter made it up."""
        if self.response_id is None:
            return None
        emitter = emitter_of(self.told.scope or "")
        return None if emitter.makes_up(self.response_id, self.told.provider) else self.response_id

    @property
    def totals(self) -> tuple[int, int]:
        return self.tokens.input_total, self.tokens.output_total

    def overlaps(self, other: Seen) -> bool:
        return self.started_us <= other.ended_us and other.started_us <= self.ended_us


class TraceTree:
    """Traces, with spans of which only their place is known."""

    def __init__(
        self, spans: Iterable[Seen], skeleton: Mapping[tuple[str, int], int | None]
    ) -> None:
        """`skeleton`: (trace, span id) -> parent of the spans that were thinned."""
        self.spans = {(span.key.trace, span.key.span_id): span for span in spans}
        self.parents = dict(skeleton)
        self.parents.update({place: span.parent_span_id for place, span in self.spans.items()})

    def above(self, span: Seen) -> Iterator[tuple[int, Seen | None]]:
        """Ids of the spans above it, nearest first, with the spans where they are known; a parent
        that was not sent, or not yet, ends it, and a loop where it closes.
        """
        passed = {span.key.span_id}
        parent = span.parent_span_id
        while parent is not None and parent not in passed:
            passed.add(parent)
            place = (span.key.trace, parent)
            yield parent, self.spans.get(place)
            parent = self.parents.get(place)

    def ancestors(self, span: Seen) -> list[Seen]:
        return [found for _, found in self.above(span) if found is not None]

    def is_rooted(self, span: Seen) -> bool:
        """Whether every span above it is known."""
        return all((span.key.trace, number) in self.parents for number, _ in self.above(span))
