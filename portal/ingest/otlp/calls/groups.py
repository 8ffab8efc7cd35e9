"""Groups of spans that tell of one call, and what keeps two groups apart."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from portal.ingest.otlp.calls.seen import Seen
from portal.ingest.otlp.traces.models import is_known

CROWD = 64  # how many that begin before and after are candidates of a pair
CLOSE = 0.01  # totals that differ by less are one count, or by one token
NESTED_US = 50_000  # how far the inner one's time may reach out of the outer one's


@dataclass(eq=False)
class Group:
    """Spans that tell of one call; eq is identity."""

    spans: list[Seen]
    is_cached: bool = False
    proofs: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, span: Seen) -> Group:
        proofs = {span.proof} if span.proof else set()
        model = known_model(span)
        return cls([span], proofs=proofs, models={model} if model else set())

    def may_be(self, other: Group) -> bool:
        """Whether nothing that they tell speaks against one call: not the answers' ids, not the
        models. An id that was made up, a missing model, an alias that no list knows say nothing.
        """
        return not (
            (self.proofs and other.proofs and self.proofs.isdisjoint(other.proofs))
            or (self.models and other.models and self.models.isdisjoint(other.models))
            or self.is_cached is not other.is_cached
        )

    @property
    def failed(self) -> bool:
        return all(span.failed for span in self.spans)

    @property
    def totals(self) -> tuple[int, int] | None:
        """Of the span that says most; None where no span tells any."""
        told = [span.totals for span in self.spans if span.has_usage]
        return max(told) if told else None


def known_model(span: Seen) -> str | None:
    model = span.told.model
    return model if model and is_known(model) else None


class Groups:
    """Every call's span is in one group."""

    def __init__(self, spans: Iterable[Seen]) -> None:
        self.of = {span.key: Group.of(span) for span in spans}

    def join(self, one: Group, other: Group) -> None:
        if one is other:
            return
        one.spans += other.spans
        one.proofs |= other.proofs
        one.models |= other.models
        for span in other.spans:
            self.of[span.key] = one

    def all(self) -> list[Group]:
        return list(dict.fromkeys(self.of.values()))


def close(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether input and output are the same within 1%, or one token."""
    return all(abs(a - b) <= max(1, CLOSE * max(a, b)) for a, b in zip(one, other, strict=True))


def is_inside(inner: Seen, outer: Seen) -> bool:
    return (
        inner.started_us >= outer.started_us - NESTED_US
        and inner.ended_us <= outer.ended_us + NESTED_US
    )


def pairs(
    left: Sequence[Group],
    right: Sequence[Group],
    distance: Callable[[Group, Group], tuple[int, int] | None],
) -> list[tuple[Group, Group]]:
    """As many pairs as there can be, the nearest first; `distance` is None where two can't pair.

    Of a crowd only those that begin nearest are looked at. Augmenting paths: a right one gives way
    where its left one finds another.
    """
    right = sorted(right, key=begin)
    begins = [begin(other) for other in right]
    choices: list[list[int]] = []
    for one in left:
        middle = bisect_left(begins, begin(one))
        near = range(max(middle - CROWD, 0), min(middle + CROWD, len(right)))
        found = [(far, to) for to in near if (far := distance(one, right[to])) is not None]
        choices.append([to for _, to in sorted(found)])
    of_left: dict[int, int] = {}
    of_right: dict[int, int] = {}
    for at in range(len(left)):
        augment(at, choices, of_left, of_right)
    return [(left[at], right[to]) for at, to in sorted(of_left.items())]


def begin(group: Group) -> int:
    return group.spans[0].started_us


def augment(
    at: int, choices: Sequence[Sequence[int]], of_left: dict[int, int], of_right: dict[int, int]
) -> None:
    """Find a right one for this left one, along the shortest path of others that change theirs."""
    reached: dict[int, int] = {}
    waiting = [at]
    for one in waiting:
        for to in choices[one]:
            if to in reached:
                continue
            reached[to] = one
            if to in of_right:
                waiting.append(of_right[to])
                continue
            free: int | None = to
            while free is not None:
                owner = reached[free]
                given_up = of_left.get(owner)
                of_left[owner], of_right[free] = free, owner
                free = given_up
            return
