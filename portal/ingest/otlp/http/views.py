"""POST /v1/traces: OTLP over HTTP, as opentelemetry-proto docs/specification.md asks for it."""

from __future__ import annotations

import logging
import time
from collections import Counter

import orjson
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from portal.ingest.otlp.http.bodies import Broken, Readable, TooLarge, UnknownEncoding, read_body
from portal.ingest.otlp.http.senders import NoSender, sender_of
from portal.ingest.otlp.traces.attributes import installed
from portal.ingest.otlp.traces.decode import Undecodable, from_json, from_protobuf
from portal.ingest.otlp.traces.findings import note_findings
from portal.ingest.otlp.traces.normalise import normalise
from portal.ingest.otlp.traces.store import StoredSpans, store_spans
from portal.ingest.otlp.traces.window import window

log = logging.getLogger(__name__)

PROTOBUF, JSON = "application/x-protobuf", "application/json"
RETRY_AFTER_SECONDS = 5
INVALID_ARGUMENT, UNAUTHENTICATED, PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNAVAILABLE = (
    3,
    16,
    7,
    8,
    14,
)


@csrf_exempt  # callers carry a key, no cookie
def traces(request: HttpRequest) -> HttpResponse:
    """200 only after the spans are committed; 503 with Retry-After where that can't be."""
    media_type = (request.content_type or "").lower()
    if request.method != "POST":
        refused = problem(JSON, 405, INVALID_ARGUMENT, "send OTLP with POST")
        refused["Allow"] = "POST"
        return refused
    if media_type not in (PROTOBUF, JSON):
        return problem(JSON, 415, INVALID_ARGUMENT, f"Content-Type must be {PROTOBUF} or {JSON}")
    try:
        return receive(request, media_type)
    except (OperationalError, InterfaceError) as error:
        log.warning("spans turned away, the database is not available: %s", type(error).__name__)
        response = problem(
            media_type, 503, UNAVAILABLE, "the database is not available; send again later"
        )
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response


def receive(request: HttpRequest, media_type: str) -> HttpResponse:
    sender = sender_of(request)
    if isinstance(sender, NoSender):
        return turned_away(media_type, sender)
    words = installed()
    try:
        body = read_body(
            source(request),
            encoding=request.headers.get("Content-Encoding", ""),
            limit=settings.OTLP_MAX_BYTES,
        )
        items = (
            from_protobuf(body, words.wanted)
            if media_type == PROTOBUF
            else from_json(body, words.wanted)
        )
        del body  # the decoded form is all that is needed from here on
        records, refused = normalise(items, words=words, sender=sender, window=window(time.time()))
    except TooLarge as error:
        return problem(media_type, 413, RESOURCE_EXHAUSTED, str(error))
    except UnknownEncoding as error:
        return problem(media_type, 415, INVALID_ARGUMENT, str(error))
    except (Broken, Undecodable) as error:
        return problem(media_type, 400, INVALID_ARGUMENT, str(error))
    stored = store_spans(records) if records else StoredSpans()
    note_findings(sender, refused, stored)
    return accepted(media_type, refused, stored)


def turned_away(media_type: str, sender: NoSender) -> HttpResponse:
    if sender.is_known:
        return problem(
            media_type,
            403,
            PERMISSION_DENIED,
            "the key is not for ingest; make one with scope ingest",
        )
    response = problem(
        media_type, 401, UNAUTHENTICATED, "send Authorization: Bearer KEY with a live ingest key"
    )
    response["WWW-Authenticate"] = "Bearer"
    return response


def source(request: HttpRequest) -> Readable:
    """The raw body. Django reads as much as Content-Length says, so nothing of a chunked one."""
    if "chunked" in request.headers.get("Transfer-Encoding", "").lower():
        stream: Readable = request.META["wsgi.input"]
        return stream
    return request


def accepted(media_type: str, refused: list[str], stored: StoredSpans) -> HttpResponse:
    """Success; how many spans were refused and why, and what else the sender may want to look
    at.
    """
    answer = ExportTraceServiceResponse()
    notes = [f"{count} rejected: {reason}" for reason, count in Counter(refused).most_common(5)]
    if stored.outside_window:
        notes.append(
            f"{stored.outside_window} kept but not counted: their start is outside the time window"
        )
    if stored.unreadable:
        notes.append(
            f"{stored.unreadable} counted without tokens: their counts can't be read as whole "
            "numbers from 0 to 2^53"
        )
    if stored.conflicts:
        notes.append(
            f"{stored.conflicts} repeat an earlier span id with different content: the first is "
            "kept"
        )
    if notes:
        answer.partial_success.rejected_spans = len(refused)
        answer.partial_success.error_message = "; ".join(notes)
    if media_type == PROTOBUF:
        return HttpResponse(answer.SerializeToString(), content_type=PROTOBUF)
    return HttpResponse(MessageToJson(answer, indent=None), content_type=JSON)


def problem(media_type: str, status: int, code: int, message: str) -> HttpResponse:
    """An error with a google.rpc.Status body (code = 1, message = 2) in the request's own
    encoding.
    """
    if media_type == PROTOBUF:
        text = message.encode()[:16_000]
        content = bytes([0x08, code, 0x12]) + varint(len(text)) + text
    else:
        content = orjson.dumps({"code": code, "message": message})
    return HttpResponse(content, status=status, content_type=media_type)


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
