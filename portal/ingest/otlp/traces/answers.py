"""Usage objects as providers answer them (OpenAI, Anthropic, Google, Bedrock, Cohere, their
lookalikes), as our counts.

Instrumentations copy these objects into span attributes; the names tell whether cache and reasoning
are included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Counts = dict[str, int]


def counts_of_answer(usage: Mapping[str, Any]) -> Counts:
    """The fields of usage.COUNTS that the object states; input and output are made totals. {} for
    an unknown shape.
    """
    if "promptTokenCount" in usage or "candidatesTokenCount" in usage:
        return google(usage)
    if "inputTokens" in usage:
        return bedrock(usage)
    if "prompt_tokens" in usage or "completion_tokens" in usage:
        return openai_chat(usage)
    if "cache_creation_input_tokens" in usage or "cache_read_input_tokens" in usage:
        return anthropic(usage)
    if "input_tokens" in usage:
        return openai_responses(usage)
    if "tokens" in usage or "billed_units" in usage:
        return cohere(usage)
    return {}


def openai_chat(usage: Mapping[str, Any]) -> Counts:
    """prompt_tokens includes cache, completion_tokens includes reasoning."""
    prompt, completion = (
        part(usage, "prompt_tokens_details"),
        part(usage, "completion_tokens_details"),
    )
    found = {
        "input": usage.get("prompt_tokens"),
        "output": usage.get("completion_tokens", 0),
        "cache_read": first(
            prompt.get("cached_tokens"),
            usage.get("num_cached_tokens"),
            usage.get("cached_tokens"),
            usage.get("prompt_cache_hit_tokens"),
            usage.get("cache_read_input_tokens"),
        ),
        "cache_write": first(
            prompt.get("cache_write_tokens"),
            prompt.get("cache_creation_tokens"),
            usage.get("cache_creation_input_tokens"),
        ),
        "cache_write_1h": part(prompt, "cache_creation_token_details").get(
            "ephemeral_1h_input_tokens"
        ),
        "input_audio": prompt.get("audio_tokens"),
        "reasoning": completion.get("reasoning_tokens"),
        "output_audio": completion.get("audio_tokens"),
        "output_image": completion.get("image_tokens"),
    }
    if usage.get("total_tokens") is not None:
        found["total"] = usage["total_tokens"]
    return stated(found)


def openai_responses(usage: Mapping[str, Any]) -> Counts:
    given, made = part(usage, "input_tokens_details"), part(usage, "output_tokens_details")
    return stated(
        {
            "input": usage.get("input_tokens"),
            "output": usage.get("output_tokens", 0),
            "cache_read": given.get("cached_tokens"),
            "cache_write": given.get("cache_write_tokens"),
            "input_audio": given.get("audio_tokens"),
            "input_image": given.get("image_tokens"),
            "reasoning": first(made.get("reasoning_tokens"), made.get("thinking_tokens")),
        }
    )


def anthropic(usage: Mapping[str, Any]) -> Counts:
    """input_tokens is what neither was read from nor written to the cache."""
    read = whole(usage.get("cache_read_input_tokens"))
    written = whole(usage.get("cache_creation_input_tokens"))
    by_life = part(usage, "cache_creation")
    return stated(
        {
            "input": whole(usage.get("input_tokens")) + read + written,
            "output": usage.get("output_tokens", 0),
            "cache_read": read,
            "cache_write": written,
            "cache_write_1h": by_life.get("ephemeral_1h_input_tokens"),
            "reasoning": part(usage, "output_tokens_details").get("thinking_tokens"),
        }
    )


def google(usage: Mapping[str, Any]) -> Counts:
    """promptTokenCount includes cache, not tool results; candidatesTokenCount leaves the thoughts
    out.
    """
    thoughts = whole(usage.get("thoughtsTokenCount"))
    prompt = by_modality(usage.get("promptTokensDetails"))
    cached = by_modality(usage.get("cacheTokensDetails"))
    made = by_modality(usage.get("candidatesTokensDetails"))
    return stated(
        {
            "input": whole(usage.get("promptTokenCount"))
            + whole(usage.get("toolUsePromptTokenCount")),
            "output": whole(usage.get("candidatesTokenCount")) + thoughts,
            "cache_read": usage.get("cachedContentTokenCount"),
            "reasoning": thoughts or None,
            "input_audio": prompt.get("AUDIO"),
            "cache_read_audio": cached.get("AUDIO"),
            "input_image": prompt.get("IMAGE"),
            "cache_read_image": cached.get("IMAGE"),
            "output_audio": made.get("AUDIO"),
            "output_image": made.get("IMAGE"),
        }
    )


def bedrock(usage: Mapping[str, Any]) -> Counts:
    """inputTokens is what neither was read from nor written to the cache."""
    read = whole(first(usage.get("cacheReadInputTokens"), usage.get("cacheReadInputTokenCount")))
    written = whole(
        first(usage.get("cacheWriteInputTokens"), usage.get("cacheWriteInputTokenCount"))
    )
    long_lived = [
        detail.get("inputTokens")
        for detail in listed(usage.get("cacheDetails"))
        if isinstance(detail, Mapping) and detail.get("ttl") == "1h"
    ]
    return stated(
        {
            "input": whole(usage.get("inputTokens")) + read + written,
            "output": usage.get("outputTokens", 0),
            "cache_read": read,
            "cache_write": written,
            "cache_write_1h": sum(map(whole, long_lived)) if long_lived else None,
        }
    )


def cohere(usage: Mapping[str, Any]) -> Counts:
    """What is billed, where it says so."""
    billed = part(usage, "billed_units") or part(usage, "tokens")
    return stated({"input": billed.get("input_tokens"), "output": billed.get("output_tokens", 0)})


def stated(counts: Mapping[str, Any]) -> Counts:
    return {name: value for name, value in counts.items() if value is not None}


def part(usage: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = usage.get(key)
    return value if isinstance(value, Mapping) else {}


def listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else []


def first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def whole(value: Any) -> int:
    return value if type(value) is int else 0


def by_modality(details: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for detail in listed(details):
        if isinstance(detail, Mapping):
            name = str(detail.get("modality"))
            found[name] = found.get(name, 0) + whole(detail.get("tokenCount"))
    return found
