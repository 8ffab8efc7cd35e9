"""One trace as a tree, each parent's claim checked against the calls below it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from reports.queries.traces.costs import SpanCost
from reports.queries.traces.spans import SpanRow

# Reasons of portal.ingest.otlp for which a span's usage stands on another span.
TOLD_ELSEWHERE = (
    "the same call as another span",
    "repeats the usage of its calls",
    "fetches an answer counted elsewhere",
)
DEEPEST = 12  # deeper spans are drawn at this depth, still in order


@dataclass
class SpanNode:
    """A span, the calls at or below it, and where it lies in the trace (0 to 1)."""

    span: SpanRow
    price: SpanCost | None  # at list prices, of this call; None: no model call
    start: float = 0.0
    width: float = 0.0
    depth: int = 0
    is_orphan: bool = False  # names a parent that is not here
    children: list[SpanNode] = field(default_factory=list)
    calls: int = 0  # model calls at or below
    unpriced: int = 0
    tokens_below: int = 0  # tokens of the model calls at or below
    cost_below: Decimal = Decimal(0)  # of the priced ones

    @property
    def cost(self) -> Decimal | None:
        """USD of this call; None where it is none, or unpriced."""
        return self.price.cost if self.price else None

    @property
    def is_call(self) -> bool:
        """A model call whose tokens and cost count: an inference span that does not tell another's
        usage again.
        """
        return self.span.counted or (
            self.span.is_inference and self.span.not_counted not in TOLD_ELSEWHERE
        )

    @property
    def claim_difference(self) -> int | None:
        """What a parent says of itself less what its calls sum to; None where it says nothing or
        has no calls below.
        """
        calls_below = self.calls - (1 if self.is_call else 0)
        if self.is_call or not self.span.has_usage or not calls_below:
            return None
        return self.span.tokens - self.tokens_below

    @property
    def children_cost(self) -> Decimal:
        """The parts that a parent's `cost_below` must equal, together with its own cost."""
        return sum((child.cost_below for child in self.children), Decimal(0))


@dataclass(frozen=True)
class DrawingStep:
    """One line of the drawing: opens a node, or closes the one that was opened last."""

    node: SpanNode | None
    closes: bool = False


@dataclass(frozen=True)
class Waterfall:
    roots: list[SpanNode]
    duration_us: int
    calls: int
    unpriced: int
    tokens: int
    cost: Decimal  # USD at list prices, the priced part

    @property
    def steps(self) -> Iterator[DrawingStep]:
        """Nodes in order, depth first, with a closing step after each one that has children."""
        waiting: list[DrawingStep] = [DrawingStep(node) for node in reversed(self.roots)]
        while waiting:
            step = waiting.pop()
            yield step
            if step.node is None or not step.node.children:
                continue
            waiting.append(DrawingStep(None, closes=True))
            waiting.extend(DrawingStep(child) for child in reversed(step.node.children))


def waterfall(spans: Sequence[SpanRow], prices: Mapping[int, SpanCost]) -> Waterfall:
    """`prices` maps a span id to what that call costs. Spans must come in the order they began."""
    nodes = {span.span_id: SpanNode(span=span, price=prices.get(span.span_id)) for span in spans}
    roots = _linked(nodes)
    begin = min((span.started_at for span in spans), default=None)
    if begin is None:
        return Waterfall(roots=[], duration_us=0, calls=0, unpriced=0, tokens=0, cost=Decimal(0))
    offsets = {span.span_id: _microseconds(span.started_at - begin) for span in spans}
    total = max(offsets[span.span_id] + span.duration_us for span in spans) or 1
    for node in _parents_first(roots):
        node.start = offsets[node.span.span_id] / total
        node.width = node.span.duration_us / total
        for child in node.children:
            child.depth = min(node.depth + 1, DEEPEST)
    for node in reversed(list(_parents_first(roots))):
        _add_up(node)
    return Waterfall(
        roots=roots,
        duration_us=total,
        calls=sum(root.calls for root in roots),
        unpriced=sum(root.unpriced for root in roots),
        tokens=sum(root.tokens_below for root in roots),
        cost=sum((root.cost_below for root in roots), Decimal(0)),
    )


def _linked(nodes: dict[int, SpanNode]) -> list[SpanNode]:
    """Hangs children under parents and gives the roots; a ring of parents is cut where it would
    close.
    """
    roots = []
    for span_id, node in nodes.items():
        parent_id = node.span.parent_span_id
        parent = nodes.get(parent_id) if parent_id is not None else None
        if parent is None or _is_below(nodes, start=parent_id, wanted=span_id):
            node.is_orphan = parent_id is not None
            roots.append(node)
        else:
            parent.children.append(node)
    return roots


def _is_below(nodes: dict[int, SpanNode], *, start: int | None, wanted: int) -> bool:
    """Whether walking up from `start` meets `wanted`: then `wanted` can't hang under `start`."""
    seen = set()
    while start is not None and start in nodes and start not in seen:
        if start == wanted:
            return True
        seen.add(start)
        start = nodes[start].span.parent_span_id
    return False


def _parents_first(roots: Sequence[SpanNode]) -> Iterator[SpanNode]:
    waiting = list(reversed(roots))
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.children))


def _add_up(node: SpanNode) -> None:
    own = 1 if node.is_call else 0
    node.calls = own + sum(child.calls for child in node.children)
    node.unpriced = (1 if own and node.cost is None else 0) + sum(
        child.unpriced for child in node.children
    )
    node.tokens_below = (node.span.tokens if own else 0) + sum(
        child.tokens_below for child in node.children
    )
    own_cost = node.cost if own and node.cost is not None else Decimal(0)
    node.cost_below = own_cost + node.children_cost


def _microseconds(length: timedelta) -> int:
    return length // timedelta(microseconds=1)
