"""The OTLP door of a running portal: killed, cut off from its database, bombed, and fed by a real
exporter.
"""

from __future__ import annotations

import gzip
import http.client
import json
import threading
import time
import urllib.error
import urllib.request
import zlib
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import psutil
import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.portal.ingest.otlp.sending import CALL, protobuf, request, span
from tests.portals import Portal, wait_until

GUNICORN = "gunicorn"


@pytest.fixture(scope="module")
def secret(embedded_portal: Portal) -> str:
    made = embedded_portal.manage("create_api_key", "tests", "--scope", "ingest", "--json")
    return str(json.loads(made.stdout)["key"])


def post(
    portal: Portal, secret: str, body: bytes, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    sent = urllib.request.Request(
        f"{portal.address}/v1/traces",
        body,
        {"Authorization": f"Bearer {secret}", "Content-Type": "application/json", **headers},
    )
    try:
        with urllib.request.urlopen(sent, timeout=30) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()
    except (urllib.error.URLError, OSError, http.client.HTTPException):
        return 0, {}, b""


def at_least(found: set[int], number: int) -> bool:
    return len(found) >= number


def web_memory(portal: Portal) -> int:
    found = 0
    for process in portal.processes(GUNICORN):
        try:
            found += process.memory_info().rss
        except psutil.Error:
            continue
    return found


def test_exporter_of_the_sdk_is_accepted_and_visible_within_five_seconds(
    embedded_portal: Portal, secret: str
) -> None:
    exporter = OTLPSpanExporter(
        endpoint=f"{embedded_portal.address}/v1/traces",
        headers={"Authorization": f"Bearer {secret}"},
        compression=Compression.Gzip,
    )
    provider = TracerProvider(
        resource=Resource.create({"service.name": "exporter-test", "team": "search"})
    )
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=200))
    tracer = provider.get_tracer("opentelemetry.instrumentation.openai_v2")

    with (
        tracer.start_as_current_span("answer"),
        tracer.start_as_current_span("chat gpt-4o") as call,
    ):
        call.set_attributes(CALL)
    ended = time.monotonic()

    def visible() -> list[tuple[Any, ...]]:
        return embedded_portal.rows(
            "SELECT s.name, s.counted, d.team, u.input_uncached FROM span s JOIN "
            "allocation_usagedimension d ON d.id = s.dimension_id JOIN usage_live u ON "
            "u.dimension_id = d.id WHERE d.service = 'exporter-test' AND s.counted"
        )

    assert wait_until(visible, seconds=5, what="the span") == [("chat gpt-4o", True, "search", 100)]
    assert time.monotonic() - ended < 5
    provider.shutdown()


def test_worker_brings_prices_in_and_merges_and_prices_what_arrived(
    embedded_portal: Portal, secret: str
) -> None:
    body = json.dumps(
        request([span(5, trace=5, at=datetime.now(UTC))], {"service.name": "merge-test"})
    ).encode()
    assert post(embedded_portal, secret, body)[0] == 200

    def priced() -> list[tuple[Any, ...]]:
        return embedded_portal.rows(
            "SELECT u.spans, u.list_cost::text FROM usage_hourly u"
            " JOIN allocation_usagedimension d ON d.id = u.dimension_id"
            " WHERE d.service = 'merge-test' AND u.list_cost IS NOT NULL"
        )

    # gpt-4o: 100 x 2.5 + 20 x 10 USD per million
    ((spans, cost),) = wait_until(priced, seconds=60, what="the priced rollup")
    assert (spans, Decimal(cost)) == (1, Decimal("0.00045"))


def test_fault_036_gzip_bomb_is_refused_in_bounded_memory(
    embedded_portal: Portal, secret: str
) -> None:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    # 1 GB in 1 MB.
    bomb = b"".join(squeeze.compress(b"\0" * 2**20) for _ in range(1024)) + squeeze.flush()
    before = web_memory(embedded_portal)
    peak = [before]
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            peak.append(web_memory(embedded_portal))

    watcher = threading.Thread(target=watch)
    watcher.start()
    answers = [
        post(embedded_portal, secret, bomb, **{"Content-Encoding": "gzip", "Content-Type": kind})
        for kind in ("application/x-protobuf", "application/json")
    ]
    stop.set()
    watcher.join()

    assert [status for status, _, _ in answers] == [413, 413]
    assert json.loads(answers[1][2])["message"] == "the inflated body is larger than 67108864 bytes"
    assert max(peak) - before < 200 * 2**20
    fine = gzip.compress(json.dumps(request([])).encode())
    assert post(embedded_portal, secret, fine, **{"Content-Encoding": "gzip"})[0] == 200


def test_body_without_a_length_is_read(embedded_portal: Portal, secret: str) -> None:
    body = json.dumps(request([span(77, trace=77, at=datetime.now(UTC))])).encode()
    client = http.client.HTTPConnection("127.0.0.1", embedded_portal.port)
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}

    client.request(
        "POST", "/v1/traces", iter([body[:100], body[100:]]), headers, encode_chunked=True
    )

    assert client.getresponse().status == 200
    assert embedded_portal.value("SELECT count(*) FROM span WHERE span_id = 77") == 1


def test_fault_040_no_database_is_503_with_retry_after(
    embedded_portal: Portal, secret: str
) -> None:
    body = json.dumps(request([span(40, trace=40, at=datetime.now(UTC))])).encode()
    embedded_portal.stop_postgres()
    try:
        status, headers, answer = post(embedded_portal, secret, body)
        assert status == 503
        assert int(headers["Retry-After"]) > 0
        assert json.loads(answer)["code"] == 14
        encoded = protobuf([span(40, trace=40, at=datetime.now(UTC))])
        status, _, answer = post(
            embedded_portal, secret, encoded, **{"Content-Type": "application/x-protobuf"}
        )
        assert status == 503
        assert answer.startswith(b"\x08\x0e\x12")
    finally:
        embedded_portal.start_postgres()

    assert post(embedded_portal, secret, body)[0] == 200
    assert embedded_portal.value("SELECT count(*) FROM span WHERE span_id = 40") == 1


def test_fault_039_what_was_acknowledged_survives_kill_9(
    embedded_portal: Portal, secret: str
) -> None:
    """Eight kills of the web server and two of PostgreSQL, while four clients send."""
    acknowledged: set[int] = set()
    stop = threading.Event()
    sent = [0] * 4

    def keep_sending(client: int) -> None:
        while not stop.is_set():
            sent[client] += 1
            first = 1_000_000 * (client + 1) + 10 * sent[client]
            now = datetime.now(UTC)
            spans = [span(first + number, trace=first + number, at=now) for number in range(5)]
            if post(embedded_portal, secret, json.dumps(request(spans)).encode())[0] == 200:
                acknowledged.update(range(first, first + 5))
            else:
                time.sleep(0.05)

    clients = [threading.Thread(target=keep_sending, args=(number,)) for number in range(4)]
    for client in clients:
        client.start()
    try:
        for kill in range(10):
            enough = len(acknowledged) + 25
            wait_until(partial(at_least, acknowledged, enough), seconds=60, what="answers")
            if kill % 5 == 4:
                embedded_portal.main_process("bin/postgres -D").kill()
                wait_until(embedded_portal.database_answers, seconds=60, what="the database")
            else:
                for process in embedded_portal.processes(GUNICORN):
                    process.kill()
    finally:
        stop.set()
        for client in clients:
            client.join()

    wait_until(embedded_portal.database_answers, seconds=60, what="the database")
    stored = {
        row[0] for row in embedded_portal.rows("SELECT span_id FROM span WHERE span_id >= 1000000")
    }
    assert len(acknowledged) >= 250
    assert acknowledged - stored == set()
    counted = embedded_portal.value(
        "SELECT sum(u.spans) FROM usage_live u JOIN allocation_usagedimension d ON d.id = "
        "u.dimension_id WHERE d.service = 'chat-api'"
    )
    assert counted == embedded_portal.value(
        "SELECT count(*) FROM span s JOIN allocation_usagedimension d ON d.id = s.dimension_id"
        " WHERE d.service = 'chat-api' AND s.counted"
    )
