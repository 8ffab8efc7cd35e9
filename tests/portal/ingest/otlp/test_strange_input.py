"""Whatever stands in a request: 200 with the rest refused by reason, or 400. Never an error of
ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from portal.ingest.otlp.traces.attributes import installed
from tests.portal.ingest.otlp.sending import NOW, ingest_secret, request, rows, send, span

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def frozen_clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def secret() -> str:
    return ingest_secret()


texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "\0",
            "a\0b",
            '"',
            "\\",
            '{"team": "x\\u0000"}',
            "[1,",
            "{}",
            "NULL",
            ",",
            "x" * 400,
            "1e999",
            "NaN",
        ]
    ),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)
kinds = st.sampled_from(
    [
        "stringValue",
        "intValue",
        "doubleValue",
        "boolValue",
        "bytesValue",
        "arrayValue",
        "kvlistValue",
    ]
)
values = st.one_of(
    st.dictionaries(
        kinds, anything | st.fixed_dictionaries({"values": st.lists(anything)}), max_size=1
    ),
    anything,
)
names = st.sampled_from(sorted(installed().wanted))
told = st.lists(st.fixed_dictionaries({"key": names, "value": values}), max_size=12)
fields = st.dictionaries(
    st.sampled_from(
        [
            "name",
            "startTimeUnixNano",
            "endTimeUnixNano",
            "status",
            "traceState",
            "parentSpanId",
            "kind",
        ]
    ),
    anything,
    max_size=3,
)


@given(attributes=told, resource=told, fields=fields)
@example(
    attributes=[{"key": "gen_ai.operation.name", "value": {"stringValue": "\0chat"}}],
    resource=[],
    fields={},
)
@example(
    attributes=[{"key": "llm.cost.total", "value": {"stringValue": "0." + "1" * 20_000}}],
    resource=[],
    fields={},
)
@example(
    attributes=[
        {"key": "metadata", "value": {"kvlistValue": {"values": [{"key": {}, "value": 1}]}}}
    ],
    resource=[],
    fields={},
)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_strange_attributes_never_break_the_receiver(
    secret: str, attributes: list[Any], resource: list[Any], fields: dict[str, Any]
) -> None:
    body = request([span(1, trace=2), {**span(2, trace=3), "attributes": attributes, **fields}])
    body["resourceSpans"][0]["resource"]["attributes"] = resource

    response = send(body, secret)

    assert response.status_code in (200, 400), response.content
    if response.status_code == 200:
        assert rows("SELECT count(*) FROM span WHERE span_id = 1") == [(1,)]


@given(body=st.binary(max_size=300))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_strange_bodies_never_break_the_receiver(secret: str, body: bytes) -> None:
    for content_type in ("application/json", "application/x-protobuf"):
        for encoding in (None, "gzip"):
            assert send(body, secret, content_type=content_type, encoding=encoding).status_code in (
                200,
                400,
            )
