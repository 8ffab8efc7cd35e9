"""One span of any dialect -> one record in our normal form. Pure: no database, request or clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from allocation.catalogue import canonical_model, canonical_provider
from allocation.price_list import context_band
from portal.ingest.otlp.answers import counts_of_answer
from portal.ingest.otlp.attributes import Vocabulary
from portal.ingest.otlp.decode import Item, RawSpan, Refused, Resource
from portal.ingest.otlp.usage import NOTHING, BadTokenCount, Buckets, buckets

LONGEST_TEXT = 300
LONGEST_METADATA = 64 * 1024
LONGEST_NUMBER = 60
DAY_US = 86_400_000_000
LARGEST_COUNT = 2**56

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
# Spans that may carry their calls' usage once more; where a trace has no such call they are all there is.
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
TIERS = {"default": "standard", "auto": None, "on_demand": "standard", "scale": "priority"}


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


@dataclass(frozen=True)
class Window:
    """Start times that count, in microseconds since 1970; both ends included."""

    first_us: int
    last_us: int


def normalise(
    items: Iterable[Item], *, words: Vocabulary, sender: Sender, window: Window
) -> tuple[list[SpanRecord], list[str]]:
    """Records, and the reason for each span refused, both in the order sent."""
    records: list[SpanRecord] = []
    refused: list[str] = []
    resource_fields: tuple[Resource, Fields] | None = None
    for resource, raw in items:
        if isinstance(raw, Refused):
            refused.append(raw.reason)
            continue
        if resource_fields is None or resource_fields[0] is not resource:
            resource_fields = (resource, read_fields(resource.attributes, words))
        try:
            records.append(normalise_span(raw, resource, resource_fields[1], words, sender, window))
        except ValueError as error:
            refused.append(str(error))
    return records, refused


Fields = dict[str, Any]


def normalise_span(
    raw: RawSpan, resource: Resource, resource_fields: Fields, words: Vocabulary, sender: Sender, window: Window
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


# ---------------------------------------------------------------- reading attributes


def read_fields(attributes: Mapping[str, Any], words: Vocabulary) -> Fields:
    """Field -> value, the best-ranked name present for each; metadata objects are looked into last."""
    fields: Fields = {}
    ranks: dict[str, int] = {}
    meanings = words.meanings
    for name, value in attributes.items():
        for field, rank in meanings.get(name, ()):
            if value is not None and value != "" and rank < ranks.get(field, LARGEST_COUNT):
                fields[field] = value
                ranks[field] = rank
    if "metadata" in fields or "tags" in fields:
        for key, value in inside_metadata(fields).items():
            for field, rank in words.metadata_meanings.get(key, ()):
                if value not in (None, "") and rank < ranks.get(field, LARGEST_COUNT):
                    fields[field] = value
                    ranks[field] = rank
    return fields


def inside_metadata(fields: Fields) -> dict[str, Any]:
    """What `metadata` (a JSON object, often as text) and tags of the form team:search say."""
    found: dict[str, Any] = {}
    for tag in as_list(fields.pop("tags", None)):
        name, separator, value = str(tag).replace("=", ":", 1).partition(":")
        if separator:
            found[name.strip()] = value.strip()
    content = parsed(fields.pop("metadata", None))
    if isinstance(content, dict):
        found.update({key: value for key, value in content.items() if isinstance(value, str | int)})
    return found


def parsed(value: Any) -> Any:
    if isinstance(value, str) and len(value) <= LONGEST_METADATA:
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return None
    return value if isinstance(value, dict | list) else None


def as_list(value: Any) -> list[Any]:
    if isinstance(value, str):
        value = parsed(value) or [value]
    return value if isinstance(value, list) else []


def text(fields: Fields, field: str, cut: list[str]) -> str | None:
    value = fields.get(field)
    if value is None:
        return None
    return shorten(value if isinstance(value, str) else str(value), field, cut)


def shorten(value: str, field: str, cut: list[str]) -> str | None:
    """The text as PostgreSQL can hold it, at most LONGEST_TEXT characters; `cut` notes what was longer."""
    if len(value) > LONGEST_TEXT:
        cut.append(field)
        value = value[:LONGEST_TEXT]
    if "\0" in value:
        value = value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return value or None


def kept_attributes(attributes: Mapping[str, Any], kept: frozenset[str], cut: list[str]) -> str | None:
    """The allow-listed attributes as JSON; `truncated` names every field of the span that was cut."""
    found = {name: short_value(name, value, cut) for name, value in attributes.items() if name in kept}
    if cut:
        found["truncated"] = sorted(set(cut))
    return orjson.dumps(found).decode() if found else None


def short_value(name: str, value: Any, cut: list[str]) -> Any:
    if isinstance(value, str):
        return shorten(value, name, cut)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float) and math.isfinite(value):
        return value
    return shorten(str(value), name, cut)


# ---------------------------------------------------------------- what kind of span


def classify(fields: Fields, has_usage: bool) -> tuple[str | None, bool]:
    """(operation, whether it is one model call). The most specific statement about the span's kind decides."""
    vercel = fields.get("vercel_operation")
    if isinstance(vercel, str):
        known = VERCEL_OPERATIONS.get(vercel)
        return known or shorten(vercel, "operation", []), known is not None
    for field in ("operation", "openinference_kind", "request_type", "traceloop_kind", "langfuse_type"):
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
def read_provider(named: str | None, host: str | None, region: str | None) -> tuple[str | None, str | None]:
    """Normalised provider and region. The address tells apart what shares a client: Azure speaks OpenAI, too."""
    provider = None
    if named:
        lowered = named.strip().lower().replace("\0", "")[:LONGEST_TEXT]
        # Vercel writes openai.chat, anthropic.messages, azure-openai.responses, google.generative-ai.
        known = canonical_provider(lowered)
        known = canonical_provider(lowered.split(".")[0]) if lowered.count(".") and known == lowered else known
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


def service_tier(fields: Fields) -> str | None:
    value = fields.get("tier")
    if not isinstance(value, str):
        return None
    name = value.lower().replace("\0", "")[:LONGEST_TEXT]
    return TIERS.get(name, name)


@lru_cache(maxsize=4096)
def observer(scope: str, service: str | None) -> str:
    """Who saw the call: the application that made it, or a gateway on its way."""
    seen = f"{scope} {service or ''}".lower()
    return "gateway" if any(name in seen for name in GATEWAYS) else "application"


# ---------------------------------------------------------------- numbers beside tokens


def adjusted_count(trace_state: str, fields: Fields, words: Vocabulary) -> Decimal:
    """How many calls the span stands for: from the tracestate's threshold, else a rate named by span or setting."""
    if trace_state and "ot=" in trace_state:
        weight = weight_of_trace_state(trace_state)
        if weight is not None:
            return weight
    rate = fields.get("sample_rate")
    if type(rate) is int and 1 <= rate <= LARGEST_COUNT:
        return Decimal(rate)
    share = fields.get("sample_probability")
    if share is None and words.sampling_rates:
        share = words.sampling_rates.get(str(fields.get("service")))
    return weight_of_share(str(share)) if share is not None else ONE


ONE = Decimal(1)
PLACES = Decimal("1e-12")


@lru_cache(maxsize=4096)
def weight_of_trace_state(trace_state: str) -> Decimal | None:
    """2^56 / (2^56 - threshold), by the specification "TraceState: Probability Sampling" (th: 1 to 14 hex digits)."""
    for member in trace_state.split(","):
        vendor, _, value = member.strip().partition("=")
        if vendor != "ot":
            continue
        for part in value.split(";"):
            name, _, digits = part.partition(":")
            if name == "th" and 1 <= len(digits) <= 14:
                try:
                    threshold = int(digits.ljust(14, "0"), 16)
                except ValueError:
                    return None
                return in_places(Decimal(LARGEST_COUNT) / (LARGEST_COUNT - threshold))
    return None


@lru_cache(maxsize=4096)
def weight_of_share(share: str) -> Decimal:
    try:
        value = Decimal(share)
    except ArithmeticError:
        return ONE
    if not value.is_finite() or not Decimal("1e-9") <= value <= 1:
        return ONE
    return in_places(1 / value)


def in_places(value: Decimal) -> Decimal:
    """The number at twelve places, without trailing zeros: the same text every time."""
    whole = value.to_integral_value()
    return whole if whole == value else value.quantize(PLACES)


def time_to_first_chunk(fields: Fields) -> int | None:
    for field, factor in (("ttft_seconds", 1_000_000), ("ttft_ms", 1_000)):
        value = fields.get(field)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
            return round(value * factor)
    return None


def finish_reason(fields: Fields, cut: list[str]) -> str | None:
    value = fields.get("finish_reason")
    if value is None:
        return None
    reasons = as_list(value)
    return shorten(",".join(sorted({str(reason) for reason in reasons})), "finish_reason", cut)


def client_cost(fields: Fields) -> Decimal | None:
    """What the client says the call cost. Kept to compare, never used as a cost."""
    stated = number(fields.get("client_cost"))
    if stated is not None:
        return stated
    details = parsed(fields.get("cost_details")) if "cost_details" in fields else None
    if isinstance(details, dict) and "total" in details:
        return number(details["total"])
    parts = [number(fields.get("client_cost_input")), number(fields.get("client_cost_output"))]
    known = [part for part in parts if part is not None]
    return sum(known, Decimal(0)) if known else None


def number(value: Any) -> Decimal | None:
    if value is None or isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if len(str(value)) > LONGEST_NUMBER:
        return None
    try:
        amount = Decimal(repr(value) if isinstance(value, float) else value)
    except ArithmeticError:
        return None
    return amount if amount.is_finite() and abs(amount) < 10**9 and amount.adjusted() > -30 else None
