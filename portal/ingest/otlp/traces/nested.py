"""Which spans of one trace count, when several describe the same call. Pure, and a function of the
set of spans alone: whatever order and batches they arrive in, the same spans end up counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from portal.ingest.otlp.traces.normalise import AGENT_TOTAL, REPEATS_CALLS

SAME_CALL = "the same call as another span"
MOST_OF_THE_TIME = 0.8

# A span within its trace: its day and id.
Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Seen:
    """One span of a trace, as far as counting goes."""

    day: str
    span_id: int
    parent_span_id: int | None
    is_inference: bool
    model: str | None
    usage_shape: str | None
    tokens: tuple[int, ...]
    started_us: int
    ended_us: int
    response_id: str | None
    richness: int  # how many things it says about who called and for what
    in_window: bool

    @property
    def key(self) -> Key:
        return self.day, self.span_id


def decide(spans: Iterable[Seen]) -> dict[Key, str | None]:
    """For each span whose counting depends on others: None where it counts, else why it does not.

    Several observers of one call: inference spans with an equal response id; or one inside the
    other with equal tokens at overlapping times; or directly inside, of the same model, for most of
    the time. The one that says most about the caller counts; then, with equal tokens, the outer
    one, else the inner one, which is nearer to the provider.

    A span that repeats its calls' usage (agent, workflow) counts only where no call is found below
    it, and no such span above it. Where a call's parents are not all known it might be below any of
    them, so none of them counts.
    """
    tree = {span.span_id: span for span in spans if span.in_window}
    calls = [span for span in tree.values() if span.is_inference]
    verdict: dict[Key, str | None] = {}
    for group in same_calls(calls, tree):
        outermost_first = 1 if len({span.tokens for span in group}) == 1 else -1
        counted = min(group, key=partial(preference, tree, outermost_first))
        verdict.update({span.key: None if span is counted else SAME_CALL for span in group})
    verdict.update(agents(tree, calls))
    return verdict


def preference(tree: Mapping[int, Seen], outermost_first: int, span: Seen) -> tuple[int, ...]:
    return -span.richness, outermost_first * depth(span, tree), span.started_us, span.span_id


def agents(tree: Mapping[int, Seen], calls: list[Seen]) -> dict[Key, str | None]:
    totals = [span for span in tree.values() if span.usage_shape == AGENT_TOTAL]
    if not totals:
        return {}
    above_calls: set[int] = set()
    for call in calls:
        chain = ancestors(call, tree)
        above_calls.update(span.span_id for span in chain)
        top = chain[-1] if chain else call
        if top.parent_span_id is not None:  # its parent was not sent, or not yet
            return {span.key: REPEATS_CALLS for span in totals}
    alone = {span.span_id for span in totals if span.span_id not in above_calls}
    found: dict[Key, str | None] = {}
    for span in totals:
        outermost = span.span_id in alone and not any(
            a.span_id in alone for a in ancestors(span, tree)
        )
        found[span.key] = None if outermost else REPEATS_CALLS
    return found


def same_calls(calls: list[Seen], tree: Mapping[int, Seen]) -> list[list[Seen]]:
    """Groups of one or more spans that describe one call; every call is in exactly one group."""
    leader = {span.span_id: span.span_id for span in calls}

    def find(span_id: int) -> int:
        while leader[span_id] != span_id:
            span_id = leader[span_id]
        return span_id

    def join(one: Seen, other: Seen) -> None:
        first, second = sorted((find(one.span_id), find(other.span_id)))
        leader[second] = first

    by_response: dict[str, Seen] = {}
    for span in calls:
        if span.response_id is not None:
            join(by_response.setdefault(span.response_id, span), span)
    by_tokens: dict[tuple[int, ...], list[Seen]] = {}
    for span in calls:
        if any(span.tokens):
            by_tokens.setdefault(span.tokens, []).append(span)
    for alike in by_tokens.values():
        if len(alike) > 1:
            candidates = {span.span_id: span for span in alike}
            for span in alike:
                for above in ancestors(span, tree):
                    if above.span_id in candidates and overlap(span, above):
                        join(above, span)
    for span in calls:
        outer = tree.get(span.parent_span_id) if span.parent_span_id is not None else None
        if outer is not None and outer.is_inference and wraps(outer, span):
            join(outer, span)
    groups: dict[int, list[Seen]] = {}
    for span in calls:
        groups.setdefault(find(span.span_id), []).append(span)
    return list(groups.values())


def wraps(outer: Seen, inner: Seen) -> bool:
    """Whether the outer span is the inner one's call, seen from further away: one call never makes
    another.
    """
    if outer.model != inner.model or not any(outer.tokens) or not any(inner.tokens):
        return False
    shared = min(outer.ended_us, inner.ended_us) - max(outer.started_us, inner.started_us)
    return shared > 0 and shared >= MOST_OF_THE_TIME * (outer.ended_us - outer.started_us)


def overlap(one: Seen, other: Seen) -> bool:
    return one.started_us <= other.ended_us and other.started_us <= one.ended_us


def ancestors(span: Seen, tree: Mapping[int, Seen]) -> list[Seen]:
    """The known parents, nearest first; a loop of parents ends where it closes."""
    chain: list[Seen] = []
    passed = {span.span_id}
    parent = span.parent_span_id
    while parent is not None and parent in tree and parent not in passed:
        passed.add(parent)
        chain.append(tree[parent])
        parent = tree[parent].parent_span_id
    return chain


def depth(span: Seen, tree: Mapping[int, Seen]) -> int:
    return len(ancestors(span, tree))
