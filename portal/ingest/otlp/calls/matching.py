"""Which spans tell of one call. Pure, and a function of the set of spans alone: whatever order and
batches they arrive in, the same spans end up counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from portal.ingest.otlp.calls.groups import Group, Groups, close, is_inside, known_model, pairs
from portal.ingest.otlp.calls.seen import Seen, SpanPlace, TraceTree
from portal.ingest.otlp.calls.unlinked import are_halves, by_likeness, by_stream, look_alike
from portal.ingest.otlp.traces.kinds import BETWEEN_CALLS
from portal.ingest.otlp.traces.normalise import REPEATS_CALLS
from portal.ingest.otlp.traces.sellers import same_seller

ANSWER_US = 600_000_000  # how far apart two observers of one answer may be


@dataclass
class Matched:
    """Groups of one or more spans, one for each call; and why the other spans that might have
    counted don't.
    """

    tree: TraceTree
    calls: list[Group]
    left_out: dict[SpanPlace, str]


def match(
    spans: Iterable[Seen], skeleton: Mapping[tuple[str, int], int | None] | None = None
) -> Matched:
    """The calls that these spans tell of: equal answers in any traces, siblings of different
    observers, calls right inside of calls, and what looks alike in traces that nothing links.

    Usage of an unknown operation is a call where no call with usage lies below it. A span that is
    known to repeat its calls' usage (agent, workflow) counts only where no call is found below it,
    and no such span above it; where a call's parents are not all known it might be below any of
    them, so none of them counts.
    """
    tree = TraceTree(spans, skeleton or {})
    left_out = dict.fromkeys(repeated(tree), REPEATS_CALLS)
    calls = [each for each in tree.spans.values() if each.is_call and each.key not in left_out]
    calls.sort(key=in_order)
    groups = Groups(calls)
    join_answers(groups, calls)
    traces = {trace for trace, _ in tree.parents}
    if len(traces) < len(tree.parents):  # else nothing is beside or inside of anything
        above = {call.key: call_above(call, tree, left_out) for call in calls}
        join_siblings(groups, calls, above, tree)
        left_out.update(dict.fromkeys(join_nested(groups, calls, above, tree), REPEATS_CALLS))
    if len(traces) > 1:
        join_unlinked(groups, [call for call in calls if call.key not in left_out])
    found = [group for group in groups.all() if group.spans[0].key not in left_out]
    totals = lonely_totals(tree, calls)
    left_out.update(
        {
            each.key: REPEATS_CALLS
            for each in tree.spans.values()
            if each.repeats and each.key not in totals
        }
    )
    found += [Group([each]) for each in tree.spans.values() if each.key in totals]
    return Matched(tree, found, left_out)


def in_order(span: Seen) -> tuple[int, int, SpanPlace]:
    return span.started_us, -span.ended_us, span.key


def repeated(tree: TraceTree) -> list[SpanPlace]:
    """Spans of unknown operations above calls with usage: they repeat it."""
    spans = tree.spans.values()
    if all(span.is_certain for span in spans if span.is_call):
        return []
    found = []
    for span in spans:
        if span.is_call and span.has_usage:
            for above in tree.ancestors(span):
                if above.is_call and above.has_usage and not above.is_certain:
                    found.append(above.key)
    return found


def call_above(call: Seen, tree: TraceTree, left_out: Mapping[SpanPlace, str]) -> Seen | None:
    """The nearest call above, unless an agent or a tool stands between."""
    for above in tree.ancestors(call):
        if above.is_call and above.key not in left_out:
            return above
        if above.told.operation in BETWEEN_CALLS:
            return None
    return None


def lonely_totals(tree: TraceTree, calls: list[Seen]) -> set[SpanPlace]:
    """Spans that repeat calls of which none was sent."""
    totals = [span for span in tree.spans.values() if span.repeats]
    if not totals:
        return set()
    above_calls: set[SpanPlace] = set()
    uncertain: set[str] = set()
    for call in calls:
        above_calls.update(span.key for span in tree.ancestors(call))
        if not tree.is_rooted(call):
            uncertain.add(call.key.trace)
    alone = {
        span.key
        for span in totals
        if span.key not in above_calls and span.key.trace not in uncertain
    }
    return {
        span.key
        for span in totals
        if span.key in alone and not any(above.key in alone for above in tree.ancestors(span))
    }


# ---------------------------------------------------------------- equal answers


def join_answers(groups: Groups, calls: list[Seen]) -> None:
    """Spans with one answer's id are one call; a repeat by the same observer that begins when the
    first is over is an answer out of a cache.
    """
    by_answer: dict[str, list[Seen]] = {}
    for call in calls:
        if call.proof is not None:
            by_answer.setdefault(call.proof, []).append(call)
    for alike in by_answer.values():
        found: list[Group] = []
        for call in alike:
            group = groups.of[call.key]
            joined = next((old for old in reversed(found) if one_answer(old, call)), None)
            if joined is not None:
                groups.join(joined, group)
                continue
            group.is_cached = any(repeats_later(old, call) for old in found)
            found.append(group)


def one_answer(group: Group, call: Seen) -> bool:
    """Whether the call's span tells of the group's answer, too."""
    return (
        not repeats_later(group, call)
        and all(
            same_seller(span.told.provider, call.told.provider) and one_model(span, call)
            for span in group.spans
        )
        and any(
            call.started_us <= span.ended_us + ANSWER_US
            and span.started_us <= call.ended_us + ANSWER_US
            for span in group.spans
        )
    )


def one_model(one: Seen, other: Seen) -> bool:
    models = {known_model(one), known_model(other)} - {None}
    return len(models) < 2


def repeats_later(group: Group, call: Seen) -> bool:
    return any(
        span.told.scope == call.told.scope
        and span.told.service == call.told.service
        and call.started_us >= span.ended_us
        and call.started_us > span.started_us
        for span in group.spans
    )


# ---------------------------------------------------------------- siblings


def join_siblings(
    groups: Groups, calls: list[Seen], above: Mapping[SpanPlace, Seen | None], tree: TraceTree
) -> None:
    """One call that different observers saw beside each other, or in two spans of one that is known
    to do so.
    """

    def siblings(one: Seen, other: Seen) -> bool:
        return one.key.trace == other.key.trace and are_siblings(one, other, tree)

    families: dict[tuple[str, int | None], list[Seen]] = {}
    for call in calls:
        parent = above[call.key]
        place = (call.key.trace, parent.key.span_id if parent else None)
        families.setdefault(place, []).append(call)
    for family in families.values():
        if len(family) > 1:
            pair_streams(groups, family, in_time)
            pair_observers(groups, family, siblings)


def pair_streams(
    groups: Groups, family: Iterable[Seen], are_one: Callable[[Seen, Seen], bool]
) -> None:
    """A stream's request that tells nothing, and the log span with its usage when it was over."""
    of_requests: dict[Group, Seen] = {}
    of_logs: dict[Group, Seen] = {}
    for call in family:
        group = groups.of[call.key]
        if call.is_stream and group.totals is None:
            of_requests[group] = call
        elif call.is_log and not any(span.is_stream for span in group.spans):
            of_logs[group] = call

    def distance(one: Group, other: Group) -> tuple[int, int] | None:
        request, log = of_requests[one], of_logs[other]
        if are_one(request, log) and one.may_be(other):
            return log.started_us - request.started_us, log.key.span_id
        return None

    for one, other in pairs(list(of_requests), list(of_logs), distance):
        groups.join(one, other)


def in_time(request: Seen, log: Seen) -> bool:
    return request.told.scope == log.told.scope and request.started_us <= log.started_us


def pair_observers(
    groups: Groups, family: list[Seen], are_one: Callable[[Seen, Seen], bool]
) -> None:
    """Observer after observer, each span with at most one of another's; never two of one."""
    scopes = sorted({call.told.scope or "" for call in family})
    if len(scopes) < 2:
        return

    def distance(one: Group, other: Group) -> tuple[int, int] | None:
        seen_by = {span.told.scope for span in one.spans}
        if not seen_by.isdisjoint({span.told.scope for span in other.spans}):
            return None
        fitting = [
            (abs(a.started_us - b.started_us), b.key.span_id)
            for a in one.spans
            for b in other.spans
            if are_one(a, b)
        ]
        return min(fitting) if fitting and one.may_be(other) else None

    known: list[Group] = []
    for scope in scopes:
        own = [groups.of[call.key] for call in family if (call.told.scope or "") == scope]
        fresh = [group for group in dict.fromkeys(own) if group not in known]
        joined = pairs(known, fresh, distance)
        for one, other in joined:
            groups.join(one, other)
        known += [group for group in fresh if group not in {other for _, other in joined}]


def are_siblings(one: Seen, other: Seen, tree: TraceTree) -> bool:
    """Two spans beside each other that look like one call: model, totals, times."""
    if one.told.model is None or one.told.model != other.told.model:
        return False
    if one.has_usage is not other.has_usage or one.failed is not other.failed:
        return False
    return (
        close(one.totals, other.totals)
        and (is_inside(one, other) or is_inside(other, one))
        and are_beside(one, other, tree)
    )


def are_beside(one: Seen, other: Seen, tree: TraceTree) -> bool:
    """Whether none is above the other, and the parent of one is the other's, or above the other's:
    an observer may not pass its own spans on as parents.
    """
    first, second = one.parent_span_id, other.parent_span_id
    if first == second:
        return True
    over_one = {number for number, _ in tree.above(one)}
    over_other = {number for number, _ in tree.above(other)}
    if one.key.span_id in over_other or other.key.span_id in over_one:
        return False
    return first is None or second is None or first in over_other or second in over_one


# ---------------------------------------------------------------- traces that nothing links


def join_unlinked(groups: Groups, calls: list[Seen]) -> None:
    """Streams of which the request and the log are traces of their own, then calls that observers
    told of in traces of their own. All that is surer comes before.
    """
    for halves in by_stream(calls):
        pair_streams(groups, halves, are_halves)
    for alike in by_likeness(calls):
        pair_observers(groups, alike, look_alike)


# ---------------------------------------------------------------- a call inside a call


def join_nested(
    groups: Groups, calls: list[Seen], above: Mapping[SpanPlace, Seen | None], tree: TraceTree
) -> list[SpanPlace]:
    """Join each call with the one right inside of it, innermost first; the spans that add up the
    calls inside of them.
    """
    inside: dict[SpanPlace, list[Seen]] = {}
    for call in calls:
        parent = above[call.key]
        if parent is not None:
            inside.setdefault(parent.key, []).append(call)
    parents = [call for call in calls if call.key in inside]
    parents.sort(key=lambda span: (-len(tree.ancestors(span)), in_order(span)))
    sums = []
    for parent in parents:
        own = groups.of[parent.key]
        children = list(dict.fromkeys(groups.of[child.key] for child in inside[parent.key]))
        if own in children:  # their answers had one id
            continue
        overlapping = {groups.of[c.key] for c in inside[parent.key] if c.overlaps(parent)}
        fitting = [each for each in children if each in overlapping and own.may_be(each)]
        if adds_up(parent, children):
            sums += [span.key for span in own.spans]
        elif fitting:
            groups.join(own, same_call(parent, fitting))
    return sums


def adds_up(parent: Seen, children: list[Group]) -> bool:
    """Whether the parent tells the sum of several calls inside of it, or more than any of them."""
    totals = [each.totals for each in children if each.totals is not None]
    if not parent.has_usage or len(totals) < 2 or any(close(parent.totals, t) for t in totals):
        return False
    summed = sum(t[0] for t in totals), sum(t[1] for t in totals)
    return close(parent.totals, summed) or sum(parent.totals) > max(map(sum, totals))


def same_call(parent: Seen, fitting: list[Group]) -> Group:
    """Which of the calls inside is the parent itself: the one with its totals, else the last one
    that did not fail, else the last.
    """

    def rank(group: Group) -> tuple[bool, bool, int, SpanPlace]:
        alike = parent.has_usage and group.totals is not None and close(parent.totals, group.totals)
        last = max(group.spans, key=lambda span: (span.ended_us, span.key))
        return alike, not group.failed, last.ended_us, last.key

    return max(fitting, key=rank)
