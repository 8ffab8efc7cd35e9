"""POST /v1/traces: what is answered, what is stored, what is counted."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.test import Client
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from portal.accounts.keys import create_key
from tests.portal.ingest.otlp.sending import (
    CALL,
    NOW,
    ingest_secret,
    protobuf,
    request,
    rows,
    send,
    span,
    totals,
)

SHARED = Path(settings.BASE_DIR).parent / "shared" / "data"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def frozen_clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("content_type", ["application/json", "application/x-protobuf"])
def test_span_is_stored_and_counted_in_both_encodings(content_type: str, compress: bool) -> None:
    body: Any = protobuf([span(1)]) if content_type.endswith("protobuf") else request([span(1)])

    response = send(body, ingest_secret(), content_type=content_type, compress=compress)

    assert response.status_code == 200
    assert response["Content-Type"] == content_type
    if content_type.endswith("protobuf"):
        answer = ExportTraceServiceResponse.FromString(response.content)
        assert not answer.HasField("partial_success")
    else:
        assert response.json() == {}
    assert rows(
        "SELECT d.provider, d.model, d.team, d.service, s.input_uncached, s.output_text, "
        "s.counted, s.started_at FROM span AS s JOIN allocation_usagedimension AS d ON d.id = "
        "s.dimension_id"
    ) == [("openai", "gpt-4o", "search", "chat-api", 100, 20, True, NOW)]
    assert totals() == {"spans": 1, "calls": 1, "input": 100, "output": 20}


def test_empty_request_succeeds() -> None:
    secret = ingest_secret()

    assert send(b"", secret, content_type="application/x-protobuf").status_code == 200
    assert send({}, secret).status_code == 200
    assert send({"resourceSpans": []}, secret).status_code == 200


def test_key_is_needed_and_has_to_be_for_ingest() -> None:
    assert Client().post("/v1/traces", b"{}", content_type="application/json").status_code == 401
    assert send({}, "apn_ingest_" + "x" * 43).status_code == 401
    assert send({}, create_key("reader", "read", None, None)[1]).status_code == 403
    assert send({}, ingest_secret()).status_code == 200


def test_other_media_types_and_methods_are_refused() -> None:
    secret = ingest_secret()

    assert send(b"x", secret, content_type="text/plain").status_code == 415
    assert Client().get("/v1/traces").status_code in (405, 415)


def test_damaged_bodies_get_400_with_a_status_in_the_same_encoding() -> None:
    secret = ingest_secret()

    broken = send(b"\xff\xff\xff", secret, content_type="application/x-protobuf")
    assert broken.status_code == 400
    assert broken.content.startswith(b"\x08\x03\x12")
    broken = send(b"{", secret)
    assert broken.status_code == 400
    assert broken.json()["code"] == 3
    early = send(zlib.compress(b"{}" * 100, wbits=31)[:-9], secret, encoding="gzip")
    assert early.status_code == 400
    assert send([1], secret).status_code == 400  # type: ignore[arg-type]
    assert send({"resourceSpans": {}}, secret).status_code == 400
    assert rows("SELECT count(*) FROM span") == [(0,)]


def test_published_example_is_kept_as_outside_the_window_and_no_call() -> None:
    example = SHARED / "otlp_examples" / "trace.json"
    if not example.exists():
        pytest.skip(f"{example} is not there")

    response = send(example.read_bytes(), ingest_secret())

    assert response.status_code == 200
    assert rows(
        "SELECT s.name, s.span_day::text, s.tableoid::regclass::text, s.counted, s.not_counted, "
        "d.is_inference, d.service FROM span AS s JOIN allocation_usagedimension AS d ON d.id = "
        "s.dimension_id"
    ) == [
        (
            "I'm a server span",
            "2018-12-13",
            "span_outside_window",
            False,
            "outside the time window",
            False,
            "my.service",
        )
    ]
    assert totals()["spans"] == 0


def test_fault_041_half_bad_batch_is_half_stored() -> None:
    spans = [
        span(1),
        span(2, spanId="12"),
        span(3),
        span(4, traceId="xyz"),
    ]

    response = send(request(spans), ingest_secret())

    assert response.status_code == 200
    partial = response.json()["partialSuccess"]
    assert partial["rejectedSpans"] == "2"
    assert "span id is not 8 bytes" in partial["errorMessage"]
    assert "traceId 'xyz' is not hexadecimal" in partial["errorMessage"]
    assert totals()["spans"] == 2


@pytest.mark.parametrize("depth", [5_000, 100_000])
def test_fault_042_deep_nesting_is_refused_in_json(depth: int) -> None:
    value = '{"arrayValue":{"values":[' * depth + '{"intValue":"1"}' + "]}}" * depth
    body = '{"resourceSpans":[{"resource":{"attributes":[{"key":"team","value":' + value + "}]}}]}"

    response = send(body.encode(), ingest_secret())

    assert response.status_code == 400
    assert "nested too deeply" in response.json()["message"]


def test_fault_042_deep_nesting_is_refused_in_protobuf() -> None:
    value = b""
    for _ in range(5_000):  # AnyValue.array_value = 5, ArrayValue.values = 1
        value = b"\x0a" + varint(len(value)) + value
        value = b"\x2a" + varint(len(value)) + value
    pair = b"\x0a\x04team\x12" + varint(len(value)) + value
    resource = b"\x0a" + varint(len(pair)) + pair
    group = b"\x0a" + varint(len(resource)) + resource
    body = b"\x0a" + varint(len(group)) + group

    response = send(body, ingest_secret(), content_type="application/x-protobuf")

    assert response.status_code == 400


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def test_fault_043_huge_attributes_are_cut_and_flagged() -> None:
    told = {
        **CALL,
        "feature": "f" * 10_000_000,
        "gen_ai.agent.name": "a" * 1000,
        "gen_ai.input.messages": "secret",
    }
    told.update({f"unknown.{number}": "x" for number in range(10_000)})

    response = send(request([span(1, told)]), ingest_secret())

    assert response.status_code == 200
    ((feature, kept),) = rows(
        "SELECT d.feature, s.attributes FROM span AS s JOIN allocation_usagedimension AS d ON d.id "
        "= s.dimension_id"
    )
    assert feature == "f" * 300
    assert json.loads(kept) == {
        "gen_ai.agent.name": "a" * 300,
        "truncated": ["feature", "gen_ai.agent.name"],
    }


def test_fault_043_very_many_spans_in_one_request_are_all_kept() -> None:
    spans = [span(number, trace=number) for number in range(1, 6_001)]

    response = send(
        protobuf(spans), ingest_secret(), content_type="application/x-protobuf", compress=True
    )

    assert response.status_code == 200
    assert totals() == {"spans": 6_000, "calls": 6_000, "input": 600_000, "output": 120_000}


@pytest.mark.parametrize(
    "fields",
    [
        {"traceId": "0" * 32},
        {"spanId": "0" * 16},
        {"traceId": "W47/94gDgQPSabYzgT/GDA=="},  # base64, as protobuf's own JSON would write it
        {"spanId": "ab"},
        {"traceId": 5},
        {"spanId": None},
    ],
)
def test_fault_044_bad_ids_refuse_the_span_and_not_the_request(fields: dict[str, Any]) -> None:
    response = send(request([span(1, **fields), span(2)]), ingest_secret())

    assert response.status_code == 200
    assert response.json()["partialSuccess"]["rejectedSpans"] == "1"
    assert totals()["spans"] == 1


def test_fault_045_invalid_utf_8_in_protobuf_is_refused() -> None:
    body = protobuf([span(1)]).replace(b"chat gpt-4o", b"chat \xff\xfet-4o")

    assert send(body, ingest_secret(), content_type="application/x-protobuf").status_code == 400
    assert (
        send(
            protobuf([span(1)]), ingest_secret(), content_type="application/x-protobuf"
        ).status_code
        == 200
    )


@pytest.mark.parametrize("count", [-1, float("nan"), 12.5, True, 2**53 + 1, 10**18, "many", "1e3"])
def test_fault_046_impossible_token_counts_are_missing_ones_not_missing_calls(count: Any) -> None:
    told = {**CALL, "gen_ai.usage.output_tokens": count}

    response = send(request([span(1, told), span(2)]), ingest_secret())

    partial = response.json()["partialSuccess"]
    assert "rejectedSpans" not in partial
    assert "1 counted without tokens: their counts can't be read" in partial["errorMessage"]
    assert totals() == {"spans": 2, "calls": 2, "input": 100, "output": 20}
    assert rows("SELECT usage_shape, has_usage FROM span WHERE span_id = 1") == [
        ("unreadable", False)
    ]


@pytest.mark.parametrize("count", ["20", 20.0, "20.0"])
def test_token_counts_may_be_texts_or_floats(count: Any) -> None:
    send(request([span(1, {**CALL, "gen_ai.usage.output_tokens": count})]), ingest_secret())

    assert totals() == {"spans": 1, "calls": 1, "input": 100, "output": 20}


def test_fault_046_cost_claimed_by_the_client_is_kept_apart() -> None:
    send(request([span(1, {**CALL, "gen_ai.usage.cost": 99.5})]), ingest_secret())

    assert rows("SELECT client_cost::text, counted FROM span") == [("99.5", True)]


def test_fault_047_key_bound_to_a_team_beats_the_attribute() -> None:
    told = {**CALL, "team": "finance"}

    send(request([span(1, told)]), ingest_secret(team="growth"))
    send(request([span(2, told)]), ingest_secret())

    assert rows(
        "SELECT d.team FROM span AS s JOIN allocation_usagedimension AS d ON d.id = s.dimension_id "
        "ORDER BY s.span_id"
    ) == [("growth",), ("finance",)]


@pytest.mark.parametrize(
    "start",
    [NOW + timedelta(hours=3), datetime(1970, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)],
)
def test_fault_048_spans_outside_the_window_are_kept_and_not_counted(start: datetime) -> None:
    secret = ingest_secret()

    first = send(request([span(1, at=start), span(2)]), secret)
    again = send(request([span(1, at=start), span(2)]), secret)

    assert "rejectedSpans" not in first.json()["partialSuccess"]
    assert "1 kept but not counted" in first.json()["partialSuccess"]["errorMessage"]
    assert again.status_code == 200
    assert rows("SELECT started_at, counted, not_counted FROM span WHERE span_id = 1") == [
        (start, False, "outside the time window")
    ]
    assert totals()["spans"] == 1


def test_span_of_the_future_moves_into_its_day_when_that_comes() -> None:
    secret = ingest_secret()
    # Partitions outlive a test: no other has spans of the day after.
    today = datetime(2031, 3, 4, 12, 30, tzinfo=UTC)
    tomorrow = today + timedelta(days=1)
    with time_machine.travel(today, tick=False):
        send(request([span(1, at=tomorrow)]), secret)
    assert rows("SELECT tableoid::regclass::text FROM span") == [("span_outside_window",)]

    with time_machine.travel(tomorrow, tick=False):
        send(request([span(2, at=tomorrow)]), secret)

    assert rows("SELECT span_id, tableoid::regclass::text, counted FROM span ORDER BY span_id") == [
        (1, "span_20310305", False),
        (2, "span_20310305", True),
    ]


@pytest.mark.parametrize("encoding", ["zstd", "br", "gzip, gzip", "x-gzip", "deflate"])
def test_fault_054_other_content_encodings_are_refused(encoding: str) -> None:
    response = send({}, ingest_secret(), encoding=encoding)

    assert response.status_code == 415


def test_fault_038_same_id_with_other_content_keeps_the_first() -> None:
    secret = ingest_secret()
    send(request([span(1)]), secret)

    response = send(request([span(1, {**CALL, "gen_ai.usage.input_tokens": 999})]), secret)

    assert response.status_code == 200
    assert (
        "1 repeat an earlier span id with different content"
        in response.json()["partialSuccess"]["errorMessage"]
    )
    assert totals() == {"spans": 1, "calls": 1, "input": 100, "output": 20}


def test_fault_052_content_and_persons_are_dropped_at_the_door() -> None:
    corpus = {
        "gen_ai.input.messages": '[{"role":"user","content":"my card is 4111 1111 1111 1111"}]',
        "gen_ai.output.messages": "sk-live-secret",
        "gen_ai.system_instructions": "be discreet",
        "gen_ai.prompt.0.content": "hello",
        "gen_ai.completion.0.content": "world",
        "llm.input_messages.0.message.content": "hello",
        "input.value": "hello",
        "output.value": "world",
        "traceloop.entity.input": "{}",
        "ai.prompt": "hello",
        "ai.response.text": "world",
        "gen_ai.tool.call.arguments": "{}",
        "user.id": "ada@example.com",
        "http.request.header.authorization": "Bearer abc",
    }

    send(request([span(1, {**CALL, **corpus, "server.port": 443})]), ingest_secret())

    ((stored,),) = rows("SELECT to_jsonb(span)::text FROM span")
    for content in corpus.values():
        assert content not in stored.replace("{}", "")
    assert json.loads(stored)["attributes"] == {"server.port": 443}
