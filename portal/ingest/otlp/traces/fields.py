"""Attributes of a span or resource -> the fields of our vocabulary, as texts that PostgreSQL can
hold.
"""

from __future__ import annotations

import ast
import math
import sys
from collections.abc import Mapping
from typing import Any, TypeGuard

import orjson

from portal.ingest.otlp.traces.attributes import Vocabulary

LONGEST_TEXT = 300
LONGEST_METADATA = 64 * 1024

Fields = dict[str, Any]


def read_fields(attributes: Mapping[str, Any], words: Vocabulary) -> Fields:
    """Field -> value, the best-ranked name present for each; metadata objects are looked into
    last.
    """
    fields: Fields = {}
    ranks: dict[str, int] = {}
    meanings = words.meanings
    for name, value in attributes.items():
        for field, rank in meanings.get(name, ()):
            if value is not None and value != "" and rank < ranks.get(field, sys.maxsize):
                fields[field] = value
                ranks[field] = rank
    if "metadata" in fields or "tags" in fields:
        for key, value in inside_metadata(fields).items():
            for field, rank in words.metadata_meanings.get(key, ()):
                if value not in (None, "") and rank < ranks.get(field, sys.maxsize):
                    fields[field] = value
                    ranks[field] = rank
    return fields


def inside_metadata(fields: Fields) -> dict[str, Any]:
    """What `metadata` (a JSON object, often as text) and tags of the form team:search say."""
    found: dict[str, Any] = {}
    tags = fields.pop("tags", None)
    for tag in as_list(tags.split(",") if is_plain(tags) else tags):
        name, separator, value = str(tag).replace("=", ":", 1).partition(":")
        if separator:
            found[name.strip()] = value.strip()
    content = parsed(fields.pop("metadata", None))
    if isinstance(content, dict):
        found.update({key: value for key, value in content.items() if isinstance(value, str | int)})
    return found


def is_plain(value: Any) -> TypeGuard[str]:
    """Whether it is a text that is no JSON list."""
    return isinstance(value, str) and not value.lstrip().startswith("[")


def parsed(value: Any) -> Any:
    """The list or object that stands in the text, as JSON or as Python writes it; else None."""
    if isinstance(value, str) and len(value) <= LONGEST_METADATA:
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return python_text(value) if value[:1] == "{" else None
    return value if isinstance(value, dict | list) else None


def python_text(value: str) -> Any:
    """A dictionary as Python's `str` writes it (LiteLLM and LangSmith send some)."""
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def as_list(value: Any) -> list[Any]:
    if isinstance(value, str):
        value = parsed(value) or [value]
    return value if isinstance(value, list) else []


def text(fields: Fields, field: str, cut: list[str]) -> str | None:
    value = fields.get(field)
    if value is None:
        return None
    return shorten(unquoted(value) if isinstance(value, str) else str(value), field, cut)


def unquoted(value: str) -> str:
    """The text that a JSON text holds: Langfuse writes every value of its metadata as JSON."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return str(orjson.loads(value))
        except orjson.JSONDecodeError:
            return value
    return value


def shorten(value: str, field: str, cut: list[str]) -> str | None:
    """The text as PostgreSQL can hold it, at most LONGEST_TEXT characters; `cut` notes what was
    longer.
    """
    if len(value) > LONGEST_TEXT:
        cut.append(field)
        value = value[:LONGEST_TEXT]
    if "\0" in value:
        value = value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return value or None


def kept_attributes(
    attributes: Mapping[str, Any], kept: frozenset[str], cut: list[str]
) -> str | None:
    """The allow-listed attributes as JSON; `truncated` names every field of the span that was
    cut.
    """
    found = {
        name: short_value(name, value, cut) for name, value in attributes.items() if name in kept
    }
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
