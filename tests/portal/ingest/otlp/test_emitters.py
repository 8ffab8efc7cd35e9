"""The table of emitters: a test for each row, and what a wrong row would be refused for."""

from __future__ import annotations

from typing import Any

import pytest

from portal.ingest.otlp.calls.counting import count
from portal.ingest.otlp.calls.matching import match
from portal.ingest.otlp.traces.attributes import installed
from portal.ingest.otlp.traces.decode import json_items
from portal.ingest.otlp.traces.emitters import emitter_of, emitters, read_emitters
from portal.ingest.otlp.traces.normalise import Sender, SpanRecord, normalise
from portal.ingest.otlp.traces.store import seen
from portal.ingest.otlp.traces.usage import Buckets
from portal.ingest.otlp.traces.window import Window
from tests.portal.ingest.otlp.sending import CALL, request, span

CLAUDE = {**CALL, "gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude-sonnet-4-5"}


def records(
    *spans: dict[str, Any], scope: str, resource: dict[str, Any] | None = None
) -> list[SpanRecord]:
    words = installed()
    found, refused = normalise(
        json_items(request(spans, resource, scope), words.wanted),
        words=words,
        sender=Sender(),
        window=Window(0, 2**62),
    )
    assert refused == []
    return found


def calls_in(*spans: dict[str, Any], scope: str) -> int:
    calls, _ = count(match(map(seen, records(*spans, scope=scope))))
    return len(calls)


def observer(scope: str, service: str = "api") -> str | None:
    (record,) = records(span(1), scope=scope, resource={"service.name": service})
    return record.dimension.observer


def proof(scope: str, response_id: str, **told: Any) -> str | None:
    (record,) = records(span(1, {**CLAUDE, **told, "gen_ai.response.id": response_id}), scope=scope)
    return seen(record).proof


def test_litellm_is_a_gateway_that_makes_ids_up_for_other_providers_than_openai() -> None:
    assert observer("litellm") == "gateway"
    assert proof("litellm", "chatcmpl-1") is None
    assert proof("litellm", "msg_1") == "msg_1"
    assert proof("litellm", "chatcmpl-1", **{"gen_ai.provider.name": "openai"}) == "chatcmpl-1"


def test_litellms_library_seen_by_openinference_is_the_application() -> None:
    assert observer("openinference.instrumentation.litellm") == "application"
    assert proof("openinference.instrumentation.litellm", "chatcmpl-1") is None


def test_claude_code_tells_the_requests_id() -> None:
    assert proof("com.anthropic.claude_code.tracing", "req_1") is None
    assert observer("com.anthropic.claude_code.tracing") == "application"


def test_openlit_counts_the_cache_apart_for_anthropic() -> None:
    told = {**CLAUDE, "gen_ai.usage.cache_read.input_tokens": 40}

    (record,) = records(span(1, told), scope="openlit.instrumentation.anthropic")
    (usual,) = records(span(1, told), scope="openlit.instrumentation.openai")

    assert record.tokens == Buckets(input_uncached=100, cache_read=40, output_text=20)
    assert usual.tokens == Buckets(input_uncached=60, cache_read=40, output_text=20)


@pytest.mark.parametrize(("scope", "calls"), [("logfire.openai", 1), ("tests", 2)])
def test_logfire_tells_a_stream_in_two_spans(scope: str, calls: int) -> None:
    silent = {name: told for name, told in CALL.items() if "usage" not in name}
    stream = [span(1, silent, parent=9, seconds=0.04), span(2, CALL, parent=9, seconds=0)]

    assert calls_in(span(9, {}), *stream, scope=scope) == calls


@pytest.mark.parametrize("kind", ["chain", "prompt", "retriever", "tool", "parser"])
def test_langsmith_names_prompts_chat(kind: str) -> None:
    told = {"langsmith.span.kind": kind, "gen_ai.operation.name": "chat"}

    assert calls_in(span(1, told), scope="langsmith") == 0
    assert calls_in(span(1, {**CALL, "langsmith.span.kind": "llm"}), scope="langsmith") == 1


@pytest.mark.parametrize(
    ("scope", "told", "field"),
    [
        ("codex_exec", {"env": "dev"}, "environment"),
        ("opencode", {"deployment.environment.name": "latest"}, "environment"),
        ("vercel", {"service.namespace": "vercel"}, "product"),
    ],
)
def test_words_that_a_tool_sets_on_its_own_say_nothing(
    scope: str, told: dict[str, Any], field: str
) -> None:
    (record,) = records(span(1), scope=scope, resource=told)
    (elsewhere,) = records(span(1), scope="tests", resource=told)

    assert getattr(record.dimension, field) is None
    assert getattr(elsewhere.dimension, field) is not None


@pytest.mark.parametrize("scope", ["codex_exec", "opencode"])
def test_spans_of_chatty_tools_that_say_nothing_are_thin(scope: str) -> None:
    failed = span(3, {}, status={"code": 2})
    found = records(span(1, {}), span(2), failed, span(4, {"model": "gpt-5"}), scope=scope)

    assert [record.is_thin for record in found] == [True, False, False, False]
    assert not any(record.is_thin for record in records(span(1, {}), scope="tests"))
    assert observer(scope) == "application"


@pytest.mark.parametrize(
    "scope",
    ["vercel", "openrouter", "cloudflare-ai-gateway", "envoyproxy/ai-gateway", "kong-internal"],
)
def test_gateways_are_observers_on_the_way(scope: str) -> None:
    assert observer(scope) == "gateway"


def test_names_tell_where_no_row_does() -> None:
    assert observer("custom", service="portkey") == "gateway"
    assert observer("custom", service="shop") == "application"


def test_a_row_holds_for_its_versions() -> None:
    (row,) = read_emitters([{"scope": "some.*", "from": "1.9", "below": "1.10"}])

    assert [row.is_of("some.thing", at) for at in ("1.8.9", "1.9", "1.9.12rc1", "1.10", "")] == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert not row.is_of("other", "1.9")


@pytest.mark.parametrize(
    "wrong",
    [{"observer": "proxy"}, {"counts": "maybe"}, {"pairs": "twins"}, {"count": "inclusive"}],
)
def test_a_row_with_an_unknown_word_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises((ValueError, TypeError)):
        read_emitters([{"scope": "some", **wrong}])


def test_every_row_says_where_it_was_seen() -> None:
    assert all(row.seen for row in emitters())
    assert emitter_of("nobody").seen == ""
