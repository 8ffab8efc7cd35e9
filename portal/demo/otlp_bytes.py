"""OTLP spans written straight as protobuf bytes.

A demo has some hundred thousand spans whose attributes mostly repeat; joining cached pieces is
several times faster than building message objects. Field numbers are those of opentelemetry-proto
trace/v1/trace.proto, and a test reads the bytes back with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from struct import pack

CLIENT, INTERNAL, SERVER = 3, 1, 2
UNSET, OK, ERROR = 0, 1, 2

Value = str | int | float | bool


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited field."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


@lru_cache(maxsize=4096)
def _key(name: str) -> bytes:
    return _field(1, name.encode())


def _any_value(value: Value) -> bytes:
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, str):
        return _field(1, value.encode())
    if isinstance(value, int):
        return b"\x18" + _varint(value)
    return b"\x21" + pack("<d", value)


def attribute(field: int, name: str, value: Value) -> bytes:
    """One KeyValue as repeated field `field`. Numbers must not be negative."""
    return _field(field, _key(name) + _field(2, _any_value(value)))


@lru_cache(maxsize=65536)
def text_attribute(name: str, value: str) -> bytes:
    """A span attribute whose value repeats."""
    return attribute(9, name, value)


def number_attribute(name: str, value: int | float) -> bytes:
    return attribute(9, name, value)


def span(
    *,
    trace_id: bytes,
    span_id: bytes,
    parent_id: bytes,
    name: str,
    kind: int,
    start_ns: int,
    end_ns: int,
    attributes: Iterable[bytes],
    trace_state: str = "",
    status: int = UNSET,
) -> bytes:
    """One Span message."""
    pieces = [b"\x0a\x10", trace_id, b"\x12\x08", span_id]
    if trace_state:
        pieces.append(_field(3, trace_state.encode()))
    if parent_id:
        pieces += (b"\x22\x08", parent_id)
    pieces += (_field(5, name.encode()), b"\x30", bytes((kind,)))
    pieces += (b"\x39", pack("<Q", start_ns), b"\x41", pack("<Q", end_ns), *attributes)
    if status:
        pieces.append(b"\x7a\x02\x18" + bytes((status,)))
    return b"".join(pieces)


def resource_spans(resource: dict[str, str], scope: str, spans: Iterable[bytes]) -> bytes:
    """One `resource_spans` field of an ExportTraceServiceRequest; requests are such fields
    joined.
    """
    attributes = b"".join(attribute(1, name, value) for name, value in resource.items())
    scoped = _field(1, _field(1, scope.encode())) + b"".join(_field(2, each) for each in spans)
    return _field(1, _field(1, attributes) + _field(2, scoped))
