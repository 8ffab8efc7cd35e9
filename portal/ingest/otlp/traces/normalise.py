"""One span of any dialect -> one record in our normal form. Pure: no database, request or clock."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from allocation.catalogue.price_list import context_band
from allocation.catalogue.vocabulary import canonical_provider
from allocation.values.persons import pseudonym
from portal.ingest.otlp.traces.attributes import Vocabulary
from portal.ingest.otlp.traces.decode import Item, RawSpan, RefusedSpan, Resource
from portal.ingest.otlp.traces.emitters import Emitter, emitter_of
from portal.ingest.otlp.traces.fields import (
    LONGEST_TEXT,
    Fields,
    kept_attributes,
    read_fields,
    shorten,
    text,
)
from portal.ingest.otlp.traces.kinds import AGENT_OPERATIONS, classify
from portal.ingest.otlp.traces.measures import (
    adjusted_count,
    client_cost,
    finish_reason,
    stream_time,
    time_to_first_chunk,
)
from portal.ingest.otlp.traces.models import told_models
from portal.ingest.otlp.traces.token_names import has_usage, token_buckets
from portal.ingest.otlp.traces.usage import NOTHING, Buckets
from portal.ingest.otlp.traces.window import Window

DAY_US = 86_400_000_000
FAILED = 2  # status of a span

STREAM_LOG = "stream_log"  # usage_shape of a log that tells of a stream when it is over
AGENT_TOTAL = "agent_total"  # usage_shape of a span that repeats its calls' usage
NOT_INFERENCE = "not an inference call"
REPEATS_CALLS = "repeats the usage of its calls"
FETCHED = "fetches an answer counted elsewhere"
OUTSIDE_WINDOW = "outside the time window"

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
IDENTIFIER = re.compile(
    r"(?:[\w-]*[_:-])?(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{24,64})",
    re.IGNORECASE,
)

# The host of a repository's address: https://user@host/, ssh://host:22/, git@host:
ADDRESS = re.compile(r"^(?:[a-z+]+://[^/]+/|[\w.-]+@[\w.-]+:)", re.IGNORECASE)


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
    scope: str | None
    api_key_id: int | None


class Who(NamedTuple):
    """Who made a call, and for which repository; the columns of UsageWho without id."""

    person: str | None  # a pseudonym
    repository: str | None


NOBODY = Who(None, None)


@dataclass(slots=True)
class SpanRecord:
    """One row of `span` to be; `counted` may still change when the rest of its trace is seen."""

    span_day: str  # ISO
    trace_id: str  # 32 hex digits
    span_id: int
    parent_span_id: int | None
    dimension: Dimension
    who: Who
    person_name: str | None  # behind the pseudonym; None unless the installation keeps names
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
    is_bound: bool  # its key speaks for one team only
    is_thin: bool  # of a chatty tool, and of no interest but for its place

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
    """The record. Raises ValueError with the reason to refuse the span: only ids are worth that."""
    trace_id, span_id, parent = identifiers(raw)
    emitter = emitter_of(resource.scope, resource.version)
    fields = {**resource_fields, **read_fields(raw.attributes, words)}  # the span's own words win
    if emitter.by_default:
        forget_defaults(fields, emitter)
    tokens, shape = token_buckets(fields, emitter)
    operation, is_inference = classify(fields, emitter, has_usage(shape))
    started_us = raw.start_ns // 1000
    duration_us = max(raw.end_ns // 1000 - started_us, 0)
    if emitter.pairs == "stream_log" and has_usage(shape) and not duration_us:
        shape, duration_us = STREAM_LOG, stream_time(fields)
        started_us -= duration_us
    is_agent = has_usage(shape) and not is_inference
    not_counted = None
    if is_agent:
        not_counted = REPEATS_CALLS if operation in AGENT_OPERATIONS else FETCHED
        shape = AGENT_TOTAL if operation in AGENT_OPERATIONS else shape
    elif not is_inference:
        not_counted = NOT_INFERENCE
    if not window.first_us <= started_us <= window.last_us:
        not_counted = OUTSIDE_WINDOW
    cut: list[str] = []
    person = text(fields, "person", cut) if is_inference or is_agent else None
    return SpanRecord(
        span_day=iso_day(started_us // DAY_US),
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent,
        dimension=dimension(
            fields,
            operation,
            tokens,
            Observer(is_inference, is_inference or is_agent, resource.scope, emitter),
            sender,
            cut,
        ),
        who=who_told(person, fields, words, cut) if is_inference or is_agent else NOBODY,
        person_name=person if words.keeps_names else None,
        started_us=started_us,
        duration_us=duration_us,
        name=shorten(raw.name, "name", cut) or "",
        status_code=raw.status_code if raw.status_code in (0, 1, 2) else 0,
        error_type=text(fields, "error_type", cut),
        counted=not_counted is None,
        not_counted=not_counted,
        adjusted_count=adjusted_count(raw.trace_state, fields, words),
        tokens=tokens,
        has_usage=has_usage(shape),
        usage_shape=shape,
        session_id=text(fields, "session", cut),
        response_id=text(fields, "response_id", cut),
        time_to_first_chunk_us=time_to_first_chunk(fields, duration_us),
        finish_reason=finish_reason(fields, cut),
        client_cost=client_cost(fields),
        attributes=kept_attributes(raw.attributes, words.kept, cut),
        is_bound=sender.team is not None,
        is_thin=emitter.chatty
        and not_counted == NOT_INFERENCE
        and operation is None
        and raw.status_code != FAILED
        and "model_requested" not in fields,
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


def dimension(
    fields: Fields,
    operation: str | None,
    tokens: Buckets,
    observer: Observer,
    sender: Sender,
    cut: list[str],
) -> Dimension:
    requested, answered = text(fields, "model_requested", cut), text(fields, "model_answered", cut)
    model, requested, answered = told_models(requested, answered)
    service = text(fields, "service", cut)
    provider, region = provider_and_region(fields)
    is_call = observer.is_call
    return Dimension(
        is_inference=is_call,
        operation=operation,
        provider=provider,
        project=text(fields, "project", cut),
        region=region,
        model_requested=requested,
        model_answered=answered,
        model=model,
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
        caller=text(fields, "caller", cut) if is_call else None,
        prompt_name=no_id(text(fields, "prompt_name", cut)) if observer.has_usage else None,
        prompt_version=text(fields, "prompt_version", cut) if observer.has_usage else None,
        observer=observer.emitter.sees(observer.scope, service) if is_call else None,
        scope=shorten(observer.scope, "scope", cut) if is_call else None,
        api_key_id=sender.api_key_id,
    )


def who_told(person: str | None, fields: Fields, words: Vocabulary, cut: list[str]) -> Who:
    """The person under a pseudonym, and the repository: owner/name, whichever way it is written."""
    repository = text(fields, "repository", cut)
    if person is None and repository is None:
        return NOBODY
    return Who(
        pseudonym(person, words.person_key) if person else None,
        repository_name(repository) if repository else None,
    )


@lru_cache(maxsize=4096)
def repository_name(told: str) -> str | None:
    """What an address of the repository leads to, without host and ending; any other name as it
    is.
    """
    found = ADDRESS.sub("", told.strip()).strip("/").removesuffix(".git")
    return found or None


class Observer(NamedTuple):
    """Who tells of the span, and whether it is a model call, or carries usage at least."""

    is_call: bool
    has_usage: bool
    scope: str
    emitter: Emitter


def forget_defaults(fields: Fields, emitter: Emitter) -> None:
    """Take out what the tool says without having been told."""
    for field, value in emitter.by_default.items():
        if fields.get(field) == value:
            del fields[field]


def no_id(name: str | None) -> str | None:
    """The name, unless it is an identifier, of which every session or call has another."""
    return None if name is not None and IDENTIFIER.fullmatch(name) else name


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
