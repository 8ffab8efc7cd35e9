"""Records -> durable rows and their share of the rollup, in one statement; then the rest of their
traces is looked at.

`store_spans` returns when everything is committed. Sending the same spans again, in any order and
any batches, changes nothing: the first one of a key is kept, and what a trace counts for is a
function of the spans it has.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, LiteralString

import orjson
import psycopg
from django.db import connection, transaction

from portal.ingest.otlp.traces import sql
from portal.ingest.otlp.traces.nested import Key, Seen, decide
from portal.ingest.otlp.traces.normalise import (
    AGENT_TOTAL,
    DAY_US,
    OUTSIDE_WINDOW,
    Dimension,
    SpanRecord,
)

SLICE = 2_000  # spans per statement
MOST_DIMENSIONS = 200_000  # kept per process
SEALED_SECONDS = 60  # how long a process may not know of a newly sealed day
TRACE_SPANS = 5_000  # longer traces are not searched for repeated calls
MIDNIGHT_US = (
    3_600_000_000  # a trace that starts this close to midnight may have spans on the other day
)
SEALED = "its day is sealed"


@dataclass
class StoredSpans:
    """What became of a batch's spans; `stored` counts every new row, also those that are kept but
    not counted.
    """

    stored: int = 0
    duplicates: int = 0
    conflicts: int = 0  # duplicates whose content differs from the first one's
    outside_window: int = 0  # of those sent

    def __iadd__(self, other: StoredSpans) -> StoredSpans:
        self.stored += other.stored
        self.duplicates += other.duplicates
        self.conflicts += other.conflicts
        self.outside_window += other.outside_window
        return self


@dataclass
class Known:
    """What this process has seen in the database; only things that never change back."""

    dimensions: dict[Dimension, int] = field(default_factory=dict)
    days: set[str] = field(default_factory=set)
    sealed: frozenset[str] = frozenset()
    sealed_read_at: float = float("-inf")


known = Known()


def forget() -> None:
    """Drop what the process knows of the database (tests empty it)."""
    global known
    known = Known()


@contextmanager
def cursor() -> Iterator[psycopg.RawCursor[tuple[Any, ...]]]:
    """A cursor that binds on the server and reads no placeholders of its own; errors come as
    Django's.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.RawCursor(connection.connection) as opened:
        yield opened


def store_spans(records: Sequence[SpanRecord]) -> StoredSpans:
    """Store and count the records. Raises django.db.OperationalError where the database is away;
    nothing is lost then if the sender tries again.
    """
    outcome = StoredSpans()
    unique: dict[tuple[str, str, int], SpanRecord] = {}
    for record in records:
        if unique.setdefault(record.key, record) is not record:
            outcome.duplicates += 1
    fresh = list(unique.values())
    prepare_days(fresh)
    outcome.outside_window = sum(record.not_counted == OUTSIDE_WINDOW for record in fresh)
    settle_within(fresh)
    ids = dimension_ids({record.dimension for record in fresh})
    slices = [fresh[start : start + SLICE] for start in range(0, len(fresh), SLICE)]
    if len(slices) == 1:
        counts = [insert(slices[0], ids)]  # one statement is its own transaction
    else:
        with transaction.atomic():
            counts = [insert(part, ids) for part in slices]
    outcome.stored = sum(counts)
    repeated = [part for part, count in zip(slices, counts, strict=True) if count < len(part)]
    if repeated:
        outcome.duplicates += len(fresh) - outcome.stored
        outcome.conflicts = sum(conflicting(part, ids) for part in repeated)
    settle_across(fresh, everything_new=not repeated)
    return outcome


# ---------------------------------------------------------------- days


def prepare_days(records: Iterable[SpanRecord]) -> None:
    """Make the partitions of the records' days; spans of sealed days are marked as not counted."""
    days = {record.span_day for record in records if record.not_counted != OUTSIDE_WINDOW}
    if not days:
        return
    if time.monotonic() - known.sealed_read_at > SEALED_SECONDS:
        with cursor() as c:
            rows = c.execute("SELECT day::text FROM allocation_sealedday").fetchall()
        known.sealed = frozenset(row[0] for row in rows)
        known.sealed_read_at = time.monotonic()
    for day in sorted(days - known.days - known.sealed):
        with cursor() as c:
            c.execute("SELECT ensure_span_partition($1)", [day])
        known.days.add(day)
    if not days.isdisjoint(known.sealed):
        for record in records:
            if record.span_day in known.sealed and record.not_counted != OUTSIDE_WINDOW:
                record.counted, record.not_counted = False, SEALED


# ---------------------------------------------------------------- dimensions


def dimension_ids(wanted: set[Dimension]) -> dict[Dimension, int]:
    """The id of each dimension; unknown ones are inserted."""
    missing = [dimension for dimension in wanted if dimension not in known.dimensions]
    if missing:
        if len(known.dimensions) + len(missing) > MOST_DIMENSIONS:
            known.dimensions.clear()
            missing = list(wanted)
        by_hash = {content_hash(dimension): dimension for dimension in missing}
        # Sorted, so that two processes that insert the same ones never wait for each other in a
        # circle.
        rows = [(digest, *by_hash[digest]) for digest in sorted(by_hash)]
        with cursor() as c:
            c.executemany(sql.INSERT_DIMENSION, rows)
            found = c.execute(sql.FIND_DIMENSIONS, [list(by_hash)]).fetchall()
        known.dimensions.update({by_hash[bytes(digest)]: number for number, digest in found})
    return {dimension: known.dimensions[dimension] for dimension in wanted}


def content_hash(dimension: Dimension) -> bytes:
    return hashlib.blake2b(orjson.dumps(list(dimension)), digest_size=16).digest()


# ---------------------------------------------------------------- rows


def insert(records: Sequence[SpanRecord], ids: dict[Dimension, int]) -> int:
    """Rows that were new; their rollup is written by the same statement."""
    if not records:
        return 0
    with cursor() as c:
        row = c.execute(sql.INSERT_SPANS, columns(records, ids), prepare=True).fetchone()
    return int(row[0]) if row else 0


def columns(records: Sequence[SpanRecord], ids: dict[Dimension, int]) -> list[str]:
    """One PostgreSQL array literal for each of sql.SENT_COLUMNS; made here, since lists adapt four
    times slower.
    """
    rows = [
        (
            r.span_day,
            r.trace_id,
            str(r.span_id),
            number(r.parent_span_id),
            str(ids[r.dimension]),
            str(r.started_us),
            str(r.duration_us),
            quoted(r.name),
            str(r.status_code),
            quoted(r.error_type),
            "t" if r.counted else "f",
            quoted(r.not_counted),
            str(r.adjusted_count),
            *map(str, r.tokens),
            "t" if r.has_usage else "f",
            quoted(r.usage_shape),
            quoted(r.session_id),
            quoted(r.response_id),
            number(r.time_to_first_chunk_us),
            quoted(r.finish_reason),
            number(r.client_cost),
            quoted(r.attributes),
        )
        for r in records
    ]
    return ["{" + ",".join(column) + "}" for column in zip(*rows, strict=True)]


def number(value: object) -> str:
    return "NULL" if value is None else str(value)


def quoted(value: str | None) -> str:
    """An element of an array literal."""
    if value is None:
        return "NULL"
    if "\\" in value:
        value = value.replace("\\", "\\\\")
    if '"' in value:
        value = value.replace('"', '\\"')
    return f'"{value}"'


def conflicting(records: Sequence[SpanRecord], ids: dict[Dimension, int]) -> int:
    """How many of the records differ from the stored row of the same key."""
    with cursor() as c:
        row = c.execute(sql.CONFLICTS, columns(records, ids)).fetchone()
    return int(row[0]) if row else 0


# ---------------------------------------------------------------- one call, several spans


def relevant(record: SpanRecord) -> bool:
    return record.has_usage or record.response_id is not None


def settle_within(records: Sequence[SpanRecord]) -> None:
    """Decide what counts among the spans that came together."""
    count = Counter(record.trace_id for record in records if relevant(record))
    agents = {record.trace_id for record in records if record.usage_shape == AGENT_TOTAL}
    unsettled = {trace for trace, number in count.items() if number > 1} | agents
    if not unsettled:
        return
    traces: dict[str, list[SpanRecord]] = {}
    for record in records:
        if record.trace_id in unsettled:
            traces.setdefault(record.trace_id, []).append(record)
    for spans in traces.values():
        verdict = decide(map(seen, spans))
        for record in spans:
            key = (record.span_day, record.span_id)
            if key in verdict and record.not_counted not in (OUTSIDE_WINDOW, SEALED):
                record.not_counted = verdict[key]
                record.counted = record.not_counted is None


def seen(record: SpanRecord) -> Seen:
    told = record.dimension
    return Seen(
        day=record.span_day,
        span_id=record.span_id,
        parent_span_id=record.parent_span_id,
        is_inference=told.is_inference,
        model=told.model,
        usage_shape=record.usage_shape,
        tokens=tuple(record.tokens),
        started_us=record.started_us,
        ended_us=record.started_us + record.duration_us,
        response_id=record.response_id,
        richness=sum(
            value is not None
            for value in (
                told.team,
                told.feature,
                told.product,
                told.environment,
                told.customer,
                told.prompt_name,
                record.session_id,
            )
        ),
        in_window=record.not_counted not in (OUTSIDE_WINDOW, SEALED),
    )


def settle_across(records: Sequence[SpanRecord], *, everything_new: bool) -> None:
    """Look at the stored spans of the same traces, after the commit: of two requests at once, the
    later one sees both.

    One index probe for each trace finds those that have other spans, too.
    """
    own = Counter(record.trace_id for record in records if everything_new and relevant(record))
    by_days: dict[tuple[str, ...], set[str]] = {}
    for record in records:
        by_days.setdefault(neighbouring_days(record), set()).add(record.trace_id)
    suspicious: dict[str, set[str]] = {}
    for days, traces in by_days.items():
        for trace in suspicious_traces(list(days), sorted(traces), own):
            suspicious.setdefault(trace, set()).update(days)
    traces_in_order = sorted(suspicious)
    for start in range(0, len(traces_in_order), 100):
        chunk = traces_in_order[start : start + 100]
        settle_stored(chunk, sorted({day for trace in chunk for day in suspicious[trace]}))


def suspicious_traces(days: list[str], traces: Sequence[str], own: Mapping[str, int]) -> list[str]:
    """Traces in which a stored span and one of this batch may describe one call."""
    with cursor() as c:
        brought = array(str(own.get(trace, 0)) for trace in traces)
        shared = c.execute(
            sql.SHARED_TRACES, [days, array(traces), brought], prepare=True
        ).fetchall()
        if not shared:
            return []
        rows = c.execute(
            sql.SUSPICIOUS_TRACES, [days, [row[0] for row in shared]], prepare=True
        ).fetchall()
    return [row[0].hex for row in rows]


def array(texts: Iterable[str]) -> str:
    return "{" + ",".join(texts) + "}"


def neighbouring_days(record: SpanRecord) -> tuple[str, ...]:
    """The span's day, and the next one where midnight is near."""
    since_midnight = record.started_us % DAY_US
    if since_midnight < MIDNIGHT_US:
        return day_before(record.span_day), record.span_day
    if since_midnight + record.duration_us > DAY_US - MIDNIGHT_US:
        return record.span_day, day_after(record.span_day)
    return (record.span_day,)


def day_before(day: str) -> str:
    return (date.fromisoformat(day) - timedelta(days=1)).isoformat()


def day_after(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


@transaction.atomic
def settle_stored(traces: Sequence[str], days: Sequence[str]) -> None:
    """Make the stored spans of these traces count as `decide` says; the rollup gets the
    difference.
    """
    with cursor() as c:
        for trace in traces:  # in order, so that two of these never wait for each other in a circle
            c.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
                [f"apportion trace {trace}"],
            )
        rows = c.execute(sql.TRACE_SPANS, [list(days), array(traces)]).fetchall()
        stored: dict[str, dict[Key, tuple[Seen, bool]]] = {}
        for trace, counted, day, span_id, parent, is_inference, model, shape, tokens, *rest in rows:
            span = Seen(day, span_id, parent, is_inference, model, shape, tuple(tokens), *rest)
            stored.setdefault(trace.hex, {})[span.key] = (span, counted)
        changes = []
        for trace, spans in stored.items():
            if len(spans) > TRACE_SPANS:
                continue
            verdict = decide(span for span, _ in spans.values())
            for key, reason in verdict.items():
                if spans[key][1] is not (reason is None):
                    changes.append((key[0], trace, key[1], reason))
        if changes:
            apply_changes(c, changes)


def apply_changes(
    c: psycopg.RawCursor[tuple[Any, ...]], changes: Sequence[tuple[str, str, int, str | None]]
) -> None:
    days, traces, spans, reasons = (list(column) for column in zip(*changes, strict=True))
    statements: tuple[LiteralString, ...] = (sql.RECOUNT, sql.RECOUNT_USAGE, sql.RECOUNT_LATENCY)
    for statement in statements:
        c.execute(statement, [days, traces, spans, reasons])
