"""Which attribute means what: every generation of GenAI attribute names that is alive, newest
first.

Sources: OpenTelemetry GenAI semantic conventions 1.28 to 1.41 and later drafts, OpenInference,
OpenLLMetry (traceloop), Vercel AI SDK and gateway, Langfuse, LangSmith, Mastra, LiteLLM,
OpenRouter, Cloudflare, Claude Code, Codex and their like, as collected in November 2026.

Whatever is not named here, or allowed by a setting, is dropped unread: message content never gets
past this door, nor do personal data but a person's pseudonym.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from django.conf import settings

# Field of the normal form -> attribute names, the first that is present wins.
ALIASES: dict[str, tuple[str, ...]] = {
    "vercel_operation": ("ai.operationId",),
    "operation": ("gen_ai.operation.name",),
    "openinference_kind": ("openinference.span.kind",),
    "request_type": ("llm.request.type",),
    "traceloop_kind": ("traceloop.span.kind",),
    "langfuse_type": ("langfuse.observation.type",),
    "own_kind": ("langsmith.span.kind",),
    "provider": (
        "gen_ai.provider.name",
        "gen_ai.system",
        "llm.provider",
        "llm.system",
        "ai.model.provider",
        "gen_ai.model.provider",
    ),
    "model_requested": (
        "gen_ai.request.model",
        "llm.model_name",
        "llm.input_model_name",
        "llm.request.model",
        "llm.request.model_name",
        "embedding.model_name",
        "ai.model.id",
        "langfuse.observation.model.name",
        "model",
    ),
    "model_answered": (
        "litellm.provider.model",
        "gen_ai.response.model",
        "llm.output_model_name",
        "llm.response.model",
        "llm.response.model_name",
        "ai.response.model",
    ),
    "response_id": ("gen_ai.response.id", "ai.response.id", "llm.response.id"),
    "input": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.usage.prompt_tokens",
        "llm.token_count.prompt",
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
        "ai.usage.tokens",
    ),
    "output": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.usage.completion_tokens",
        "llm.token_count.completion",
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
    ),
    "total": (
        "gen_ai.usage.total_tokens",
        "llm.usage.total_tokens",
        "llm.token_count.total",
        "ai.usage.totalTokens",
    ),
    "cache_read": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.cache_read_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.details.cached_tokens",
        "gen_ai.usage.input_cached_tokens",
        "gen_ai.usage.input_tokens.cached",
        "gen_ai.usage.input_tokens.cache_read",
        "llm.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
        "ai.usage.inputTokenDetails.cacheReadTokens",
        "ai.usage.cachedInputTokens",
    ),
    "cache_write": (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.cache_write_tokens",
        "gen_ai.usage.details.cache_write_tokens",
        "gen_ai.usage.input_tokens.cache_creation",
        "gen_ai.usage.input_tokens.cache_write",
        "llm.usage.cache_creation_input_tokens",
        "llm.token_count.prompt_details.cache_write",
        "ai.usage.inputTokenDetails.cacheWriteTokens",
    ),
    "cache_write_1h": (
        "gen_ai.usage.cache_creation.ephemeral_1h_input_tokens",
        "gen_ai.usage.cache_creation_1h_input_tokens",
        "gen_ai.usage.details.ephemeral_1h_input_tokens",
        "anthropic.usage.cache_creation.ephemeral_1h_input_tokens",
    ),
    "cache_write_5m": (
        "gen_ai.usage.cache_creation.ephemeral_5m_input_tokens",
        "gen_ai.usage.cache_creation_5m_input_tokens",
        "gen_ai.usage.details.ephemeral_5m_input_tokens",
        "anthropic.usage.cache_creation.ephemeral_5m_input_tokens",
    ),
    "reasoning": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "gen_ai.usage.details.thoughts_tokens",
        "gen_ai.usage.output_tokens.reasoning",
        "llm.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
        "ai.usage.outputTokenDetails.reasoningTokens",
        "ai.usage.reasoningTokens",
        "codex.usage.reasoning_output_tokens",
        "thoughts_token_count",
    ),
    "input_audio": ("gen_ai.usage.audio.input_tokens", "llm.token_count.prompt_details.audio"),
    "input_image": ("gen_ai.usage.image.input_tokens", "llm.token_count.prompt_details.image"),
    "cache_read_audio": ("gen_ai.usage.audio.cache_read.input_tokens",),
    "cache_read_image": ("gen_ai.usage.image.cache_read.input_tokens",),
    "output_audio": (
        "gen_ai.usage.audio.output_tokens",
        "llm.token_count.completion_details.audio",
    ),
    "output_image": (
        "gen_ai.usage.image.output_tokens",
        "llm.token_count.completion_details.image",
    ),
    # Claude Code's own counts: the input is what neither was read from a cache nor written to it.
    "fresh_input": ("input_tokens",),
    "own_output": ("output_tokens",),
    "own_cache_read": ("cache_read_tokens",),
    "own_cache_write": ("cache_creation_tokens",),
    "usage_details": ("langfuse.observation.usage_details",),
    "usage_object": ("gen_ai.usage.raw", "metadata.usage_object"),
    "input_details": ("gen_ai.usage.input_token_details",),
    "output_details": ("gen_ai.usage.output_token_details",),
    "client_cost": (
        "gen_ai.usage.cost",
        "gen_ai.usage.total_cost",
        "gen_ai.usage.cost_usd",
        "gen_ai.usage.cost.total",
        "llm.cost.total",
        "gen_ai.cost.total_tokens",
        "gen_ai.cost.total_cost",
        "gen_ai.cost.total",
        "litellm.cost.total",
        "vercel.ai_gateway.cost.total",
        "operation.cost",
    ),
    "client_cost_input": (
        "llm.cost.prompt",
        "gen_ai.cost.input_tokens",
        "gen_ai.cost.input_cost",
        "gen_ai.usage.input_cost",
        "litellm.cost.input",
    ),
    "client_cost_output": (
        "llm.cost.completion",
        "gen_ai.cost.output_tokens",
        "gen_ai.cost.output_cost",
        "gen_ai.usage.output_cost",
        "litellm.cost.output",
    ),
    "cost_details": ("langfuse.observation.cost_details",),
    "tier": (
        "openai.response.service_tier",
        "gen_ai.openai.response.service_tier",
        "gen_ai.response.service_tier",
        "anthropic.response.service_tier",
        "vercel.ai_gateway.service_tier",
        "openai.request.service_tier",
        "gen_ai.openai.request.service_tier",
        "gen_ai.request.service_tier",
    ),
    "prompt_name": (
        "gen_ai.prompt.name",
        "traceloop.prompt.key",
        "langfuse.observation.prompt.name",
    ),
    "prompt_version": (
        "gen_ai.prompt.version",
        "traceloop.prompt.version",
        "llm.prompt_template.version",
        "langfuse.observation.prompt.version",
    ),
    "ttft_seconds": (
        "gen_ai.response.time_to_first_chunk",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.server.time_to_first_token",
    ),
    "stream_seconds": ("duration",),  # only of a log that stands for a stream
    "ttft_ms": ("ai.response.msToFirstChunk",),
    "finish_reason": (
        "gen_ai.response.finish_reasons",
        "gen_ai.response.finish_reason",
        "ai.response.finishReason",
        "llm.response.finish_reason",
        "llm.finish_reason",
    ),
    "error_type": ("error.type", "exception.type"),
    "server_address": ("server.address", "net.peer.name"),
    "service": ("service.name",),
    "region": ("gen_ai.request.region", "aws.region", "vercel.ai_gateway.region", "cloud.region"),
    "metadata": (
        "metadata",
        "langfuse.trace.metadata",
        "langfuse.observation.metadata",
        "metadata.requester_metadata",
    ),
    "tags": (
        "tag.tags",
        "langfuse.trace.tags",
        "vercel.ai_gateway.tags",
        "langsmith.span.tags",
    ),
    "sample_rate": ("SampleRate",),  # one span stands for so many
    "sample_probability": ("sampling.probability", "sampling.rate"),
}

# Fields found by the installation's own attribute names: setting that holds them.
CONFIGURED = {
    "team": "ATTRIBUTE_TEAM",
    "feature": "ATTRIBUTE_FEATURE",
    "product": "ATTRIBUTE_PRODUCT",
    "environment": "ATTRIBUTE_ENVIRONMENT",
    "customer": "ATTRIBUTE_CUSTOMER",
    "phase": "ATTRIBUTE_PHASE",
    "entry_team": "ATTRIBUTE_ENTRY_TEAM",
    "entry_feature": "ATTRIBUTE_ENTRY_FEATURE",
    "caller": "ATTRIBUTE_CALLER",
    "session": "ATTRIBUTE_SESSION",
    "project": "ATTRIBUTE_PROJECT",
    "person": "ATTRIBUTE_PERSON",
    "repository": "ATTRIBUTE_REPOSITORY",
}

# `metadata.x` in a setting stands for x in any of these places.
METADATA_PREFIXES = (
    "metadata.",
    "ai.telemetry.metadata.",
    "ai.settings.context.",
    "mastra.metadata.",
    "trace.metadata.",
    "span.metadata.",
    "litellm.metadata.",
    "langfuse.trace.metadata.",
    "langfuse.observation.metadata.",
    "traceloop.association.properties.",
    "langsmith.metadata.",
)

# Kept with the span for whoever debugs. No content, no person.
KEPT = frozenset(
    {
        "server.address",
        "server.port",
        "http.request.method",
        "http.response.status_code",
        "http.status_code",
        "http.route",
        "rpc.method",
        "db.system.name",
        "gen_ai.request.temperature",
        "gen_ai.request.top_p",
        "gen_ai.request.max_tokens",
        "gen_ai.request.stream",
        "gen_ai.request.choice.count",
        "gen_ai.output.type",
        "gen_ai.tool.name",
        "gen_ai.tool.type",
        "gen_ai.agent.name",
        "gen_ai.agent.id",
        "gen_ai.agent.version",
        "gen_ai.workflow.name",
        "gen_ai.data_source.id",
        "gen_ai.embeddings.dimension.count",
        "traceloop.workflow.name",
        "traceloop.entity.name",
        "agent.name",
        "tool.name",
        "ai.model.provider",
        "service.version",
        "cloud.provider",
        "cloud.region",
        "k8s.namespace.name",
        "telemetry.sdk.language",
    }
)


@dataclass(frozen=True)
class Vocabulary:
    """What to read: attribute name -> (field, rank) pairs, lower ranks first; and the names kept
    with the span.
    """

    meanings: Mapping[str, tuple[tuple[str, int], ...]]
    kept: frozenset[str]
    wanted: frozenset[str]  # all of the above
    # Keys inside a metadata JSON object.
    metadata_meanings: Mapping[str, tuple[tuple[str, int], ...]]
    sampling_rates: Mapping[str, str]  # service -> share of its spans that is sent
    person_key: bytes  # that pseudonyms are made with
    keeps_names: bool  # whether the names behind pseudonyms are kept


def vocabulary(
    configured: Mapping[str, Iterable[str]],
    kept: Iterable[str] = (),
    sampling_rates: Mapping[str, str] | None = None,
    *,
    person_key: str = "",
    keeps_names: bool = False,
) -> Vocabulary:
    """A vocabulary with the built-in names and the configured ones (field -> attribute names in
    order).
    """
    meanings: dict[str, list[tuple[str, int]]] = {}
    inside: dict[str, list[tuple[str, int]]] = {}
    for field, names in [*ALIASES.items(), *configured.items()]:
        for rank, name in enumerate(names):
            meanings.setdefault(name, []).append((field, rank))
            if name.startswith("metadata."):
                key = name.removeprefix("metadata.")
                inside.setdefault(key, []).append((field, rank))
                for prefix in METADATA_PREFIXES[1:]:
                    meanings.setdefault(prefix + key, []).append((field, rank))
    return Vocabulary(
        meanings={name: tuple(pairs) for name, pairs in meanings.items()},
        kept=KEPT | frozenset(kept),
        wanted=KEPT | frozenset(kept) | frozenset(meanings),
        metadata_meanings={name: tuple(pairs) for name, pairs in inside.items()},
        sampling_rates=dict(sampling_rates or {}),
        person_key=person_key.encode(),
        keeps_names=keeps_names,
    )


@cache
def installed() -> Vocabulary:
    """The vocabulary of this installation's settings."""
    return vocabulary(
        {field: getattr(settings, name) for field, name in CONFIGURED.items()},
        kept=settings.ATTRIBUTES_KEPT,
        sampling_rates=dict(pair.split("=", 1) for pair in settings.SAMPLING_RATES if "=" in pair),
        person_key=settings.PERSON_KEY,
        keeps_names=settings.PERSON_NAMES,
    )
