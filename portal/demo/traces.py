"""Traces of the kept calls: spans of one call (chat), of a retrieval (rag) or of an agent's loop,
as OTLP requests.

Five emitters are spoken, one per service: today's OpenTelemetry names, those of before 2025
(gen_ai.system, prompt_tokens), OpenInference's, traceloop's and LiteLLM's. Some services are
instrumented twice, so that a second span inside each call's own tells the same. Agent spans repeat
the sum of their calls' tokens, as instrumentations do: a portal that counts both doubles the cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from portal.demo import cases, events
from portal.demo.calls import EMBEDDING_MODEL, Ints, Kept, TrafficDay
from portal.demo.company import CUSTOMERS, PROJECTS
from portal.demo.features import DemoFeature, Traffic
from portal.demo.models import MODELS, Model
from portal.demo.otlp_bytes import (
    CLIENT,
    ERROR,
    INTERNAL,
    SERVER,
    UNSET,
    number_attribute,
    resource_spans,
    span,
    text_attribute,
)
from portal.demo.settings import DemoSettings, at

SPANS_PER_REQUEST = 2000
_ERRORS = ("429", "ThrottlingException", "timeout", "503")


class PlannedSpan(NamedTuple):
    """One span to be: a call, or what belongs to one."""

    name: str
    attributes: list[bytes]
    kind: int
    start_ns: int
    end_ns: int
    status: int
    again: list[bytes] | None = None  # what a second instrumentation says of the same call


@dataclass(frozen=True)
class Tokens:
    uncached: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int

    @property
    def input(self) -> int:
        return self.uncached + self.cache_read + self.cache_write


Names = Callable[[Model, str, Tokens | None], list[bytes]]


def _otel(model: Model, operation: str, tokens: Tokens | None) -> list[bytes]:
    out = [
        text_attribute("gen_ai.operation.name", operation),
        text_attribute("gen_ai.provider.name", model.provider),
        text_attribute("gen_ai.request.model", model.requested),
        text_attribute("gen_ai.response.model", model.answered),
    ]
    if tokens:
        out.append(number_attribute("gen_ai.usage.input_tokens", tokens.input))
        if tokens.cache_read:
            out.append(number_attribute("gen_ai.usage.cache_read.input_tokens", tokens.cache_read))
        if tokens.cache_write:
            out.append(
                number_attribute("gen_ai.usage.cache_write.input_tokens", tokens.cache_write)
            )
        if tokens.output:
            out.append(number_attribute("gen_ai.usage.output_tokens", tokens.output))
        if tokens.reasoning:
            out.append(number_attribute("gen_ai.usage.reasoning.output_tokens", tokens.reasoning))
    return out


_OLD_SYSTEMS = {"aws.bedrock": "bedrock", "gcp.vertex_ai": "vertex_ai", "openai": "openai"}


def _otel_old(model: Model, operation: str, tokens: Tokens | None) -> list[bytes]:
    out = [
        text_attribute(
            "llm.request.type" if operation == "chat" else "gen_ai.operation.name", operation
        ),
        text_attribute("gen_ai.system", _OLD_SYSTEMS.get(model.provider, model.provider)),
        text_attribute("gen_ai.request.model", model.requested),
        text_attribute("gen_ai.response.model", model.answered),
    ]
    if tokens:
        out.append(number_attribute("gen_ai.usage.prompt_tokens", tokens.input))
        out.append(number_attribute("gen_ai.usage.completion_tokens", tokens.output))
        if tokens.reasoning:
            out.append(number_attribute("gen_ai.usage.reasoning_tokens", tokens.reasoning))
    return out


_INFERENCE_KINDS = {
    "chat": "LLM",
    "embeddings": "EMBEDDING",
    "invoke_agent": "AGENT",
    "execute_tool": "TOOL",
}


def _openinference(model: Model, operation: str, tokens: Tokens | None) -> list[bytes]:
    out = [
        text_attribute("openinference.span.kind", _INFERENCE_KINDS[operation]),
        text_attribute("llm.provider", model.provider),
        text_attribute("llm.model_name", model.answered),
    ]
    if tokens:
        out.append(number_attribute("llm.token_count.prompt", tokens.input))
        out.append(number_attribute("llm.token_count.completion", tokens.output))
        out.append(number_attribute("llm.token_count.total", tokens.input + tokens.output))
        if tokens.cache_read:
            out.append(
                number_attribute("llm.token_count.prompt_details.cache_read", tokens.cache_read)
            )
        if tokens.cache_write:
            out.append(
                number_attribute("llm.token_count.prompt_details.cache_write", tokens.cache_write)
            )
        if tokens.reasoning:
            out.append(
                number_attribute("llm.token_count.completion_details.reasoning", tokens.reasoning)
            )
    return out


_TRACELOOP_SYSTEMS = {"openai": "OpenAI", "aws.bedrock": "AWS", "gcp.vertex_ai": "Google"}


def _traceloop(model: Model, operation: str, tokens: Tokens | None) -> list[bytes]:
    out = [
        text_attribute("gen_ai.system", _TRACELOOP_SYSTEMS.get(model.provider, model.provider)),
        text_attribute("gen_ai.request.model", model.requested),
        text_attribute("gen_ai.response.model", model.answered),
    ]
    if operation == "chat":
        out.append(text_attribute("llm.request.type", operation))
    else:
        out.append(text_attribute("gen_ai.operation.name", operation))
    if tokens:
        out.append(number_attribute("gen_ai.usage.input_tokens", tokens.input))
        out.append(number_attribute("gen_ai.usage.output_tokens", tokens.output))
        out.append(number_attribute("llm.usage.total_tokens", tokens.input + tokens.output))
        if tokens.cache_read:
            out.append(number_attribute("gen_ai.usage.cache_read_input_tokens", tokens.cache_read))
        if tokens.reasoning:
            out.append(number_attribute("gen_ai.usage.reasoning_tokens", tokens.reasoning))
    return out


# What LiteLLM calls an operation, where it differs.
_LITELLM_OPERATIONS = {"chat": "acompletion", "embeddings": "aembedding"}


def _litellm(model: Model, operation: str, tokens: Tokens | None) -> list[bytes]:
    provider = model.provider.partition(".")[2] or model.provider
    out = [
        text_attribute("gen_ai.operation.name", _LITELLM_OPERATIONS.get(operation, operation)),
        text_attribute("gen_ai.system", provider),
        text_attribute("gen_ai.request.model", f"{provider}/{model.requested}"),
        text_attribute("gen_ai.response.model", model.answered),
    ]
    if tokens:
        out.append(number_attribute("gen_ai.usage.input_tokens", tokens.input))
        out.append(number_attribute("gen_ai.usage.output_tokens", tokens.output))
        out.append(number_attribute("gen_ai.usage.total_tokens", tokens.input + tokens.output))
        if tokens.cache_read:
            out.append(number_attribute("gen_ai.usage.cache_read_input_tokens", tokens.cache_read))
    return out


_DIALECTS: dict[str, Names] = {
    "otel": _otel,
    "otel_old": _otel_old,
    "openinference": _openinference,
    "traceloop": _traceloop,
    "litellm": _litellm,
}
OWN_SCOPE, SECOND_SCOPE = "larkspur.demo", "openinference.instrumentation.openai"


@lru_cache(maxsize=256)
def sampling_threshold(probability: float) -> tuple[str, int]:
    """(tracestate, rejection threshold) of consistent head sampling; the trace id's low 56 bits are
    at or above it.
    """
    if probability >= 1.0:
        return "", 0
    threshold = 2**56 - round(probability * 2**56)
    return f"ot=th:{threshold:014x}".rstrip("0"), threshold


@dataclass
class _Writer:
    """Spans of one traffic's day."""

    settings: DemoSettings
    found: TrafficDay
    since_ns: int
    until_ns: int

    def __post_init__(self) -> None:
        traffic = self.found.traffic
        self.model = MODELS[traffic.model]
        self.names = _DIALECTS[traffic.dialect]
        self.by_gateway = cases.is_logged_by_gateway(traffic, self.settings)
        self.midnight_ns = int(at(self.found.day).timestamp()) * 10**9
        feature = self.found.feature
        self.prompt = [
            text_attribute("gen_ai.prompt.name", feature.slug),
            text_attribute(
                "gen_ai.prompt.version",
                events.prompt_version(feature, self.found.day, self.settings),
            ),
        ]

    def spans(self) -> Iterator[tuple[str, bytes]]:
        """(instrumentation scope, span) of every kept span that starts in [since, until)."""
        kept = self.found.kept
        if not len(kept.request):
            return
        edges = np.flatnonzero(np.diff(kept.request)) + 1
        starts = [0, *edges.tolist()]
        for first, end in zip(starts, [*starts[1:], len(kept.request)], strict=True):
            start_ns = self.midnight_ns + int(kept.start[first] * 1e9)
            if self.since_ns <= start_ns < self.until_ns:
                yield from self._trace(kept, first, end, start_ns)

    def _trace(
        self, kept: Kept, first: int, end: int, start_ns: int
    ) -> Iterator[tuple[str, bytes]]:
        draw = [int(number) for number in kept.random[first]]
        trace_state, threshold = sampling_threshold(float(kept.probability[first]))
        low = threshold + draw[1] % (2**56 - threshold)
        trace_id = (draw[0] << 64 | (draw[1] >> 56) << 56 | low).to_bytes(16, "big")
        ids = _ids(draw[2])
        common = self._common(draw[3])
        shape = self.found.traffic.shape
        root = next(ids) if shape in ("agent", "rag") and not self.by_gateway else b""
        at_ns = start_ns + (3_000_000 if root else 0)
        pieces: list[tuple[str, bytes]] = []
        for index in range(first, end):
            for name, attributes, kind, begins, ends, status, again in self._calls(
                kept, index, at_ns, draw[4] + index
            ):
                at_ns = ends + 2_000_000
                if self.by_gateway and not name.startswith(("chat", "embeddings")):
                    continue  # a gateway sees nothing but model calls
                span_id = next(ids)
                piece = span(
                    trace_id=trace_id,
                    span_id=span_id,
                    parent_id=root,
                    name=name,
                    kind=kind,
                    start_ns=begins,
                    end_ns=ends,
                    attributes=[*attributes, *common],
                    trace_state=trace_state,
                    status=status,
                )
                pieces.append((OWN_SCOPE, piece))
                if again and not self.by_gateway and self.found.traffic.is_seen_twice:
                    inner = span(
                        trace_id=trace_id,
                        span_id=next(ids),
                        parent_id=span_id,
                        name=name,
                        kind=kind,
                        start_ns=begins + 500_000,
                        end_ns=ends - 500_000,
                        attributes=again,
                        trace_state=trace_state,
                        status=status,
                    )
                    pieces.append((SECOND_SCOPE, inner))
        if root:
            yield (
                OWN_SCOPE,
                self._root(trace_id, root, trace_state, start_ns, at_ns, common, kept, first, end),
            )
        yield from pieces

    def _root(
        self,
        trace_id: bytes,
        root: bytes,
        trace_state: str,
        start_ns: int,
        end_ns: int,
        common: list[bytes],
        kept: Kept,
        first: int,
        end: int,
    ) -> bytes:
        slug = self.found.feature.slug
        if self.found.traffic.shape == "rag":
            name, kind, attributes = (
                f"POST /{slug}",
                SERVER,
                [text_attribute("http.request.method", "POST")],
            )
        else:
            tokens = Tokens(*(int(column[first:end].sum()) for column in token_columns(kept)))
            name, kind = f"invoke_agent {slug}", INTERNAL
            attributes = [
                *self.names(self.model, "invoke_agent", tokens),
                text_attribute("gen_ai.agent.name", slug),
            ]
        return span(
            trace_id=trace_id,
            span_id=root,
            parent_id=b"",
            name=name,
            kind=kind,
            start_ns=start_ns,
            end_ns=end_ns,
            attributes=[*attributes, *common],
            trace_state=trace_state,
            status=ERROR if bool(kept.failed[first:end].all()) else UNSET,
        )

    def _common(self, draw: int) -> list[bytes]:
        """What every span of a request carries: customer and session."""
        feature = self.found.feature
        out = []
        if feature.customers:
            # A few customers make most of the traffic.
            rank = int((draw % 1000 / 1000) ** 2.2 * feature.customers)
            out.append(text_attribute("customer", CUSTOMERS[rank]))
        out.append(text_attribute("session.id", f"s-{draw >> 12 & 0xFFFFFF:06x}"))
        if self.by_gateway:
            out += [
                text_attribute(name, value) for name, value in cases.virtual_key(feature).items()
            ]
        return out

    def _calls(self, kept: Kept, index: int, at_ns: int, draw: int) -> Iterator[PlannedSpan]:
        """One model call and what belongs to it, one after the other."""
        model, traffic = self.model, self.found.traffic
        speed = float(kept.speed[index])
        for step in self._retrieval(kept, index, at_ns):
            yield step
            at_ns = step.end_ns + 1_000_000
        operation = "embeddings" if traffic.shape == "embed" else "chat"
        name = f"{operation} {model.requested}"
        if kept.failed[index] or kept.retried[index]:
            ends = at_ns + int((150 + draw % 900) * 1e6)
            failure = [
                *self.names(model, operation, None),
                *self.prompt,
                text_attribute("error.type", _ERRORS[draw % len(_ERRORS)]),
            ]
            yield PlannedSpan(name, failure, CLIENT, at_ns, ends, ERROR)
            if kept.failed[index]:
                return
            at_ns = ends + 500_000_000
        tokens = Tokens(*(int(column[index]) for column in token_columns(kept)))
        first_token_ms = (model.first_token_ms + tokens.uncached * 0.012) * speed
        ends = at_ns + int((first_token_ms + tokens.output * model.ms_per_token * speed) * 1e6)
        attributes = [
            *self.names(model, operation, None if kept.loses_usage[index] else tokens),
            *self.prompt,
            number_attribute("gen_ai.response.time_to_first_chunk", first_token_ms / 1000),
            text_attribute("gen_ai.response.id", f"resp_{kept.random[index][4]:016x}"),
        ]
        again = _openinference(model, operation, tokens)
        yield PlannedSpan(name, attributes, CLIENT, at_ns, ends, UNSET, again)
        has_more = index + 1 < len(kept.request) and kept.request[index + 1] == kept.request[index]
        if traffic.shape == "agent" and has_more and draw % 3:
            yield _tool(self.found.feature, ends, draw)

    def _retrieval(self, kept: Kept, index: int, at_ns: int) -> Iterator[PlannedSpan]:
        """What comes before the answer where it rests on documents."""
        speed = float(kept.speed[index])
        if kept.embedding[index]:
            embedder = MODELS[EMBEDDING_MODEL]
            name = f"embeddings {embedder.requested}"
            ends = at_ns + int(embedder.first_token_ms * speed * 1e6)
            tokens = Tokens(int(kept.embedding[index]), 0, 0, 0, 0)
            yield PlannedSpan(
                name, _otel(embedder, "embeddings", tokens), CLIENT, at_ns, ends, UNSET
            )
            at_ns = ends + 1_000_000
        if self.found.traffic.shape == "rag":
            attributes = [text_attribute("gen_ai.operation.name", "retrieval")]
            ends = at_ns + int(45 * speed * 1e6)
            yield PlannedSpan("retrieval knowledge", attributes, CLIENT, at_ns, ends, UNSET)


def _tool(feature: DemoFeature, begins_ns: int, draw: int) -> PlannedSpan:
    tool = feature.tools[draw % len(feature.tools)]
    attributes = [
        text_attribute("gen_ai.operation.name", "execute_tool"),
        text_attribute("gen_ai.tool.name", tool),
    ]
    ends = begins_ns + int((80 + draw % 4000) * 1e6)
    return PlannedSpan(
        f"execute_tool {tool}", attributes, INTERNAL, begins_ns + 1_000_000, ends, UNSET
    )


def token_columns(kept: Kept) -> tuple[Ints, ...]:
    """In the order of Tokens."""
    return kept.uncached, kept.cache_read, kept.cache_write, kept.output, kept.reasoning


def _ids(base: int) -> Iterator[bytes]:
    """Span ids, never zero."""
    number = base
    while True:
        number = (number * 6364136223846793005 + 1442695040888963407) % 2**64
        yield (number or 1).to_bytes(8, "big")


def _resource(
    feature: DemoFeature, traffic: Traffic, day: date, settings: DemoSettings
) -> dict[str, str]:
    project = PROJECTS[traffic.project]
    if cases.is_logged_by_gateway(traffic, settings):
        return {"service.name": "litellm-gateway", "gen_ai.project": project.identifier}
    resource = {
        "service.name": feature.service,
        "service.version": events.prompt_version(feature, day, settings).replace("v", "2026."),
        "deployment.environment.name": traffic.environment,
        "gen_ai.project": project.identifier,
        "telemetry.sdk.language": "python",
    }
    team = events.named_team(feature, traffic, day, settings)
    if team:
        resource |= {"team": team, "feature": feature.slug, "product": feature.product}
    return resource


def requests_of_day(
    settings: DemoSettings,
    found: Iterable[TrafficDay],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[bytes]:
    """OTLP requests (protobuf) of one day's traffic: spans starting in [since, until), some
    thousands in each.
    """
    since_ns = int(since.timestamp() * 1e9) if since else 0
    until_ns = int((until or settings.now).timestamp() * 1e9)
    request: list[bytes] = []
    count = 0
    for each in found:
        spans: dict[str, list[bytes]] = {}
        for scope, piece in _Writer(settings, each, since_ns, until_ns).spans():
            spans.setdefault(scope, []).append(piece)
        resource = _resource(each.feature, each.traffic, each.day, settings)
        for scope, pieces in spans.items():
            request.append(resource_spans(resource, scope, pieces))
            count += len(pieces)
        if count >= SPANS_PER_REQUEST:
            yield b"".join(request)
            request, count = [], 0
    if request:
        yield b"".join(request)
