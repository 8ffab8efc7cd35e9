"""What kind of span it is: a model call, what repeats calls' usage, or neither."""

from __future__ import annotations

from portal.ingest.otlp.traces.emitters import Emitter
from portal.ingest.otlp.traces.fields import Fields, shorten

CALLS = {
    "chat": "chat",
    "generate_content": "generate_content",
    "text_completion": "text_completion",
    "completion": "text_completion",
    "embeddings": "embeddings",
    "embedding": "embeddings",
    "llm": "chat",
    "generation": "chat",
    # LiteLLM's call types, which its callback sends as operations.
    "acompletion": "chat",
    "atext_completion": "text_completion",
    "aembedding": "embeddings",
    "responses": "chat",
    "aresponses": "chat",
    "anthropic_messages": "chat",
    "aanthropic_messages": "chat",
    "agenerate_content": "generate_content",
    "generate_content_stream": "generate_content",
    "agenerate_content_stream": "generate_content",
}
CALL_NAMES = frozenset(CALLS.values())
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
# Known to be none; usage on them was told elsewhere.
NO_CALLS = {
    "fetch_response",
    "execute_tool",
    "tool",
    "retrieval",
    "retriever",
    "reranker",
    "guardrail",
    "evaluator",
    "prompt",
    "event",
    "create_memory",
    "search_memory",
    "update_memory",
    "upsert_memory",
    "delete_memory",
    "create_memory_store",
    "delete_memory_store",
}
# A span of these between two calls says that the inner one is not the outer one seen again.
BETWEEN_CALLS = {"invoke_agent", "create_agent", "invoke_workflow", "agent", "workflow",
                 "execute_tool", "tool"}  # fmt: skip
KIND_FIELDS = (
    "operation",
    "openinference_kind",
    "request_type",
    "traceloop_kind",
    "langfuse_type",
)


def classify(fields: Fields, emitter: Emitter, has_usage: bool) -> tuple[str | None, bool]:
    """(operation, whether it is one model call). The most specific statement about the span's kind
    decides.

    What names no known kind is a call where it has usage of its own; the rest of its trace may
    still show that it repeats its calls (portal.ingest.otlp.calls.matching).
    """
    own = fields.get("own_kind")
    if isinstance(own, str) and own in emitter.no_calls:
        return own, False
    vercel = fields.get("vercel_operation")
    if isinstance(vercel, str):
        known = VERCEL_OPERATIONS.get(vercel)
        return known or shorten(vercel, "operation", []), known is not None
    for field in KIND_FIELDS:
        value = fields.get(field)
        if isinstance(value, str):
            name = value.lower()
            known = CALLS.get(name)
            return known or shorten(name, "operation", []), known is not None or (
                has_usage and name not in NO_CALLS and name not in AGENT_OPERATIONS
            )
    return None, has_usage


def is_certain(operation: str | None, model: str | None) -> bool:
    """Whether a span that counts as a call is one whatever lies below it."""
    return operation in CALL_NAMES or (operation is None and model is not None)
