"""Spans and requests for the tests of the OTLP door."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.test import Client
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from allocation.models import Team
from portal.accounts.keys import create_key

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
CALL: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 20,
}


def value(content: Any) -> dict[str, Any]:
    if isinstance(content, bool):
        return {"boolValue": content}
    if isinstance(content, int):
        return {"intValue": str(content)}
    if isinstance(content, float):
        return {"doubleValue": content if content == content else "NaN"}
    if isinstance(content, list):
        return {"arrayValue": {"values": [value(item) for item in content]}}
    return {"stringValue": content}


def attributes(pairs: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value(content)} for key, content in pairs.items()]


def span(
    number: int,
    told: Mapping[str, Any] | None = None,
    *,
    trace: int = 1,
    parent: int | None = None,
    at: datetime = NOW,
    seconds: float = 1,
    **fields: Any,
) -> dict[str, Any]:
    """A span in OTLP/JSON; `number` is its id, CALL its attributes unless told otherwise."""
    start = int(at.timestamp() * 1_000_000) * 1000
    return {
        "traceId": f"{trace:032x}",
        "spanId": f"{number:016x}",
        "parentSpanId": f"{parent:016x}" if parent else "",
        "name": "chat gpt-4o",
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + int(seconds * 1_000_000_000)),
        "attributes": attributes(CALL if told is None else told),
        **fields,
    }


def request(
    spans: Sequence[dict[str, Any]],
    resource: Mapping[str, Any] | None = None,
    scope: str = "tests",
) -> dict[str, Any]:
    return {
        "resourceSpans": [
            {
                "resource": {
                    "attributes": attributes(
                        resource or {"service.name": "chat-api", "team": "search"}
                    )
                },
                "scopeSpans": [{"scope": {"name": scope}, "spans": list(spans)}],
            }
        ]
    }


def ingest_secret(team: str | None = None) -> str:
    bound = Team.objects.get_or_create(slug=team, name=team)[0] if team else None
    return create_key("tests", "ingest", bound, None)[1]


def send(
    body: Mapping[str, Any] | bytes,
    secret: str,
    *,
    content_type: str = "application/json",
    compress: bool = False,
    encoding: str | None = None,
) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {secret}"}
    if compress:
        content, encoding = gzip.compress(content), "gzip"
    if encoding:
        headers["Content-Encoding"] = encoding
    # Named twice: the test client drops the type of an empty body.
    return Client().post(
        "/v1/traces", content, content_type=content_type, headers=headers, CONTENT_TYPE=content_type
    )


def protobuf(spans: Sequence[dict[str, Any]], resource: Mapping[str, Any] | None = None) -> bytes:
    """The same request in protobuf."""
    message = ExportTraceServiceRequest()
    for group in request(spans, resource)["resourceSpans"]:
        out = message.resource_spans.add()
        fill(out.resource.attributes, group["resource"]["attributes"])
        out.scope_spans.add().scope.name = group["scopeSpans"][0]["scope"]["name"]
        for sent in group["scopeSpans"][0]["spans"]:
            made = out.scope_spans[0].spans.add()
            made.trace_id, made.span_id = (
                bytes.fromhex(sent["traceId"]),
                bytes.fromhex(sent["spanId"]),
            )
            made.parent_span_id = bytes.fromhex(sent["parentSpanId"])
            made.name = sent["name"]
            made.start_time_unix_nano = int(sent["startTimeUnixNano"])
            made.end_time_unix_nano = int(sent["endTimeUnixNano"])
            made.trace_state = sent.get("traceState", "")
            fill(made.attributes, sent["attributes"])
    return message.SerializeToString()


def fill(target: Any, pairs: Sequence[dict[str, Any]]) -> None:
    names = {
        "stringValue": "string_value",
        "doubleValue": "double_value",
        "boolValue": "bool_value",
    }
    for pair in pairs:
        ((kind, content),) = pair["value"].items()
        made = target.add(key=pair["key"])
        if kind == "intValue":
            made.value.int_value = int(content)
        elif kind == "arrayValue":
            made.value.array_value.values.add(string_value=content["values"][0]["stringValue"])
        else:
            setattr(made.value, names[kind], content)


def rows(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def totals() -> dict[str, Decimal]:
    """Counted spans, calls and tokens, as readers see them."""
    ((spans, calls, tokens_in, tokens_out),) = rows(
        "SELECT coalesce(sum(spans), 0), coalesce(sum(calls), 0), coalesce(sum(input_uncached + "
        "cache_read + cache_write_5m + cache_write_1h + input_audio + input_image), 0), "
        "coalesce(sum(output_text + reasoning + output_audio + output_image), 0) FROM usage_live"
    )
    return {"spans": spans, "calls": calls, "input": tokens_in, "output": tokens_out}
