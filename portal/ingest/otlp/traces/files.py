"""Traces from files: the same path as over HTTP, as one import."""

from __future__ import annotations

import gzip
import hashlib
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from allocation.models import Import, ImportStatus, RejectedRow
from portal.errors import Refused
from portal.ingest.otlp.traces.attributes import installed
from portal.ingest.otlp.traces.decode import Item, Undecodable, from_json, from_protobuf
from portal.ingest.otlp.traces.findings import note_findings
from portal.ingest.otlp.traces.normalise import Sender, normalise
from portal.ingest.otlp.traces.store import StoredSpans, store_spans
from portal.ingest.otlp.traces.window import window

LISTED = 20
GZIP = b"\x1f\x8b"


@dataclass
class TraceImport:
    """What became of a file of traces."""

    import_id: int
    status: str
    stored: StoredSpans = field(default_factory=StoredSpans)
    spans_read: int = 0
    spans_rejected: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "import": self.import_id,
            "status": self.status,
            "spans_read": self.spans_read,
            "spans_stored": self.stored.stored,
            "spans_duplicate": self.stored.duplicates,
            "spans_rejected": self.spans_rejected,
            "spans_outside_window": self.stored.outside_window,
            "rejected": self.rejected,
            "seconds": round(self.seconds, 3),
        }


def import_traces(
    path: Path, *, sender: Sender | None = None, created_by: str | None = None
) -> TraceImport:
    """Load OTLP JSON, JSON lines as the collector's file exporter writes them, or one protobuf
    request; plain or gzip.

    A damaged file is refused; lines before the damage were stored, which a second import after the
    repair counts as duplicates. Raises Refused with the file, the line and the reason.
    """
    started = time.monotonic()
    if not path.is_file():
        raise Refused(f"{path}: no such file; name an OTLP file (.json, .jsonl, .pb, also .gz)")
    record = Import.objects.create(kind="traces", file_name=path.name, created_by=created_by)
    outcome = TraceImport(record.pk, ImportStatus.LOADED)
    try:
        digest = load(path, outcome, sender or Sender())
    except (Undecodable, ValueError, EOFError, OSError, zlib.error) as error:
        reason = f"{path}: {error}"
        finish(record, outcome, ImportStatus.REFUSED, refusal=reason)
        raise Refused(
            f"{reason}; nothing after it was read. Repair or export it again, then import it again"
        ) from error
    outcome.seconds = time.monotonic() - started
    record.content_sha256 = digest
    nothing_new = outcome.spans_read > 0 and outcome.stored.duplicates == outcome.spans_read
    finish(record, outcome, ImportStatus.UNCHANGED if nothing_new else ImportStatus.LOADED)
    return outcome


def load(path: Path, outcome: TraceImport, sender: Sender) -> str:
    """Store every request of the file; the SHA-256 of its inflated content."""
    words = installed()
    hasher = hashlib.sha256()
    for line, items in requests(path, hasher, words.wanted):
        try:
            records, refused = normalise(
                items, words=words, sender=sender, window=window(time.time())
            )
        except Undecodable as error:
            raise Undecodable(f"line {line}: {error}") from error
        outcome.spans_read += len(records) + len(refused)
        outcome.spans_rejected += len(refused)
        outcome.rejected += [{"line": line, "reason": reason} for reason in refused][
            : LISTED - len(outcome.rejected)
        ]
        stored = store_spans(records) if records else StoredSpans()
        note_findings(sender, refused, stored)
        outcome.stored += stored
    return hasher.hexdigest()


def requests(
    path: Path, hasher: Any, wanted: frozenset[str]
) -> Iterator[tuple[int, Iterator[Item]]]:
    """(line, spans) of each request in the file."""
    with path.open("rb") as raw, inflated(raw) as stream:
        first = stream.peek(1).lstrip()[:1]
        if first not in (b"{", b""):
            body = limited(stream, hasher)
            yield 1, from_protobuf(body, wanted)
            return
        text = stream.readline(settings.OTLP_MAX_BYTES)
        try:
            items = from_json(text or b"{}", wanted)
        except Undecodable:  # not one request a line: one request over many lines
            yield 1, from_json(text + limited(stream, hasher, before=text), wanted)
            return
        hasher.update(text)
        yield 1, items
        yield from json_lines(stream, hasher, wanted)


def json_lines(
    stream: BufferedReader[Any], hasher: Any, wanted: frozenset[str]
) -> Iterator[tuple[int, Iterator[Item]]]:
    """The second and later lines."""
    line = 1
    while text := stream.readline(settings.OTLP_MAX_BYTES + 1):
        line += 1
        hasher.update(text)
        if len(text) > settings.OTLP_MAX_BYTES:
            raise Undecodable(f"line {line}: more than {settings.OTLP_MAX_BYTES} bytes")
        if text.strip():
            try:
                yield line, from_json(text, wanted)
            except Undecodable as error:
                raise Undecodable(f"line {line}: {error}") from error


def inflated(raw: BufferedReader) -> BufferedReader[Any]:
    if raw.peek(2)[:2] == GZIP:
        return BufferedReader(gzip.GzipFile(fileobj=raw))
    return raw


def limited(stream: BufferedReader[Any], hasher: Any, before: bytes = b"") -> bytes:
    """The rest of the stream, refused when one request would become too large."""
    body = stream.read(settings.OTLP_MAX_BYTES + 1 - len(before))
    if len(before) + len(body) > settings.OTLP_MAX_BYTES:
        raise Undecodable(
            f"one request may hold at most {settings.OTLP_MAX_BYTES} bytes; export it in parts"
        )
    hasher.update(before + body)
    return body


@transaction.atomic
def finish(record: Import, outcome: TraceImport, status: str, refusal: str | None = None) -> None:
    record.status = outcome.status = status
    record.refusal = refusal
    record.rows_read = outcome.spans_read
    record.rows_loaded = outcome.stored.stored
    record.rows_duplicate = outcome.stored.duplicates
    record.rows_rejected = outcome.spans_rejected
    record.finished_at = timezone.now()
    record.save()
    RejectedRow.objects.bulk_create(
        RejectedRow(bill_import=record, line=each["line"], reason=each["reason"])
        for each in outcome.rejected
    )
