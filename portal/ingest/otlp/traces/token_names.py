"""Fields of a span -> its token counts: which of the vendors' names and objects to believe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portal.ingest.otlp.traces.answers import counts_of_answer
from portal.ingest.otlp.traces.emitters import Emitter
from portal.ingest.otlp.traces.fields import Fields, parsed
from portal.ingest.otlp.traces.usage import (
    EXCLUSIVE,
    UNREADABLE,
    Buckets,
    buckets,
    readable,
)

# Langfuse's own names, of its SDK and of its LangChain callback. They add up: `input` and `output`
# hold none of the others.
LANGFUSE_COUNTS = {
    "input": "input",
    "output": "output",
    "total": "total",
    "input_cached_tokens": "cache_read",
    "input_cache_read": "cache_read",
    "cache_read_input_tokens": "cache_read",
    "input_cache_creation": "cache_write",
    "cache_creation_input_tokens": "cache_write",
    "output_reasoning": "reasoning",
    "output_reasoning_tokens": "reasoning",
    "input_audio": "input_audio",
    "input_audio_tokens": "input_audio",
    "output_audio": "output_audio",
    "output_audio_tokens": "output_audio",
}
# LangChain's details of usage, as LangSmith sends them.
INPUT_DETAILS = {
    "cache_read": "cache_read",
    "cache_creation": "cache_write",
    "ephemeral_1h_input_tokens": "cache_write_1h",
    "ephemeral_5m_input_tokens": "cache_write_5m",
    "audio": "input_audio",
}
OUTPUT_DETAILS = {"reasoning": "reasoning", "audio": "output_audio"}
# Claude Code's names without a prefix; its input holds no cache.
OWN_COUNTS = {
    "fresh_input": "input",
    "own_output": "output",
    "own_cache_read": "cache_read",
    "own_cache_write": "cache_write",
}


def token_buckets(fields: Fields, emitter: Emitter) -> tuple[Buckets, str | None]:
    """The span's buckets and how they were read, as `usage.buckets` says them.

    Counts in attributes of their own come before those in objects; an object adds what the
    attributes don't tell, as far as both speak of the same totals.
    """
    counts_are = emitter.counts
    if "fresh_input" in fields and "input" not in fields:
        rename(fields, OWN_COUNTS)
        counts_are = EXCLUSIVE
    if "usage_details" in fields and add_langfuse_usage(fields):
        counts_are = EXCLUSIVE
    if "usage_object" in fields:
        add_details(fields, counts_of_answer(as_object(fields["usage_object"])))
    if "input_details" in fields:
        add_details(fields, named(as_object(fields["input_details"]), INPUT_DETAILS))
    if "output_details" in fields:
        add_details(fields, named(as_object(fields["output_details"]), OUTPUT_DETAILS))
    return buckets(fields, counts_are)


def rename(fields: Fields, names: Mapping[str, str]) -> None:
    for name, field in names.items():
        if name in fields:
            fields.setdefault(field, fields[name])


def add_langfuse_usage(fields: Fields) -> bool:
    """Add the counts of Langfuse's object; whether they are in its own words, which add up.

    It also passes on what a provider answered.
    """
    details = as_object(fields["usage_details"])
    if not details.keys() & {"input", "output", "total"}:
        add_details(fields, counts_of_answer(details))
        return False
    if "input" in fields or "output" in fields:
        return False
    counts = named(details, LANGFUSE_COUNTS)
    told_in, told_out = counts.get("input", 0), counts.get("output", 0)
    # Where these are all, they hold the others after all; a total alone is cut by nothing.
    if counts.get("total") == told_in + told_out or not told_in + told_out:
        add_details(fields, counts)
        return False
    # `buckets` adds what was cached; the other parts are added here.
    counts["input"] = told_in + counts.get("input_audio", 0)
    counts["output"] = told_out + counts.get("reasoning", 0) + counts.get("output_audio", 0)
    add_details(fields, counts)
    return True


def add_details(fields: Fields, counts: Mapping[str, int]) -> None:
    """Add what the attributes don't tell, unless both tell a side and differ."""
    for side in ("input", "output"):
        if side in fields and side in counts and readable(fields[side]) != counts[side]:
            return
    for name, count in counts.items():
        fields.setdefault(name, count)


def named(details: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, int]:
    """The counts of an object under our names; two names of one count are added."""
    found: dict[str, int] = {}
    for key, name in names.items():
        count = readable(details.get(key))
        if count is not None:
            found[name] = found.get(name, 0) + count
    return found


def as_object(value: Any) -> Mapping[str, Any]:
    found = parsed(value)
    return found if isinstance(found, dict) else {}


def has_usage(shape: str | None) -> bool:
    """Whether the span told tokens that can be read."""
    return shape is not None and shape != UNREADABLE
