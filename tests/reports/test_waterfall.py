"""A trace as a tree: sums, checks, orphans, rings."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from reports.analysis.waterfall import DEEPEST, Waterfall, waterfall
from reports.queries.traces.costs import SpanCost
from reports.queries.traces.spans import SpanRow

BEGIN = datetime(2026, 11, 20, 12, tzinfo=UTC)


def row(
    span_id: int,
    parent: int | None = None,
    *,
    tokens: int = 0,
    at_ms: int = 0,
    ms: int = 1,
    **own: Any,
) -> SpanRow:
    is_call = own.pop("is_call", tokens > 0)
    values: dict[str, Any] = {
        "span_day": date(2026, 11, 20),
        "trace_id": UUID(int=1),
        "span_id": span_id,
        "parent_span_id": parent,
        "name": f"span {span_id}",
        "started_at": BEGIN + timedelta(milliseconds=at_ms),
        "duration_us": ms * 1000,
        "status_code": 0,
        "error_type": None,
        "counted": is_call,
        "not_counted": None,
        "is_inference": is_call,
        "operation": None,
        "provider": None,
        "model": None,
        "service": None,
        "team": None,
        "feature": None,
        "prompt_version": None,
        "has_usage": tokens > 0,
        "usage_shape": None,
        "adjusted_count": Decimal(1),
        "input_tokens": tokens,
        "cached_tokens": 0,
        "output_tokens": 0,
        "finish_reason": None,
        "is_outside": False,
    }
    return SpanRow(**{**values, **own})


def costs(by_span: dict[int, str | None]) -> dict[int, SpanCost]:
    return {
        number: SpanCost(UUID(int=1), number, Decimal(cost) if cost else None)
        for number, cost in by_span.items()
    }


def names(drawn: Waterfall) -> list[str]:
    return ["end" if step.node is None else step.node.span.name for step in drawn.steps]


def test_a_parent_holds_the_sums_of_the_calls_below_it() -> None:
    spans = [row(1), row(2, 1, tokens=100), row(3, 1), row(4, 3, tokens=50), row(5, 3, tokens=7)]

    drawn = waterfall(spans, costs({2: "0.10", 4: "0.05", 5: None}))

    (root,) = drawn.roots
    assert (root.calls, root.tokens_below, root.cost_below, root.unpriced) == (
        3,
        157,
        Decimal("0.15"),
        1,
    )
    assert [(child.calls, child.tokens_below) for child in root.children] == [(1, 100), (2, 57)]
    assert root.cost_below == root.children_cost
    assert (drawn.tokens, drawn.cost, drawn.calls) == (157, Decimal("0.15"), 3)


def test_a_claim_is_compared_with_calls_at_any_depth() -> None:
    right = waterfall([row(1, tokens=150, is_call=False), row(2, 1), row(3, 2, tokens=150)], {})
    wrong = waterfall([row(1, tokens=200, is_call=False), row(2, 1, tokens=150)], {})
    silent = waterfall([row(1), row(2, 1, tokens=150)], {})

    assert right.roots[0].claim_difference == 0
    assert wrong.roots[0].claim_difference == 50
    assert silent.roots[0].claim_difference is None


def test_a_repeat_of_a_call_adds_nothing() -> None:
    repeat = row(3, 1, tokens=100, counted=False, not_counted="the same call as another span")

    drawn = waterfall([row(1), row(2, 1, tokens=100), repeat], costs({2: "1", 3: "1"}))

    assert (drawn.tokens, drawn.calls, drawn.cost) == (100, 1, Decimal(1))


def test_positions_are_shares_of_the_whole_trace() -> None:
    drawn = waterfall([row(1, ms=100), row(2, 1, at_ms=25, ms=50)], {})

    child = drawn.roots[0].children[0]
    assert (child.start, child.width) == (0.25, 0.5)
    assert drawn.duration_us == 100_000


def test_a_missing_parent_makes_a_root_that_says_so() -> None:
    drawn = waterfall([row(1), row(2, 99, tokens=5)], {})

    assert [(root.span.span_id, root.is_orphan) for root in drawn.roots] == [(1, False), (2, True)]
    assert drawn.tokens == 5


def test_a_ring_of_parents_ends() -> None:
    drawn = waterfall([row(1, 2, tokens=5), row(2, 1, tokens=7), row(3, 3)], {})

    assert drawn.tokens == 12
    assert sorted(name for name in names(drawn) if name != "end") == ["span 1", "span 2", "span 3"]


def test_steps_open_and_close_in_order() -> None:
    drawn = waterfall([row(1), row(2, 1), row(3, 2), row(4, 1)], {})

    assert names(drawn) == ["span 1", "span 2", "span 3", "end", "span 4", "end"]


def test_a_very_deep_trace_is_drawn() -> None:
    spans = [row(number, number - 1 if number > 1 else None, tokens=1) for number in range(1, 1001)]

    drawn = waterfall(spans, {})

    assert drawn.tokens == 1000
    assert max(step.node.depth for step in drawn.steps if step.node) == DEEPEST


def test_no_spans_make_an_empty_waterfall() -> None:
    assert waterfall([], {}).roots == []
