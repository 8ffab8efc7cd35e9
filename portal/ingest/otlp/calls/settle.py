"""Makes stored spans count as their calls do; the rollup gets the difference."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psycopg
from django.db import transaction
from django.utils import timezone

from portal.ingest.otlp.calls import sql
from portal.ingest.otlp.calls.counting import CACHED, Call, count
from portal.ingest.otlp.calls.matching import match
from portal.ingest.otlp.calls.seen import Seen, SpanPlace
from portal.ingest.otlp.calls.unlinked import Pair, lookalikes
from portal.ingest.otlp.traces import sql as traces_sql
from portal.ingest.otlp.traces.dimensions import dimension_ids, dimensions_of
from portal.ingest.otlp.traces.known import cursor, known
from portal.ingest.otlp.traces.usage import Buckets
from portal.ingest.otlp.traces.who import who_ids, who_of

TRACES_AT_ONCE = 100
TRACE_SPANS = 5_000  # longer traces are not searched for repeated calls
ATTEMPTS = 5
OF_SEALED_DAY = "a call of a sealed day, which stays as it is"

Cursor = psycopg.RawCursor[tuple[Any, ...]]
Skeleton = dict[tuple[str, int], int | None]


class Observed(NamedTuple):
    """Traces that may have the other span of one of their calls in another."""

    calls: frozenset[str]  # of services that several observers tell of
    halves: frozenset[str]  # with a half of a stream


class Values(NamedTuple):
    """The columns of a merged call behind its key."""

    dimension_id: int
    who_id: int | None
    adjusted_count: Any
    status_code: int
    has_usage: bool
    tokens: Buckets
    client_cost: Any
    spans: int
    doubt: str | None


@dataclass
class StoredTraces:
    """What the database says of some traces."""

    spans: dict[SpanPlace, Seen] = field(default_factory=dict)
    reasons: dict[SpanPlace, str | None] = field(default_factory=dict)  # None: counted
    merged: dict[SpanPlace, Values] = field(default_factory=dict)
    skeleton: Skeleton = field(default_factory=dict)
    sealed: frozenset[str] = frozenset()


def components(spans: Sequence[Seen], alike: Iterable[Pair]) -> list[list[Seen]]:
    """The spans of each trace, and of traces that an answer's id links or whose calls look alike,
    together.
    """
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    def link(one: str, other: str) -> None:
        one, other = sorted((find(one), find(other)))
        leader[other] = one

    for span in spans:
        proof = span.proof if span.is_call else None
        if proof is not None:
            link(span.key.trace, f"answer {proof}")
    for one, other in alike:
        link(one.key.trace, other.key.trace)
    found: dict[str, list[Seen]] = {}
    for span in spans:
        found.setdefault(find(span.key.trace), []).append(span)
    return list(found.values())


def calls_of(
    spans: Iterable[Seen], skeleton: Skeleton, alike: Iterable[Pair] | None = None
) -> tuple[list[Call], dict[SpanPlace, str]]:
    """The calls that these spans tell of, and why the others don't count; `alike`: their
    lookalikes, where they are known.
    """
    listed = list(spans)
    calls: list[Call] = []
    reasons: dict[SpanPlace, str] = {}
    for together in components(listed, lookalikes(listed) if alike is None else alike):
        if len(together) <= TRACE_SPANS:
            found, left_out = count(match(together, skeleton))
            calls += found
            reasons |= left_out
    return calls, reasons


def settle(traces: Iterable[str], days: Sequence[str]) -> None:
    """Make the stored spans of these traces, and of those that share an answer with them or look
    alike, count as their calls do.
    """
    in_order = sorted(traces)
    for start in range(0, len(in_order), TRACES_AT_ONCE):
        settle_some(set(in_order[start : start + TRACES_AT_ONCE]), list(days))


def settle_some(traces: set[str], days: list[str]) -> None:
    """Locks every trace that is concerned, in one order; begins anew where more have come."""
    traces = traces | beside(traces, days)
    for _ in range(ATTEMPTS):
        try:
            with transaction.atomic(), cursor() as c:
                c.execute(sql.LOCK_TRACES, [array(sorted(traces))])
                more = beside(traces, days) - traces
                if not more:
                    apply(c, read(c, traces, days))
                    return
        except Exception:
            known.dimensions.clear()  # some may have been rolled back
            known.who.clear()
            raise
        traces = linked(traces | more, days)


def linked(traces: set[str], days: list[str]) -> set[str]:
    """The traces, and all that a chain of answers' ids or of calls that look alike links."""
    found, fresh = set(traces), set(traces)
    while fresh:
        fresh = beside(fresh, days) - found
        found |= fresh
    return found


def beside(traces: set[str], days: list[str]) -> set[str]:
    """The traces that share an answer's id with one of these, or of which a call looks alike."""
    with transaction.atomic(), cursor() as c:
        c.execute(traces_sql.BY_INDEX)
        bound = [days, array(sorted(traces))]
        rows = c.execute(sql.LINKED_TRACES, bound, prepare=True).fetchall()
        rows += c.execute(sql.LOOKALIKES, bound, prepare=True).fetchall()
        rows += c.execute(sql.HALVES, bound, prepare=True).fetchall()
    return {row[-1].hex for row in rows}


def with_lookalikes(
    c: Cursor, days: list[str], observed: Observed, among: Collection[str]
) -> set[str]:
    """Those of the traces beside a stored trace that is not among these, of which a call looks
    like one of theirs.
    """
    rows = []
    for statement, traces in ((sql.LOOKALIKES, observed.calls), (sql.HALVES, observed.halves)):
        if traces:
            rows += c.execute(statement, [days, array(sorted(traces))], prepare=True).fetchall()
    return {own.hex for own, near in rows if near.hex not in among}


def array(texts: Iterable[str]) -> str:
    return "{" + ",".join(texts) + "}"


def read(c: Cursor, traces: Collection[str], days: list[str]) -> StoredTraces:
    bound = [days, array(sorted(traces))]
    state = StoredTraces()
    state.sealed = frozenset(row[0] for row in c.execute(sql.SEALED, [days]).fetchall())
    rows = c.execute(sql.TRACE_SPANS, bound).fetchall()
    dimensions = dimensions_of(row[4] for row in rows)
    people = who_of(row[5] for row in rows)
    for row in rows:
        day, trace, span_id, parent, dimension, who, *told, reason = row
        key = SpanPlace(day, trace.hex, span_id)
        if day in state.sealed and reason is not None:
            continue
        repeats, is_log, has_usage, tokens, *rest = told
        state.spans[key] = Seen(
            key,
            parent,
            dimensions[dimension],
            people[who],
            repeats,
            is_log,
            has_usage,
            Buckets(*tokens),
            *rest,
        )
        state.reasons[key] = reason
    for day, trace, span_id, *values in c.execute(sql.MERGED_CALLS, bound).fetchall():
        values[5] = Buckets(*values[5])
        state.merged[SpanPlace(day, trace.hex, span_id)] = Values(*values)
    for trace, span_ids, parents in c.execute(sql.SKELETONS, bound).fetchall():
        for span_id, parent in zip(span_ids, parents, strict=True):
            state.skeleton[trace.hex, span_id] = parent or None
    return state


def apply(c: Cursor, state: StoredTraces) -> None:
    """Write what differs between the state and what the calls say."""
    calls, reasons = calls_of(state.spans.values(), state.skeleton)
    wanted: dict[SpanPlace, str | None] = {**reasons}
    merged: dict[SpanPlace, Values] = {}
    ids = dimension_ids({call.told for call in calls if not call.is_plain})
    people = who_ids({call.who for call in calls if not call.is_plain})
    for call in calls:
        frozen = {span.key for span in call.spans if span.key.day in state.sealed}
        if frozen:
            wanted.update(late(c, call, frozen, state))
            continue
        wanted[call.leader.key] = CACHED if call.is_cached else None
        if not call.is_plain:
            merged[call.leader.key] = values_of(call, ids[call.told], people[call.who])
    changed = [
        key
        for key, reason in wanted.items()
        if key.day not in state.sealed
        and (reason != state.reasons[key] or merged.get(key) != state.merged.get(key))
    ]
    if changed:
        write(c, sorted(changed), wanted, merged)


def late(
    c: Cursor, call: Call, frozen: Collection[SpanPlace], state: StoredTraces
) -> dict[SpanPlace, str | None]:
    """A call of a sealed day stays as it is: who joins it now is not counted, and is listed."""
    joining = [span for span in call.spans if span.key not in frozen]
    fresh = [span for span in joining if state.reasons[span.key] != OF_SEALED_DAY]
    today = timezone.now().date()
    for span in fresh:
        c.execute(traces_sql.ADD_FINDING, [today, span.told.api_key_id, OF_SEALED_DAY, 1])
    kept: dict[SpanPlace, str | None] = dict.fromkeys(frozen)
    return {**kept, **{span.key: OF_SEALED_DAY for span in joining}}


def values_of(call: Call, dimension_id: int, who_id: int | None) -> Values:
    return Values(
        dimension_id,
        who_id,
        call.weight,
        2 if call.failed else 0,
        call.has_usage,
        call.tokens,
        call.client_cost,
        len(call.spans),
        call.doubt,
    )


def write(
    c: Cursor,
    changed: Sequence[SpanPlace],
    wanted: Mapping[SpanPlace, str | None],
    merged: Mapping[SpanPlace, Values],
) -> None:
    keys = [list(column) for column in zip(*changed, strict=True)]
    for statement in sql.ADD:
        c.execute(statement, [*keys, -1])
    c.execute(sql.RECOUNT, [*keys, [wanted[key] for key in changed]])
    c.execute(sql.FORGET_MERGED, keys)
    rows = [(*key, *merged[key]) for key in changed if key in merged]
    if rows:
        c.executemany(
            sql.WRITE_MERGED,
            [(*row[:8], *row[8], *row[9:]) for row in rows],
        )
    for statement in sql.ADD:
        c.execute(statement, [*keys, 1])
