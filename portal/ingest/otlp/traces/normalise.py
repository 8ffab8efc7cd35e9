"""One span of any dialect -> one record in our normal form. Pure: no database, request or clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from allocation.catalogue.price_list import context_band
from allocation.catalogue.vocabulary import canonical_model, canonical_provider
from portal.ingest.otlp.traces.answers import counts_of_answer
from portal.ingest.otlp.traces.attributes import Vocabulary
from portal.ingest.otlp.traces.decode import Item, RawSpan, RefusedSpan, Resource
from portal.ingest.otlp.traces.fields import (
    LONGEST_TEXT,
    Fields,
    kept_attributes,
    parsed,
    read_fields,
    shorten,
    text,
)
from portal.ingest.otlp.traces.measures import (
    adjusted_count,
    client_cost,
    finish_reason,
    time_to_first_chunk,
)
from portal.ingest.otlp.traces.usage import NOTHING, BadTokenCount, Buckets, buckets
from portal.ingest.otlp.traces.window import Window

DAY_US = 86_400_000_000

AGENT_TOTAL = "agent_total"  # usage_shape of a span that repeats its calls' usage
NOT_INFERENCE = "not an inference call"
REPEATS_CALLS = "repeats the usage of its calls"
FETCHED = "fetches an answer counted elsewhere"
OUTSIDE_WINDOW = "outside the time window"

INFERENCE_OPERATIONS = {
    "chat": "chat",
    "generate_content": "generate_content",
    "text_completion": "text_completion",
    "completion": "text_completion",
    "embeddings": "embeddings",
    "embedding": "embeddings",
    "llm": "chat",
    "generation": "chat",
}
VERCEL_OPERATIONS = {
    "ai.generateText.doGenerate": "chat",
    "ai.streamText.doStream": "chat",
    "ai.generateObject.doGenerate": "chat",
    "ai.streamObject.doStream": "chat",
    "ai.embed.doEmbed": "embeddings",
    "ai.embedMany.doEmbed": "embeddings",
}
# Spans that may carry their calls' usage once more; where a trace has no such call they are all
# there is.
AGENT_OPERATIONS = {
    "invoke_agent",
    "create_agent",
    "invoke_workflow",
    "plan",
    "agent_step",
    "agent",
    "workflow",
    "task",
    "chain",
    "span",
    "ai.generateText",
    "ai.streamText",
    "ai.generateObject",
    "ai.streamObject",
    "ai.embed",
    "ai.embedMany",
}
GATEWAYS = ("litellm", "gateway", "portkey", "kong", "openrouter", "helicone")
TIERS = {
    "default": "standard",
    "auto": None,
    "on_demand": "standard",
    "on-demand": "standard",
    "spillover": "standard",
    "scale": "priority",
    "provisioned_throughput": "provisioned",
    "provisioned-throughput": "provisioned",
    "ptu": "provisioned",
    "reserved": "provisioned",
}
PROVISIONED_MODEL = (
    ":provisioned-model/"  # in the name under which Bedrock's reserved capacity is called
)
PHASES = ("build", "run", "move")


class Dimension(NamedTuple):
    """What a call is about; the columns of UsageDimension without id and hash."""

    is_inference: bool
    operation: str | None
    provider: str | None
    project: str | None
    region: str | None
    model_requested: str | None
    model_answered: str | None
    model: str | None
    tier: str | None
    context_band: int
    service: str | None
    team: str | None
    feature: str | None
    product: str | None
    environment: str | None
    customer: str | None
    phase: str | None
    entry_team: str | None
    entry_feature: str | None
    caller: str | None
    prompt_name: str | None
    prompt_version: str | None
    observer: str | None
    api_key_id: int | None


@dataclass(slots=True)
class SpanRecord:
    """One row of `span` to be; `counted` may still change when the rest of its trace is seen."""

    span_day: str  # ISO
    trace_id: str  # 32 hex digits
    span_id: int
    parent_span_id: int | None
    dimension: Dimension
    started_us: int
    duration_us: int
    name: str
    status_code: int
    error_type: str | None
    counted: bool
    not_counted: str | None
    adjusted_count: Decimal
    tokens: Buckets
    has_usage: bool
    usage_shape: str | None
    session_id: str | None
    response_id: str | None
    time_to_first_chunk_us: int | None
    finish_reason: str | None
    client_cost: Decimal | None
    attributes: str | None  # JSON

    @property
    def key(self) -> tuple[str, str, int]:
        return self.span_day, self.trace_id, self.span_id


@dataclass(frozen=True)
class Sender:
    """Who speaks: the ingest key, and the team that it is bound to, which beats any attribute."""

    api_key_id: int | None = None
    team: str | None = None


def normalise(
    items: Iterable[Item], *, words: Vocabulary, sender: Sender, window: Window
) -> tuple[list[SpanRecord], list[str]]:
    """Records, and the reason for each span refused, both in the order sent."""
    records: list[SpanRecord] = []
    refused: list[str] = []
    resource_fields: tuple[Resource, Fields] | None = None
    for resource, raw in items:
        if isinstance(raw, RefusedSpan):
            refused.append(raw.reason)
            continue
        if resource_fields is None or resource_fields[0] is not resource:
            resource_fields = (resource, read_fields(resource.attributes, words))
        try:
            records.append(normalise_span(raw, resource, resource_fields[1], words, sender, window))
        except ValueError as error:
            refused.append(str(error))
    return records, refused


def normalise_span(
    raw: RawSpan,
    resource: Resource,
    resource_fields: Fields,
    words: Vocabulary,
    sender: Sender,
    window: Window,
) -> SpanRecord:
    """The record. Raises ValueError with the reason to refuse the span."""
    trace_id, span_id, parent = identifiers(raw)
    fields = {**resource_fields, **read_fields(raw.attributes, words)}  # the span's own words win
    if "usage_details" in fields:
        add_langfuse_usage(fields)
    tokens, shape = token_buckets(fields, raw.name)
    operation, is_inference = classify(fields, shape is not None)
    started_us = raw.start_ns // 1000
    is_agent = shape is not None and not is_inference
    not_counted = None
    if is_agent:
        not_counted = REPEATS_CALLS if operation in AGENT_OPERATIONS else FETCHED
        shape = AGENT_TOTAL if operation in AGENT_OPERATIONS else shape
    elif not is_inference:
        not_counted = NOT_INFERENCE
    if not window.first_us <= started_us <= window.last_us:
        not_counted = OUTSIDE_WINDOW
    cut: list[str] = []
    return SpanRecord(
        span_day=iso_day(started_us // DAY_US),
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent,
        dimension=dimension(fields, operation, is_inference, tokens, resource.scope, sender, cut),
        started_us=started_us,
        duration_us=max(raw.end_ns // 1000 - started_us, 0),
        name=shorten(raw.name, "name", cut) or "",
        status_code=raw.status_code if raw.status_code in (0, 1, 2) else 0,
        error_type=text(fields, "error_type", cut),
        counted=not_counted is None,
        not_counted=not_counted,
        adjusted_count=adjusted_count(raw.trace_state, fields, words),
        tokens=tokens,
        has_usage=shape is not None,
        usage_shape=shape,
        session_id=text(fields, "session", cut),
        response_id=text(fields, "response_id", cut),
        time_to_first_chunk_us=time_to_first_chunk(fields),
        finish_reason=finish_reason(fields, cut),
        client_cost=client_cost(fields),
        attributes=kept_attributes(raw.attributes, words.kept, cut),
    )


def identifiers(raw: RawSpan) -> tuple[str, int, int | None]:
    if len(raw.trace_id) != 16 or not any(raw.trace_id):
        raise ValueError("trace id is not 16 bytes, or all zero")
    if len(raw.span_id) != 8 or not any(raw.span_id):
        raise ValueError("span id is not 8 bytes, or all zero")
    if len(raw.parent_span_id) not in (0, 8):
        raise ValueError("parent span id is not 8 bytes")
    parent = int.from_bytes(raw.parent_span_id, "big", signed=True) or None
    return raw.trace_id.hex(), int.from_bytes(raw.span_id, "big", signed=True), parent


@lru_cache(maxsize=4096)
def iso_day(days: int) -> str:
    return date.fromordinal(719_163 + days).isoformat()


# ---------------------------------------------------------------- what kind of span


def classify(fields: Fields, has_usage: bool) -> tuple[str | None, bool]:
    """(operation, whether it is one model call). The most specific statement about the span's kind
    decides.
    """
    vercel = fields.get("vercel_operation")
    if isinstance(vercel, str):
        known = VERCEL_OPERATIONS.get(vercel)
        return known or shorten(vercel, "operation", []), known is not None
    for field in (
        "operation",
        "openinference_kind",
        "request_type",
        "traceloop_kind",
        "langfuse_type",
    ):
        value = fields.get(field)
        if isinstance(value, str):
            known = INFERENCE_OPERATIONS.get(value.lower())
            return known or shorten(value.lower(), "operation", []), known is not None
    # Conventions before 1.27 had no operation: usage of a named model is a call.
    named = "model_requested" in fields or "model_answered" in fields
    return None, has_usage and named


def token_buckets(fields: Fields, name: str) -> tuple[Buckets, str | None]:
    try:
        return buckets(fields)
    except BadTokenCount as error:
        raise ValueError(f"span {name!r:.60}: {error}") from error


# Langfuse's own names; it also passes on what the provider answered.
LANGFUSE_COUNTS = {
    "input": "input",
    "output": "output",
    "total": "total",
    "input_cached_tokens": "cache_read",
    "cache_read_input_tokens": "cache_read",
    "cache_creation_input_tokens": "cache_write",
    "output_reasoning_tokens": "reasoning",
    "input_audio_tokens": "input_audio",
    "output_audio_tokens": "output_audio",
}


def add_langfuse_usage(fields: Fields) -> None:
    """Add the counts of Langfuse's JSON object; attributes of their own come first."""
    details = parsed(fields.pop("usage_details"))
    if not isinstance(details, dict):
        return
    own = {name: details[key] for key, name in LANGFUSE_COUNTS.items() if key in details}
    counts = own if "input" in details or "output" in details else counts_of_answer(details)
    for name, count in counts.items():
        fields.setdefault(name, count)


def dimension(
    fields: Fields,
    operation: str | None,
    is_inference: bool,
    tokens: Buckets,
    scope: str,
    sender: Sender,
    cut: list[str],
) -> Dimension:
    requested, answered = text(fields, "model_requested", cut), text(fields, "model_answered", cut)
    model = answered or requested
    service = text(fields, "service", cut)
    provider, region = provider_and_region(fields)
    return Dimension(
        is_inference=is_inference,
        operation=operation,
        provider=provider,
        project=text(fields, "project", cut),
        region=region,
        model_requested=requested,
        model_answered=answered,
        model=canonical_model(model) if model else None,
        tier=service_tier(fields),
        context_band=context_band(tokens.input_total) if tokens is not NOTHING else 0,
        service=service,
        team=sender.team or text(fields, "team", cut),
        feature=text(fields, "feature", cut),
        product=text(fields, "product", cut),
        environment=text(fields, "environment", cut),
        customer=text(fields, "customer", cut),
        phase=phase(fields),
        # Who speaks for one team only can't send the bill for its calls to another.
        entry_team=None if sender.team else text(fields, "entry_team", cut),
        entry_feature=None if sender.team else text(fields, "entry_feature", cut),
        caller=text(fields, "caller", cut) if is_inference else None,
        prompt_name=text(fields, "prompt_name", cut),
        prompt_version=text(fields, "prompt_version", cut),
        observer=observer(scope, service) if is_inference else None,
        api_key_id=sender.api_key_id,
    )


def provider_and_region(fields: Fields) -> tuple[str | None, str | None]:
    named, host, region = fields.get("provider"), fields.get("server_address"), fields.get("region")
    return read_provider(
        named if isinstance(named, str) else None,
        host if isinstance(host, str) else None,
        region[:LONGEST_TEXT] if isinstance(region, str) else None,
    )


@lru_cache(maxsize=4096)
def read_provider(
    named: str | None, host: str | None, region: str | None
) -> tuple[str | None, str | None]:
    """Normalised provider and region. The address tells apart what shares a client: Azure speaks
    OpenAI, too.
    """
    provider = None
    if named:
        lowered = named.strip().lower().replace("\0", "")[:LONGEST_TEXT]
        # Vercel writes openai.chat, anthropic.messages, azure-openai.responses,
        # google.generative-ai.
        known = canonical_provider(lowered)
        known = (
            canonical_provider(lowered.split(".")[0])
            if lowered.count(".") and known == lowered
            else known
        )
        well_known = {"aws": "aws.bedrock", "gcp": "gcp.vertex_ai", "azure": "azure.ai.openai"}
        keep = lowered.startswith(("aws.", "azure.", "gcp.", "ibm."))
        provider = canonical_provider(lowered) if keep else well_known.get(known, known)
    if host:
        host = host.lower()
        if host.endswith(".openai.azure.com") and provider in (None, "openai"):
            provider = "azure.ai.openai"
        elif host.startswith("bedrock-runtime.") and provider != "aws.bedrock":
            provider = "aws.bedrock"
        elif host.endswith("aiplatform.googleapis.com"):
            provider = "gcp.vertex_ai"
            region = host.split("-aiplatform")[0] if "-aiplatform" in host else region
        elif host == "api.openai.com" and provider is None:
            provider = "openai"
        elif host == "api.anthropic.com" and provider is None:
            provider = "anthropic"
        if host.startswith("bedrock-runtime.") and host.count(".") >= 3:
            region = host.split(".")[1]
    return provider, region.replace("\0", "") if region else None


def phase(fields: Fields) -> str | None:
    """build, run or move; None for any other word."""
    value = fields.get("phase")
    word = value.strip().lower() if isinstance(value, str) else None
    return word if word in PHASES else None


def service_tier(fields: Fields) -> str | None:
    value = fields.get("tier")
    if PROVISIONED_MODEL in str(fields.get("model_requested") or ""):
        return "provisioned"
    if not isinstance(value, str):
        return None
    name = value.lower().replace("\0", "")[:LONGEST_TEXT]
    return TIERS.get(name, name)


@lru_cache(maxsize=4096)
def observer(scope: str, service: str | None) -> str:
    """Who saw the call: the application that made it, or a gateway on its way."""
    seen = f"{scope} {service or ''}".lower()
    return "gateway" if any(name in seen for name in GATEWAYS) else "application"
