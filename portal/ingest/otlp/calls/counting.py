"""What a call counts as, of what its spans tell: words, tokens, weight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter
from typing import Any

from allocation.catalogue.price_list import context_band
from allocation.catalogue.vocabulary import SELLERS
from portal.ingest.otlp.calls.groups import Group, close
from portal.ingest.otlp.calls.matching import Matched
from portal.ingest.otlp.calls.seen import Seen, SpanPlace, TraceTree
from portal.ingest.otlp.traces.kinds import AGENT_OPERATIONS, CALL_NAMES
from portal.ingest.otlp.traces.models import is_known
from portal.ingest.otlp.traces.normalise import Dimension, Who
from portal.ingest.otlp.traces.usage import NOTHING, Buckets

SAME_CALL = "the same call as another span"
CACHED = "a cached answer"
TOKENS_DIFFER = "its spans tell different token counts"
TEAMS_DIFFER = "its spans came with keys of different teams"

# Who called and for what: the outermost that says it is believed.
WORDS = ("team", "feature", "product", "environment", "customer", "phase", "entry_team",
         "entry_feature", "caller", "prompt_name", "prompt_version", "service",
         "api_key_id", "observer")  # fmt: skip
# Where it was answered: the one nearest the provider is believed.
FACTS = ("project", "region", "tier")
words_of = attrgetter(*(f"told.{name}" for name in WORDS))
facts_of = attrgetter(*(f"told.{name}" for name in FACTS))


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it counts."""

    leader: Seen  # the span nearest the provider, whose day and hour it is
    spans: Sequence[Seen]
    told: Dimension
    who: Who
    tokens: Buckets
    has_usage: bool
    failed: bool
    weight: Decimal
    client_cost: Decimal | None
    is_cached: bool
    doubt: str | None

    @property
    def is_plain(self) -> bool:
        """Whether it counts as its leading span alone would."""
        one = self.leader
        return self.doubt is None and (
            (
                self.told,
                self.who,
                self.tokens,
                self.has_usage,
                self.failed,
                self.weight,
                self.client_cost,
            )
            == (
                one.told,
                one.who,
                one.tokens,
                one.has_usage,
                one.failed,
                one.weight,
                one.client_cost,
            )
        )


def count(matched: Matched) -> tuple[list[Call], dict[SpanPlace, str]]:
    """The calls, and for each span that leads none why it is not counted."""
    calls = [merged(group, matched.tree) for group in matched.calls]
    reasons = dict(matched.left_out)
    for call in calls:
        reasons.update({span.key: SAME_CALL for span in call.spans if span is not call.leader})
        if call.is_cached:
            reasons[call.leader.key] = CACHED
    return calls, reasons


def merged(group: Group, tree: TraceTree) -> Call:
    spans = outermost_first(group.spans, tree)
    leader, tokens, telling = spans[-1], NOTHING, [span for span in spans if span.has_usage]
    doubts = []
    if telling:
        tokens, agreed = counted_tokens(telling)
        doubts += [] if agreed else [TOKENS_DIFFER]
    told = words(spans, tokens)
    bound = {span.told.team for span in spans if span.is_bound}
    doubts += [TEAMS_DIFFER] if len(bound) > 1 else []
    return Call(
        leader=leader,
        spans=spans,
        told=with_words_from_above(told, spans[0], tree),
        who=Who(
            person=first(span.who.person for span in spans),
            repository=first(span.who.repository for span in spans),
        ),
        tokens=tokens,
        has_usage=bool(telling),
        failed=group.failed,
        weight=weight(spans),
        client_cost=first(span.client_cost for span in reversed(spans)),
        is_cached=group.is_cached,
        doubt="; ".join(doubts) or None,
    )


def outermost_first(spans: Sequence[Seen], tree: TraceTree) -> list[Seen]:
    """From the application to the provider. A log span without length says where another was."""
    if len(spans) == 1:
        return list(spans)
    inside = {span.key for span in spans}
    called = {span.key.trace for span in spans if span.told.observer != "gateway"}

    def nearness(span: Seen) -> tuple[Any, ...]:
        depth = sum(above.key in inside for above in tree.ancestors(span))
        has_length = span.ended_us > span.started_us
        of_gateway = span.key.trace not in called  # whoever called it told of it elsewhere
        at_gateway = span.told.observer == "gateway"
        return (
            has_length,
            of_gateway,
            depth,
            at_gateway,
            span.started_us,
            -span.ended_us,
            span.key,
        )

    return sorted(spans, key=nearness)


def counted_tokens(telling: Sequence[Seen]) -> tuple[Buckets, bool]:
    """The tokens, and whether all agree about the totals. Where they do, who tells most classes is
    believed about them; else a gateway that may speak for all, else who is nearest the provider.
    """
    gateways = [span for span in telling if span.told.observer == "gateway" and not span.is_bound]
    base = (gateways or telling)[-1]
    agreeing = [span for span in telling if span is base or close(span.totals, base.totals)]
    detailed = max(agreeing, key=lambda span: (detail(span.tokens), span is base))
    tokens = base.tokens if detailed is base else with_totals_of(base.tokens, detailed.tokens)
    return tokens, len(agreeing) == len(telling)


def detail(tokens: Buckets) -> int:
    """How many classes it tells apart."""
    return sum(map(bool, tokens))


def with_totals_of(base: Buckets, detailed: Buckets) -> Buckets:
    """The detailed classes, with text making up for what the totals differ by."""
    fresh = detailed.input_uncached + base.input_total - detailed.input_total
    written = detailed.output_text + base.output_total - detailed.output_total
    if fresh < 0 or written < 0:
        return base
    return detailed._replace(input_uncached=fresh, output_text=written)


def weight(spans: Iterable[Seen]) -> Decimal:
    """How many calls it stands for: the largest weight in a trace, the smallest of the traces."""
    of_traces: dict[str, Decimal] = {}
    for span in spans:
        known = of_traces.get(span.key.trace)
        of_traces[span.key.trace] = span.weight if known is None else max(known, span.weight)
    return min(of_traces.values())


def words(spans: Sequence[Seen], tokens: Buckets) -> Dimension:
    """What the spans, outermost first, tell together."""
    told = spans[-1].told
    if len(spans) == 1:
        return told
    changes: dict[str, Any] = dict(zip(WORDS, first_of_each(map(words_of, spans)), strict=True))
    inner_first = map(facts_of, reversed(spans))
    changes |= zip(FACTS, first_of_each(inner_first), strict=True)
    bound = min((span for span in spans if span.is_bound), key=by_arrival, default=None)
    if bound is not None:
        changes |= {"team": bound.told.team, "api_key_id": bound.told.api_key_id}
    providers = [span.told.provider for span in reversed(spans)]
    changes["provider"] = first([*(p for p in providers if p in SELLERS), *providers])
    model = max(enumerate(spans), key=model_rank)[1].told
    for name in ("model", "model_requested", "model_answered"):
        changes[name] = getattr(model, name)
    operations = [span.told.operation for span in reversed(spans)]
    changes["operation"] = first([*(o for o in operations if o in CALL_NAMES), *operations])
    changes["context_band"] = context_band(tokens.input_total)
    return told._replace(**changes)


def first_of_each(rows: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    """For each column its first value that is told."""
    found: tuple[Any, ...] = ()
    for row in rows:
        found = tuple(map(told_first, found, row)) if found else row
    return found


def told_first(one: Any, other: Any) -> Any:
    return other if one is None else one


def by_arrival(span: Seen) -> tuple[bool, int, SpanPlace]:
    """The first stored; what is not stored yet comes later."""
    return span.arrived == 0, span.arrived, span.key


def model_rank(place: tuple[int, Seen]) -> tuple[bool, bool, int]:
    """A known model before an alias, the model that answered before one that was asked for; then
    who is nearest the provider.
    """
    at, span = place
    told = span.told
    return bool(told.model and is_known(told.model)), told.model_answered is not None, at


def with_words_from_above(told: Dimension, outermost: Seen, tree: TraceTree) -> Dimension:
    """A feature of the agent around the call, and a model of whatever names one, where the call's
    own spans say nothing.
    """
    if told.feature is None:
        agents = (a for a in tree.ancestors(outermost) if a.told.operation in AGENT_OPERATIONS)
        feature = first(agent.told.feature for agent in agents)
        told = told if feature is None else told._replace(feature=feature)
    if told.model is None:
        above = next((a.told for a in tree.ancestors(outermost) if a.told.model), None)
        if above is not None:
            told = told._replace(
                model=above.model,
                model_requested=above.model_requested,
                model_answered=above.model_answered,
                provider=told.provider or above.provider,
            )
    return told


def first(values: Iterable[Any] | Iterator[Any]) -> Any:
    return next((value for value in values if value is not None), None)
