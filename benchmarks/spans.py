"""Durable spans per second over HTTP: a real gunicorn on two workers, gzip, the rollup kept and
merged meanwhile.

    .venv/bin/python benchmarks/spans.py [--seconds 4] [--sizes 10,50,512]

One JSON line per request size. The limit, measured in the same run: COPY of the same rows into a
logged table without indexes, one transaction per request. Client, web server and database share the
machine.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
HOME = Path(tempfile.mkdtemp(prefix="apportion-bench-"))
HOME.chmod(0o755)
sys.path.insert(0, str(CHECKOUT))
for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "CELERY_BROKER_URL"):
    os.environ.pop(name, None)
os.environ |= {"APPORTION_HOME": str(HOME), "DJANGO_SETTINGS_MODULE": "portal.settings"}

import django  # noqa: E402

django.setup()

import psutil  # noqa: E402
import psycopg  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: E402

from portal.accounts.keys import create_key  # noqa: E402
from portal.embedded.servers import embedded_servers  # noqa: E402
from portal.embedded.supervisor import programs  # noqa: E402
from portal.ingest.otlp.rollup.merge import merge_deltas  # noqa: E402
from portal.ingest.otlp.traces.attributes import installed  # noqa: E402
from portal.ingest.otlp.traces.decode import from_protobuf  # noqa: E402
from portal.ingest.otlp.traces.normalise import Sender, normalise  # noqa: E402
from portal.ingest.otlp.traces.store import columns  # noqa: E402
from portal.ingest.otlp.traces.window import Window  # noqa: E402

CLIENTS = 4
MODELS = (("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet-4-5"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="how long to send at each size")
    parser.add_argument("--sizes", default="10,50,512", help="spans per request")
    options = parser.parse_args()
    try:
        with embedded_servers(settings.EMBEDDED, ["postgres"]):
            call_command("migrate", database="owner", verbosity=0)
            _, secret = create_key("benchmark", "ingest", None, None)
            for size in map(int, options.sizes.split(",")):
                print(json.dumps(measure(size, options.seconds, secret)), flush=True)
            connection.close()
    finally:
        shutil.rmtree(HOME, ignore_errors=True)
        shutil.rmtree(settings.EMBEDDED.sockets, ignore_errors=True)


def measure(size: int, seconds: float, secret: str) -> dict[str, object]:
    bodies = [make_request(size, seed) for seed in range(max(40, int(25_000 * seconds / size)))]
    limit = copy_limit(bodies[: max(8, len(bodies) // 6)])
    sent, elapsed, peak_mb, latencies = send_all(bodies, seconds, secret)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM span")
        stored = cursor.fetchone()[0]
        cursor.execute("SELECT coalesce(sum(spans), 0) FROM usage_live")
        counted = cursor.fetchone()[0]
        if not stored == counted == sent * size:
            raise SystemExit(
                f"{sent * size} spans acknowledged, {stored} stored, {counted} counted"
            )
        for table in ("span", "usage_delta", "latency_delta", "usage_hourly", "latency_hourly"):
            cursor.execute(f"DELETE FROM {table}")
    rate = sent * size / elapsed
    return {
        "benchmark": "spans",
        "spans_per_request": size,
        "spans_per_second": round(rate),
        "copy_limit_per_second": round(limit),
        "ratio": round(rate / limit, 3),
        "requests": sent,
        "p95_ms": round(1000 * sorted(latencies)[int(len(latencies) * 0.95)], 1),
        "peak_mb": round(peak_mb),
    }


def make_request(size: int, seed: int) -> bytes:
    """A gzip request as an SDK sends it: one service, calls of five minutes, content attributes
    included.
    """
    rng = random.Random(seed * 1_000_003 + size)
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    service = rng.randint(1, 20)
    for key, text in (
        ("service.name", f"service-{service}"),
        ("deployment.environment.name", "production"),
        ("team", f"team-{service % 12}"),
        ("telemetry.sdk.language", "python"),
        ("telemetry.sdk.name", "opentelemetry"),
        ("telemetry.sdk.version", "1.45.0"),
    ):
        group.resource.attributes.add(key=key).value.string_value = text
    scope = group.scope_spans.add()
    scope.scope.name = "opentelemetry.instrumentation.openai_v2"
    now = time.time_ns()
    for _ in range(size):
        span = scope.spans.add(
            name="chat", kind=3, trace_id=rng.randbytes(16), span_id=rng.randbytes(8)
        )
        span.start_time_unix_nano = now - rng.randint(0, 300 * 10**9)
        span.end_time_unix_nano = span.start_time_unix_nano + rng.randint(10**8, 9 * 10**9)
        provider, model = rng.choice(MODELS)
        for key, text in (
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", provider),
            ("gen_ai.request.model", model),
            ("gen_ai.response.model", f"{model}-2025-08-06"),
            ("gen_ai.response.id", f"chatcmpl-{rng.getrandbits(96):x}"),
            ("gen_ai.conversation.id", f"{rng.getrandbits(64):x}"),
            ("feature", f"feature-{rng.randint(1, 3)}"),
            ("server.address", f"api.{provider}.com"),
            ("gen_ai.output.messages", "All well, thank you. " * 5),
        ):
            span.attributes.add(key=key).value.string_value = text
        for key, number in (
            ("gen_ai.usage.input_tokens", rng.randint(50, 4000)),
            ("gen_ai.usage.cache_read.input_tokens", rng.randint(0, 50)),
            ("gen_ai.usage.output_tokens", rng.randint(1, 900)),
            ("server.port", 443),
            ("gen_ai.request.max_tokens", 1024),
        ):
            span.attributes.add(key=key).value.int_value = number
        span.attributes.add(key="gen_ai.request.temperature").value.double_value = 0.7
        span.attributes.add(
            key="gen_ai.response.finish_reasons"
        ).value.array_value.values.add().string_value = "stop"
    return gzip.compress(request.SerializeToString(), 6)


def copy_limit(bodies: Sequence[bytes]) -> float:
    """Rows per second of COPY into a logged table without indexes, a transaction per request, on
    two connections.
    """
    words = installed()
    pieces = []
    for body in bodies:
        items = from_protobuf(gzip.decompress(body), words.wanted)
        records, _ = normalise(items, words=words, sender=Sender(), window=Window(0, 2**62))
        ids = {record.dimension: 1 for record in records}
        arrays = columns(records, (ids, {record.who: None for record in records}))
        pieces.append(
            (
                len(records),
                "\n".join("\t".join(row) for row in zip(*map(unquoted, arrays), strict=True)),
            )
        )
    width = pieces[0][1].split("\n", 1)[0].count("\t") + 1
    where = settings.DATABASES["owner"]
    address = f"host={where['HOST']} user={where['USER']} dbname={where['NAME']}"
    with psycopg.connect(address, autocommit=True) as owner:
        names = ", ".join(f"c{number} text" for number in range(width))
        owner.execute(f"DROP TABLE IF EXISTS copy_limit; CREATE TABLE copy_limit ({names})")

    def copy(part: Sequence[tuple[int, str]]) -> None:
        with psycopg.connect(address, autocommit=True) as client:
            for _, text in part:
                with client.cursor() as cursor, cursor.copy("COPY copy_limit FROM STDIN") as stream:
                    stream.write(text + "\n")

    started = time.perf_counter()
    in_threads([lambda part=pieces[number::2]: copy(part) for number in range(2)])  # type: ignore[misc]
    elapsed = time.perf_counter() - started
    with psycopg.connect(address, autocommit=True) as owner:
        owner.execute("DROP TABLE copy_limit")
    return sum(count for count, _ in pieces) / elapsed


def unquoted(array: str) -> list[str]:
    """The elements of an array literal as COPY text; a comma inside quotes stays in its element."""
    elements: list[str] = []
    current: list[str] = []
    quoted = False
    for character in array[1:-1]:
        if character == '"' and (not current or current[-1] != "\\"):
            quoted = not quoted
        elif character == "," and not quoted:
            elements.append("".join(current))
            current = []
        else:
            current.append(character)
    elements.append("".join(current))
    return [element.replace('\\"', '"') if element != "NULL" else "\\N" for element in elements]


def send_all(
    bodies: Sequence[bytes], seconds: float, secret: str
) -> tuple[int, float, float, list[float]]:
    """(requests acknowledged, seconds, peak MB of the web processes, seconds of each request)."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    web = subprocess.Popen(
        programs("127.0.0.1", port)[0].arguments,
        cwd=CHECKOUT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        in_threads([lambda: post_some(port, secret, [make_request(5, -1)], 9e9, [])] * CLIENTS)
        with connection.cursor() as cursor:
            for table in ("span", "usage_delta", "latency_delta", "usage_hourly", "latency_hourly"):
                cursor.execute(f"DELETE FROM {table}")
        queue = list(bodies)
        latencies: list[float] = []
        running = threading.Event()
        peaks: list[float] = []
        watchers = [threading.Thread(target=watch, args=(web.pid, running, peaks))]
        watchers.append(threading.Thread(target=keep_folding, args=(running,)))
        for thread in watchers:
            thread.start()
        started = time.perf_counter()
        in_threads([lambda: post_some(port, secret, queue, started + seconds, latencies)] * CLIENTS)
        elapsed = time.perf_counter() - started
        running.set()
        for thread in watchers:
            thread.join()
        return len(latencies), elapsed, max(peaks, default=0.0), latencies
    finally:
        web.terminate()
        web.wait()


def post_some(
    port: int, secret: str, queue: list[bytes], until: float, latencies: list[float]
) -> None:
    """Take bodies from the queue and send them over one connection, until the time is up."""
    client = http.client.HTTPConnection("127.0.0.1", port)
    headers = {
        "Authorization": f"Bearer {secret}",
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "gzip",
    }
    while queue and time.perf_counter() < until:
        try:
            body = queue.pop()
        except IndexError:
            break
        started = time.perf_counter()
        client.request("POST", "/v1/traces", body, headers)
        response = client.getresponse()
        answer = response.read()
        if response.status != 200 or answer:
            raise SystemExit(f"{response.status} {answer!r}")
        latencies.append(time.perf_counter() - started)
    client.close()


def keep_folding(stop: threading.Event) -> None:
    while not stop.wait(1.0):
        merge_deltas()
    connection.close()


def watch(pid: int, stop: threading.Event, peaks: list[float]) -> None:
    parent = psutil.Process(pid)
    while not stop.wait(0.1):
        family = [parent, *parent.children(recursive=True)]
        peaks.append(sum(process.memory_info().rss for process in family) / 1e6)


def wait_for(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("gunicorn did not start")


def in_threads(functions: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
