"""Every generation of attribute names becomes the same normal form."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from portal.ingest.otlp.traces.attributes import Vocabulary, vocabulary
from portal.ingest.otlp.traces.decode import from_json, from_protobuf, json_items
from portal.ingest.otlp.traces.normalise import Sender, SpanRecord, normalise
from portal.ingest.otlp.traces.usage import Buckets
from portal.ingest.otlp.traces.window import Window
from tests.portal.ingest.otlp.sending import protobuf, request, span

CONFIGURED = {
    "team": ["team", "metadata.team"],
    "feature": ["feature", "metadata.feature", "gen_ai.workflow.name", "traceloop.workflow.name"],
    "session": ["gen_ai.conversation.id", "session.id"],
    "environment": ["deployment.environment.name"],
}
ALWAYS = Window(0, 2**62)


def read(
    told: dict[str, Any],
    resource: dict[str, Any] | None = None,
    words: Vocabulary | None = None,
    sender: Sender | None = None,
    **fields: Any,
) -> SpanRecord:
    words = words or vocabulary(CONFIGURED)
    sent = request([span(1, told, **fields)], resource or {"service.name": "api"})
    records, refused = normalise(
        json_items(sent, words.wanted), words=words, sender=sender or Sender(), window=ALWAYS
    )
    assert refused == []
    return records[0]


NEWEST = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.id": "r-1",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.cache_read.input_tokens": 30,
    "gen_ai.usage.output_tokens": 50,
    "gen_ai.usage.reasoning.output_tokens": 10,
}
DIALECTS = {
    "OpenTelemetry today": NEWEST,
    "OpenTelemetry 1.28": {
        "gen_ai.operation.name": "chat",
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": "r-1",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.cache_read_input_tokens": 30,
        "gen_ai.usage.output_tokens": 50,
        "gen_ai.usage.reasoning_tokens": 10,
    },
    "OpenTelemetry before operations": {
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": "r-1",
        "gen_ai.usage.prompt_tokens": 100,
        "gen_ai.usage.input_cached_tokens": 30,
        "gen_ai.usage.completion_tokens": 50,
        "gen_ai.usage.details.reasoning_tokens": 10,
    },
    "OpenInference": {
        "openinference.span.kind": "LLM",
        "llm.provider": "openai",
        "llm.model_name": "gpt-4o",
        "llm.output_model_name": "gpt-4o-2024-08-06",
        "llm.response.id": "r-1",
        "llm.token_count.prompt": 100,
        "llm.token_count.prompt_details.cache_read": 30,
        "llm.token_count.completion": 50,
        "llm.token_count.completion_details.reasoning": 10,
        "llm.token_count.total": 150,
    },
    "OpenLLMetry": {
        "llm.request.type": "chat",
        "gen_ai.system": "OpenAI",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": "r-1",
        "gen_ai.usage.prompt_tokens": 100,
        "gen_ai.usage.cache_read_input_tokens": 30,
        "gen_ai.usage.completion_tokens": 50,
        "llm.usage.reasoning_tokens": 10,
        "llm.usage.total_tokens": 150,
    },
    "Vercel AI SDK": {
        "ai.operationId": "ai.generateText.doGenerate",
        "ai.model.provider": "openai.responses",
        "ai.model.id": "gpt-4o",
        "ai.response.model": "gpt-4o-2024-08-06",
        "ai.response.id": "r-1",
        "ai.usage.promptTokens": 100,
        "ai.usage.cachedInputTokens": 30,
        "ai.usage.completionTokens": 50,
        "ai.usage.reasoningTokens": 10,
    },
    "Langfuse": {
        "langfuse.observation.type": "generation",
        "gen_ai.system": "openai",
        "langfuse.observation.model.name": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": "r-1",
        "langfuse.observation.usage_details": json.dumps(
            {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
             "prompt_tokens_details": {"cached_tokens": 30},
                 "completion_tokens_details": {"reasoning_tokens": 10}}
        ),
    },
}  # fmt: skip


@pytest.mark.parametrize("told", DIALECTS.values(), ids=DIALECTS.keys())
def test_every_dialect_says_the_same(told: dict[str, Any]) -> None:
    record = read(told)

    assert record.tokens == Buckets(input_uncached=70, cache_read=30, output_text=40, reasoning=10)
    assert record.counted
    assert record.dimension.is_inference
    assert record.dimension.provider == "openai"
    assert record.dimension.model_requested == "gpt-4o"
    assert record.dimension.model_answered == "gpt-4o-2024-08-06"
    assert record.dimension.model == "gpt-4o"
    assert record.response_id == "r-1"


def test_both_encodings_give_the_same_record() -> None:
    spans = [
        span(
            1,
            {
                **NEWEST,
                "server.port": 443,
                "gen_ai.request.stream": True,
                "gen_ai.usage.cost": 0.25,
            },
        )
    ]
    words = vocabulary(CONFIGURED)

    one = from_protobuf(protobuf(spans), words.wanted)
    other = from_json(json.dumps(request(spans)).encode(), words.wanted)

    told = [normalise(items, words=words, sender=Sender(), window=ALWAYS) for items in (one, other)]
    assert told[0] == told[1]


USAGE = [
    # (stated, buckets, shape)
    ({"input": 100, "output": 20}, Buckets(input_uncached=100, output_text=20), "inclusive"),
    (
        {"input": 10, "cache_read": 90, "output": 20},
        Buckets(input_uncached=10, cache_read=90, output_text=20),
        "exclusive_inferred",
    ),
    (
        {"input": 100, "cache_read": 60, "cache_write": 10, "output": 20, "total": 190},
        Buckets(input_uncached=100, cache_read=60, cache_write_5m=10, output_text=20),
        "exclusive_inferred",
    ),
    (
        {"input": 100, "cache_read": 60, "output": 20, "total": 120},
        Buckets(input_uncached=40, cache_read=60, output_text=20),
        "inclusive",
    ),
    (
        {"input": 100, "cache_write": 50, "cache_write_1h": 20},
        Buckets(input_uncached=50, cache_write_5m=30, cache_write_1h=20),
        "inclusive",
    ),
    (
        {"input": 5, "output": 7, "reasoning": 90},
        Buckets(input_uncached=5, output_text=7, reasoning=90),
        "reasoning_exclusive_inferred",
    ),
    (
        {"input": 50, "input_audio": 20, "input_image": 40, "output": 30, "output_audio": 10},
        Buckets(input_audio=20, input_image=30, output_text=20, output_audio=10),
        "inclusive",
    ),
    ({"total": 40}, Buckets(input_uncached=40), "from_total"),
    ({"input": 30, "total": 40}, Buckets(input_uncached=30, output_text=10), "from_total"),
]


@pytest.mark.parametrize(("stated", "expected", "shape"), USAGE)
def test_buckets_are_exclusive_and_never_negative(
    stated: dict[str, int], expected: Buckets, shape: str
) -> None:
    names = {
        "input": "gen_ai.usage.input_tokens",
        "output": "gen_ai.usage.output_tokens",
        "total": "gen_ai.usage.total_tokens",
        "cache_read": "gen_ai.usage.cache_read.input_tokens",
        "cache_write": "gen_ai.usage.cache_write.input_tokens",
        "cache_write_1h": "gen_ai.usage.cache_creation.ephemeral_1h_input_tokens",
        "reasoning": "gen_ai.usage.reasoning.output_tokens",
        "input_audio": "gen_ai.usage.audio.input_tokens",
        "input_image": "gen_ai.usage.image.input_tokens",
        "output_audio": "gen_ai.usage.audio.output_tokens",
    }

    record = read(
        {"gen_ai.operation.name": "chat", **{names[name]: count for name, count in stated.items()}}
    )

    assert record.tokens == expected
    assert record.usage_shape == shape


@pytest.mark.parametrize(
    ("told", "operation", "counted"),
    [
        ({"gen_ai.operation.name": "embeddings"}, "embeddings", True),
        ({"gen_ai.operation.name": "generate_content"}, "generate_content", True),
        ({"gen_ai.operation.name": "invoke_agent"}, "invoke_agent", False),
        ({"gen_ai.operation.name": "execute_tool"}, "execute_tool", False),
        ({"gen_ai.operation.name": "fetch_response"}, "fetch_response", False),
        ({"openinference.span.kind": "EMBEDDING"}, "embeddings", True),
        ({"openinference.span.kind": "AGENT"}, "agent", False),
        ({"traceloop.span.kind": "workflow"}, "workflow", False),
        (
            {"ai.operationId": "ai.generateText", "gen_ai.operation.name": "chat"},
            "ai.generateText",
            False,
        ),
        ({"ai.operationId": "ai.embed.doEmbed"}, "embeddings", True),
        ({"langfuse.observation.type": "span"}, "span", False),
        ({"langsmith.span.kind": "prompt"}, None, True),  # only LangSmith's own scope says no
        ({"gen_ai.operation.name": "acompletion"}, "chat", True),
        ({"gen_ai.operation.name": "aembedding"}, "embeddings", True),
        ({"gen_ai.operation.name": "rerank"}, "rerank", True),
        ({"http.route": "/"}, None, True),
    ],
)
def test_only_calls_count(told: dict[str, Any], operation: str | None, counted: bool) -> None:
    record = read({"gen_ai.usage.input_tokens": 5, **told})

    assert (record.dimension.operation, record.counted) == (operation, counted)


@pytest.mark.parametrize(
    ("told", "provider", "region"),
    [
        ({"gen_ai.system": "az.ai.openai"}, "azure.ai.openai", None),
        (
            {"gen_ai.system": "openai", "server.address": "acme.openai.azure.com"},
            "azure.ai.openai",
            None,
        ),
        ({"gen_ai.system": "aws.bedrock"}, "aws.bedrock", None),
        ({"server.address": "bedrock-runtime.eu-west-1.amazonaws.com"}, "aws.bedrock", "eu-west-1"),
        (
            {"server.address": "us-central1-aiplatform.googleapis.com"},
            "gcp.vertex_ai",
            "us-central1",
        ),
        (
            {"gen_ai.system": "vertex_ai", "cloud.region": "europe-west4"},
            "gcp.vertex_ai",
            "europe-west4",
        ),
        ({"ai.model.provider": "anthropic.messages"}, "anthropic", None),
        ({"ai.model.provider": "amazon-bedrock"}, "aws.bedrock", None),
        ({"ai.model.provider": "azure-openai.chat"}, "azure.ai.openai", None),
        ({"gen_ai.system": "xai"}, "x_ai", None),
        ({"gen_ai.system": "House Model Server"}, "house model server", None),
        ({}, None, None),
    ],
)
def test_provider_gets_its_well_known_name(
    told: dict[str, Any], provider: str | None, region: str | None
) -> None:
    record = read({"gen_ai.operation.name": "chat", **told})

    assert (record.dimension.provider, record.dimension.region) == (provider, region)


def test_owner_comes_from_span_then_resource_then_metadata() -> None:
    call = {"gen_ai.operation.name": "chat"}

    assert read({**call, "team": "a"}, {"team": "b"}).dimension.team == "a"
    assert read(call, {"team": "b"}).dimension.team == "b"
    assert (
        read({**call, "metadata": '{"team": "c", "feature": "answer"}'}).dimension.feature
        == "answer"
    )
    assert read({**call, "ai.telemetry.metadata.team": "d"}).dimension.team == "d"
    assert read({**call, "traceloop.association.properties.team": "e"}).dimension.team == "e"
    assert read({**call, "tag.tags": ["beta", "team:f"]}).dimension.team == "f"
    assert read({**call, "traceloop.workflow.name": "digest"}).dimension.feature == "digest"
    assert read({**call, "team": "a"}, sender=Sender(team="g")).dimension.team == "g"


@pytest.mark.parametrize(
    ("state", "weight"),
    [
        ("", 1),
        ("ot=th:0", 1),
        ("ot=th:8", 2),
        ("ot=th:c", 4),
        ("congo=t61rcWkgMzE,ot=th:c;rv:10203040506070", 4),
        ("ot=rv:10203040506070", 1),
        ("ot=th:fd70a3d70a3d71", "100.000000000000"),
        ("ot=th:zz", 1),
        ("ot=th:123456789012345", 1),
    ],
)
def test_sampling_threshold_gives_the_adjusted_count(state: str, weight: Any) -> None:
    record = read({"gen_ai.operation.name": "chat"}, traceState=state)

    assert record.adjusted_count.quantize(Decimal("1e-9")) == Decimal(weight)


def test_sampling_rate_of_span_or_service_is_used_without_a_threshold() -> None:
    words = vocabulary(CONFIGURED, sampling_rates={"api": "0.25"})
    call = {"gen_ai.operation.name": "chat"}

    assert read(call, words=words).adjusted_count == 4
    assert read({**call, "SampleRate": 20}, words=words).adjusted_count == 20
    assert read(call, words=words, traceState="ot=th:8").adjusted_count == 2
    assert read({**call, "sampling.probability": 0.5}, words=words).adjusted_count == 2


def test_latency_error_and_session_are_kept() -> None:
    record = read(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.conversation.id": "s-1",
            "gen_ai.response.time_to_first_chunk": 0.25,
            "gen_ai.response.finish_reasons": ["stop"],
            "error.type": "timeout",
            "gen_ai.request.service_tier": "default",
        },
        seconds=2.5,
        status={"code": 2},
    )

    assert record.duration_us == 2_500_000
    assert record.time_to_first_chunk_us == 250_000
    assert (record.session_id, record.finish_reason, record.error_type) == (
        "s-1",
        "stop",
        "timeout",
    )
    assert (record.status_code, record.dimension.tier) == (2, "standard")


WHOSE = vocabulary(
    {
        "team": ["team"],
        "feature": ["feature"],
        "phase": ["phase"],
        "entry_team": ["entry.team"],
        "entry_feature": ["entry.feature"],
        "caller": ["metadata.user_api_key_alias"],
    }
)


def test_an_agents_call_keeps_who_served_it_and_who_asked() -> None:
    told = {
        **NEWEST,
        "team": "search",
        "feature": "lookup",
        "entry.team": "shop",
        "entry.feature": "checkout",
    }

    found = read(told, words=WHOSE).dimension

    assert (found.team, found.feature, found.entry_team, found.entry_feature) == (
        "search",
        "lookup",
        "shop",
        "checkout",
    )


def test_fault_047_a_key_bound_to_a_team_cannot_send_the_bill_to_another() -> None:
    told = {**NEWEST, "team": "shop", "entry.team": "shop", "entry.feature": "checkout"}

    found = read(told, words=WHOSE, sender=Sender(1, "search")).dimension

    assert (found.team, found.entry_team, found.entry_feature) == ("search", None, None)


def test_a_gateways_virtual_key_is_kept_also_out_of_its_metadata() -> None:
    told = {
        **NEWEST,
        "metadata": json.dumps(
            {"user_api_key_alias": "vk-a", "user_api_key_user_id": "ann@example.org"}
        ),
    }

    assert read(told, words=WHOSE).dimension.caller == "vk-a"
    assert "ann" not in repr(read(told, words=WHOSE))


@pytest.mark.parametrize(
    ("told", "phase"),
    [("Build", "build"), (" run ", "run"), ("move", "move"), ("test", None), (7, None)],
)
def test_only_known_phases_are_kept(told: Any, phase: str | None) -> None:
    assert read({**NEWEST, "phase": told}, words=WHOSE).dimension.phase == phase


@pytest.mark.parametrize(
    ("told", "tier"),
    [
        ({"gen_ai.response.service_tier": "PTU"}, "provisioned"),
        ({"gen_ai.response.service_tier": "provisioned_throughput"}, "provisioned"),
        ({"gen_ai.response.service_tier": "spillover"}, "standard"),
        (
            {"gen_ai.request.model": "arn:aws:bedrock:us-east-1:1:provisioned-model/abc"},
            "provisioned",
        ),
    ],
)
def test_calls_served_by_reserved_capacity_say_so(told: dict[str, Any], tier: str) -> None:
    assert read(NEWEST | told).dimension.tier == tier
