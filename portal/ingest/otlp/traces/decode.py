"""OTLP trace requests, protobuf or JSON, as plain spans. Reads only the attributes that are asked
for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

import orjson
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

LARGEST_TIME = 2**63 - 1


class Undecodable(ValueError):
    """The request as a whole can't be read."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What stands above a span: its resource's attributes and its instrumentation scope."""

    attributes: Mapping[str, Any]
    scope: str
    version: str = ""  # of the scope


@dataclass(slots=True)
class RawSpan:
    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    name: str
    start_ns: int
    end_ns: int
    status_code: int
    trace_state: str
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RefusedSpan:
    """One span that can't be read, and why."""

    reason: str


Item = tuple[Resource, RawSpan | RefusedSpan]


# ---------------------------------------------------------------- protobuf


def from_protobuf(body: bytes | memoryview, wanted: Set[str]) -> Iterator[Item]:
    """Every span of an ExportTraceServiceRequest. The parser refuses nesting deeper than 100 and
    invalid UTF-8.
    """
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(bytes(body))
    except DecodeError as error:
        raise Undecodable(
            "the body is not an OTLP ExportTraceServiceRequest in protobuf"
        ) from error
    return protobuf_items(request, wanted)


def protobuf_items(request: Any, wanted: Set[str]) -> Iterator[Item]:
    for resource_spans in request.resource_spans:
        attributes = protobuf_attributes(resource_spans.resource.attributes, wanted)
        for scope_spans in resource_spans.scope_spans:
            resource = Resource(attributes, scope_spans.scope.name, scope_spans.scope.version)
            for span in scope_spans.spans:
                yield (
                    resource,
                    RawSpan(
                        span.trace_id,
                        span.span_id,
                        span.parent_span_id,
                        span.name,
                        span.start_time_unix_nano,
                        span.end_time_unix_nano,
                        span.status.code,
                        span.trace_state,
                        protobuf_attributes(span.attributes, wanted),
                    ),
                )


def protobuf_attributes(pairs: Any, wanted: Set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        key = pair.key
        if key in wanted and key not in found:
            value = pair.value
            # The two common kinds first; a field that is not set reads as its empty value.
            found[key] = value.string_value or value.int_value or protobuf_value(value)
    return found


def protobuf_value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [protobuf_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: protobuf_value(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind)


# ---------------------------------------------------------------- JSON


def from_json(body: bytes | bytearray | memoryview, wanted: Set[str]) -> Iterator[Item]:
    """Every span of an OTLP/JSON request: hex ids, whole-number enums, 64-bit numbers as text or
    number.

    The parser refuses nesting deeper than 1024 and lone surrogates. Unknown fields are ignored.
    """
    try:
        request = orjson.loads(body)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise Undecodable("the body is not JSON, or it is nested too deeply") from error
    if not isinstance(request, dict):
        raise Undecodable("the body is JSON but not an object with resourceSpans")
    return json_items(request, wanted)


def json_items(request: Mapping[str, Any], wanted: Set[str]) -> Iterator[Item]:
    for resource_spans in objects(request, "resourceSpans"):
        described = resource_spans.get("resource")
        try:
            attributes = json_attributes(described, wanted) if isinstance(described, dict) else {}
        except ValueError as error:
            raise Undecodable(f"resource: {error}") from error
        for scope_spans in objects(resource_spans, "scopeSpans"):
            scope = scope_spans.get("scope")
            told = scope if isinstance(scope, dict) else {}
            resource = Resource(attributes, text_of(told, "name"), text_of(told, "version"))
            for span in listed(scope_spans, "spans"):
                yield resource, json_span(span, wanted)


def text_of(told: Mapping[str, Any], key: str) -> str:
    value = told.get(key)
    return value if isinstance(value, str) else ""


def listed(parent: Mapping[str, Any], key: str) -> list[Any]:
    items = parent.get(key)
    if items is None:
        return []
    if not isinstance(items, list):
        raise Undecodable(f"{key} is not a list")
    return items


def objects(parent: Mapping[str, Any], key: str) -> Iterator[dict[str, Any]]:
    for item in listed(parent, key):
        if not isinstance(item, dict):
            raise Undecodable(f"an item of {key} is not an object")
        yield item


def json_span(span: Any, wanted: Set[str]) -> RawSpan | RefusedSpan:
    if not isinstance(span, dict):
        return RefusedSpan("a span is not an object")
    try:
        status = span.get("status") or {}
        return RawSpan(
            json_id(span, "traceId"),
            json_id(span, "spanId"),
            json_id(span, "parentSpanId"),
            json_text(span, "name"),
            json_whole(span, "startTimeUnixNano"),
            json_whole(span, "endTimeUnixNano"),
            json_enum(status, "code") if isinstance(status, dict) else 0,
            json_text(span, "traceState"),
            json_attributes(span, wanted),
        )
    except ValueError as error:
        return RefusedSpan(str(error))


def json_id(span: Mapping[str, Any], key: str) -> bytes:
    value = span.get(key) or ""
    try:
        return bytes.fromhex(value)
    except (ValueError, TypeError):
        raise ValueError(f"{key} {value!r:.60} is not hexadecimal") from None


def json_text(span: Mapping[str, Any], key: str) -> str:
    value = span.get(key) or ""
    if not isinstance(value, str):
        raise ValueError(f"{key} is not text")
    return value


def json_whole(span: Mapping[str, Any], key: str) -> int:
    value = span.get(key) or 0
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value) if len(value) <= 20 else LARGEST_TIME
    if type(value) is not int or value < 0:
        raise ValueError(f"{key} {value!r:.60} is not a whole number of nanoseconds")
    return min(value, LARGEST_TIME)


def json_enum(status: Mapping[str, Any], key: str) -> int:
    value = status.get(key) or 0
    if type(value) is not int:
        raise ValueError(f"status.{key} {value!r:.60} is not a whole number")
    return value


def json_attributes(parent: Mapping[str, Any], wanted: Set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in objects_or_refuse(parent):
        key = pair.get("key")
        if isinstance(key, str) and key in wanted and key not in found:
            found[key] = json_value(pair.get("value"))
    return found


def objects_or_refuse(parent: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    items = parent.get("attributes")
    if items is None:
        return
    if not isinstance(items, list):
        raise ValueError("attributes is not a list")
    for item in items:
        if not isinstance(item, dict):
            raise ValueError("an attribute is not an object")
        yield item


def json_value(value: Any) -> Any:
    """The Python value of an AnyValue; a whole number that is not one stays as it came, for the
    reader to refuse.
    """
    if not isinstance(value, dict):
        return None
    for kind, content in value.items():
        if kind == "intValue":
            return json_integer(content)
        if kind == "doubleValue":
            return json_double(content)
        if kind in ("stringValue", "boolValue", "bytesValue"):
            return content
        if kind == "arrayValue" and isinstance(content, dict):
            items = content.get("values")
            return [json_value(item) for item in items] if isinstance(items, list) else []
        if kind == "kvlistValue" and isinstance(content, dict):
            pairs = content.get("values")
            items = pairs if isinstance(pairs, list) else []
            named = [
                item
                for item in items
                if isinstance(item, dict) and isinstance(item.get("key"), str)
            ]
            return {item["key"]: json_value(item.get("value")) for item in named}
    return None


def json_integer(content: Any) -> Any:
    if isinstance(content, str):
        digits = content.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) <= 19:
            return int(content)
    return content


def json_double(content: Any) -> Any:
    if isinstance(content, str) and content in ("NaN", "Infinity", "-Infinity"):
        return float(content)
    return float(content) if type(content) in (int, float) else content
