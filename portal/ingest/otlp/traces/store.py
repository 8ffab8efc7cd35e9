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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import orjson
from django.db import transaction

from portal.ingest.otlp.calls.seen import Seen, SpanPlace
from portal.ingest.otlp.calls.settle import (
    Cursor,
    Observed,
    array,
    calls_of,
    settle,
    with_lookalikes,
)
from portal.ingest.otlp.calls.unlinked import Pair, lookalikes
from portal.ingest.otlp.traces import sql
from portal.ingest.otlp.traces.capped import cap_values
from portal.ingest.otlp.traces.dimensions import dimension_ids
from portal.ingest.otlp.traces.emitters import emitter_of
from portal.ingest.otlp.traces.known import cursor, known
from portal.ingest.otlp.traces.normalise import (
    AGENT_TOTAL,
    DAY_US,
    FAILED,
    FETCHED,
    NOT_INFERENCE,
    OUTSIDE_WINDOW,
    STREAM_LOG,
    Dimension,
    SpanRecord,
    Who,
)
from portal.ingest.otlp.traces.usage import SHORT_OF_TOTAL, UNREADABLE
from portal.ingest.otlp.traces.who import keep_names, who_ids

SLICE = 2_000  # spans per statement
SEALED_SECONDS = 60  # how long a process may not know of a newly sealed day
MIDNIGHT_US = (
    3_600_000_000  # a trace that starts this close to midnight may have spans on the other day
)
SEALED = "its day is sealed"

Ids = tuple[dict[Dimension, int], dict[Who, int | None]]


@dataclass
class StoredSpans:
    """What became of a batch's spans; `stored` counts every new row, also those that are kept but
    not counted.
    """

    stored: int = 0
    duplicates: int = 0
    conflicts: int = 0  # duplicates whose content differs from the first one's
    outside_window: int = 0  # of those sent
    unreadable: int = 0  # of those sent: calls with token counts that are none
    short_of_total: int = 0  # of those sent: the counts are less than the total beside them
    left_out: int = 0  # of those sent: usage on a span that is no call

    def __iadd__(self, other: StoredSpans) -> StoredSpans:
        self.stored += other.stored
        self.duplicates += other.duplicates
        self.conflicts += other.conflicts
        self.outside_window += other.outside_window
        self.unreadable += other.unreadable
        self.short_of_total += other.short_of_total
        self.left_out += other.left_out
        return self


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
    shapes = Counter(record.usage_shape for record in fresh)
    outcome.unreadable, outcome.short_of_total = shapes[UNREADABLE], shapes[SHORT_OF_TOTAL]
    outcome.left_out = sum(record.not_counted == FETCHED for record in fresh)
    cap_values(fresh)
    unsettled = settle_within(fresh)
    kept = [record for record in fresh if not record.is_thin]
    keep_names(kept)
    ids = (
        dimension_ids({record.dimension for record in kept}),
        who_ids({record.who for record in kept}),
    )
    slices = [kept[start : start + SLICE] for start in range(0, len(kept), SLICE)]
    if len(slices) == 1:
        counts = [insert(slices[0], ids)]  # one statement is its own transaction
    else:
        with transaction.atomic():
            counts = [insert(part, ids) for part in slices]
    thin = keep_skeletons([record for record in fresh if record.is_thin])
    outcome.stored = sum(counts) + thin
    repeated = [part for part, count in zip(slices, counts, strict=True) if count < len(part)]
    outcome.duplicates += len(fresh) - outcome.stored
    if repeated:
        outcome.conflicts = sum(conflicting(part, ids) for part in repeated)
    settle_across(fresh, unsettled, everything_new=not repeated)
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


# ---------------------------------------------------------------- rows


def insert(records: Sequence[SpanRecord], ids: Ids) -> int:
    """Rows that were new; their rollup is written by the same statement."""
    if not records:
        return 0
    with cursor() as c:
        row = c.execute(sql.INSERT_SPANS, columns(records, ids), prepare=True).fetchone()
    return int(row[0]) if row else 0


def keep_skeletons(records: Sequence[SpanRecord]) -> int:
    """Spans that were new, of which only the place in their trace is kept."""
    traces: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for record in records:
        place = (record.span_id, record.parent_span_id or 0)
        traces.setdefault((record.span_day, record.trace_id), []).append(place)
    stored = 0
    for (day, trace), places in sorted(traces.items()):
        places.sort()
        digest = hashlib.blake2b(orjson.dumps(places), digest_size=16).digest()
        span_ids, parents = zip(*places, strict=True)
        with cursor() as c:
            c.execute(sql.INSERT_SKELETON, [day, trace, digest, list(span_ids), list(parents)])
            stored += len(places) * c.rowcount
    return stored


def columns(records: Sequence[SpanRecord], ids: Ids) -> list[str]:
    """One PostgreSQL array literal for each of sql.SENT_COLUMNS; made here, since lists adapt four
    times slower.
    """
    dimensions, people = ids
    rows = [
        (
            r.span_day,
            r.trace_id,
            str(r.span_id),
            number(r.parent_span_id),
            str(dimensions[r.dimension]),
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
            number(people[r.who]),
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


def conflicting(records: Sequence[SpanRecord], ids: Ids) -> int:
    """How many of the records differ from the stored row of the same key."""
    with cursor() as c:
        row = c.execute(sql.CONFLICTS, columns(records, ids)).fetchone()
    return int(row[0]) if row else 0


# ---------------------------------------------------------------- one call, several spans


def settle_within(records: Sequence[SpanRecord]) -> set[str]:
    """Decide what counts among the spans that came together; the traces whose calls count as none
    of their spans says, so that the stored rows must be looked at once more.
    """
    count = Counter(record.trace_id for record in records)
    by_answer: dict[str, set[str]] = {}
    for record in records:
        if record.response_id is not None:
            by_answer.setdefault(record.response_id, set()).add(record.trace_id)
    linked = {trace for traces in by_answer.values() if len(traces) > 1 for trace in traces}
    told = {record.trace_id for record in records if record.not_counted != NOT_INFERENCE}
    alike = alike_within(records)
    linked |= {span.key.trace for pair in alike for span in pair}
    unsettled = {trace for trace in told if count[trace] > 1 or trace in linked}
    if not unsettled:
        return set()
    concerned = [record for record in records if record.trace_id in unsettled]
    skeleton = {
        (record.trace_id, record.span_id): record.parent_span_id
        for record in concerned
        if record.is_thin
    }
    inside = [each for each in concerned if each.not_counted not in (OUTSIDE_WINDOW, SEALED)]
    looked_at = {span.key: span for pair in alike for span in pair}
    spans = (
        looked_at.get(SpanPlace(*each.key)) or seen(each) for each in inside if not each.is_thin
    )
    calls, reasons = calls_of(spans, skeleton, alike)
    counted = {call.leader.key for call in calls if not call.is_cached}
    for record in inside:
        key = SpanPlace(record.span_day, record.trace_id, record.span_id)
        if key in counted or key in reasons:
            record.counted = key in counted
            record.not_counted = None if record.counted else reasons[key]
    return {span.key.trace for call in calls if not call.is_plain for span in call.spans}


def alike_within(records: Sequence[SpanRecord]) -> list[Pair]:
    """Calls of one batch that look alike."""
    scopes = scopes_told(records)
    several = {service for service, told in scopes.items() if len(told) > 1}
    told = [
        record
        for record in records
        if record.not_counted not in (OUTSIDE_WINDOW, SEALED)
        and ((record.has_usage and record.dimension.service in several) or is_half(record))
    ]
    if all(record.parent_span_id is not None for record in told):
        return []
    return list(lookalikes(map(seen, told)))


def scopes_told(records: Iterable[SpanRecord]) -> dict[str, set[str]]:
    """The instrumentation scopes that tell of each service's calls."""
    told: dict[str, set[str]] = {}
    for record in records:
        about = record.dimension
        if record.has_usage and about.is_inference and about.service and about.scope:
            told.setdefault(about.service, set()).add(about.scope)
    return told


def is_half(record: SpanRecord) -> bool:
    """Whether it may be a half of a stream that the other half does not share a trace with."""
    about = record.dimension
    return (
        record.parent_span_id is None
        and about.is_inference
        and emitter_of(about.scope or "").pairs == "stream_log"
    )


def seen(record: SpanRecord) -> Seen:
    return Seen(
        key=SpanPlace(record.span_day, record.trace_id, record.span_id),
        parent_span_id=record.parent_span_id,
        told=record.dimension,
        who=record.who,
        repeats=record.usage_shape == AGENT_TOTAL,
        is_log=record.usage_shape == STREAM_LOG,
        has_usage=record.has_usage,
        tokens=record.tokens,
        failed=record.status_code == FAILED,
        weight=record.adjusted_count,
        client_cost=record.client_cost,
        started_us=record.started_us,
        ended_us=record.started_us + record.duration_us,
        response_id=record.response_id,
        is_bound=record.is_bound,
    )


def settle_across(
    records: Sequence[SpanRecord], unsettled: set[str], *, everything_new: bool
) -> None:
    """Look at the stored spans of the same traces and answers, and of calls that look alike, after
    the commit: of two requests at once, the later one sees both.

    One index probe for each trace, and one for each answer, finds those that have other spans, too.
    """
    own = Counter(r.trace_id for r in records if everything_new and not r.is_thin)
    brought = {record.trace_id for record in records}
    by_days: dict[tuple[str, ...], list[SpanRecord]] = {}
    for record in records:
        by_days.setdefault(neighbouring_days(record), []).append(record)
    for days, near in by_days.items():
        near_by = {record.trace_id for record in near}
        with transaction.atomic(), cursor() as c:
            c.execute(sql.BY_INDEX)
            traces = shared_traces(c, list(days), near, own)
            traces |= with_lookalikes(c, list(days), seen_by_others(c, near), brought)
        settle(traces | near_by & unsettled, days)


def seen_by_others(c: Cursor, records: Sequence[SpanRecord]) -> Observed:
    """Traces with calls of services whose calls other observers tell of, too, and with halves of
    streams. Only what was found stays known: that nobody else tells of a service is asked anew, as
    another process may just have stored the first span of who does.
    """
    told = scopes_told(records)
    known.observed.update(service for service, scopes in told.items() if len(scopes) > 1)
    asked = [
        (service, *scopes) for service, scopes in told.items() if service not in known.observed
    ]
    if asked:
        services, scopes = zip(*sorted(asked), strict=True)
        bound = [array(map(quoted, services)), array(map(quoted, scopes))]
        rows = c.execute(sql.SEEN_BY_OTHERS, bound, prepare=True).fetchall()
        known.observed.update(row[0] for row in rows)
    return Observed(
        frozenset(
            record.trace_id
            for record in records
            if record.has_usage and record.dimension.service in known.observed
        ),
        frozenset(record.trace_id for record in records if is_half(record)),
    )


def shared_traces(
    c: Cursor, days: list[str], records: Sequence[SpanRecord], own: Mapping[str, int]
) -> set[str]:
    """Traces in which a stored span and one of this batch may describe one call."""
    traces = sorted({record.trace_id for record in records})
    answers = [
        (record.trace_id, record.response_id)
        for record in records
        if record.response_id is not None
    ]
    brought = array(str(own.get(trace, 0)) for trace in traces)
    found = c.execute(sql.SHARED_TRACES, [days, array(traces), brought], prepare=True).fetchall()
    if answers:
        with_answers, ids = zip(*answers, strict=True)
        bound = [days, array(with_answers), array(map(quoted, ids))]
        found += c.execute(sql.SHARED_ANSWERS, bound, prepare=True).fetchall()
    return {row[0].hex for row in found}


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
