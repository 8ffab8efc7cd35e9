"""While the demo runs, its services go on calling models: their new spans are sent over HTTP, as an
exporter would.
"""

from __future__ import annotations

import gzip
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from portal.accounts.keys import create_key, revoke_key
from portal.accounts.models import ApiKey, KeyScope
from portal.demo.calls import traffic_days
from portal.demo.settings import DemoSettings
from portal.demo.traces import requests_of_day

EVERY_SECONDS = 15.0
KEY_NAME = "Demo traffic"


def fresh_key() -> str:
    """The secret of a new ingest key; the keys of earlier starts are revoked."""
    for key in ApiKey.objects.filter(name=KEY_NAME, revoked_at=None):
        revoke_key(key, "demo")
    return create_key(KEY_NAME, KeyScope.INGEST, None, "demo")[1]


def requests_between(settings: DemoSettings, since: datetime, until: datetime) -> Iterator[bytes]:
    """OTLP requests with the spans that start in [since, until)."""
    for day in sorted({since.date(), until.date()}):
        yield from requests_of_day(
            settings, traffic_days(settings, [day]), since=since, until=until
        )


class LiveTraffic(threading.Thread):
    """Sends what happened since the last time, a few times a minute; ends with the process."""

    def __init__(self, *, settings: DemoSettings, address: str, key: str) -> None:
        super().__init__(name="demo traffic", daemon=True)
        self.settings = settings
        self.address = address
        self.key = key
        self.sent_until = settings.now
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(EVERY_SECONDS):
            self.catch_up(datetime.now(UTC))

    def catch_up(self, now: datetime) -> None:
        """Send everything up to now; what could not be sent is tried again next time."""
        until = now - timedelta(seconds=1)
        settings = replace(self.settings, now=now)
        try:
            for request in requests_between(settings, self.sent_until, until):
                self.send(request)
        except (urllib.error.URLError, OSError):
            return
        self.sent_until = until

    def send(self, request: bytes) -> None:
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "gzip",
        }
        post = urllib.request.Request(f"{self.address}/v1/traces", gzip.compress(request), headers)  # noqa: S310
        with urllib.request.urlopen(post, timeout=30) as answer:  # noqa: S310 - this portal's own address
            answer.read()
