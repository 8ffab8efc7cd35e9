"""One call in traces that nothing links: what is taken for one, what stays two, in any order."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from portal.ingest.otlp.calls import groups, sql, unlinked
from portal.ingest.otlp.traces.attributes import installed
from portal.ingest.otlp.traces.decode import json_items
from portal.ingest.otlp.traces.known import forget, known
from portal.ingest.otlp.traces.normalise import Sender, normalise
from portal.ingest.otlp.traces.store import store_spans
from portal.ingest.otlp.traces.window import window
from tests.portal.ingest.otlp.sending import NOW, request, span, totals
from tests.portal.ingest.otlp.test_matching import SILENT, Sent, answered, counted, told
from tests.portal.ingest.otlp.test_rollup import (
    as_counted,
    assert_rollup_equals_spans,
    forget_everything,
    store,
)

LOGFIRE = "logfire.openai"


@pytest.fixture(autouse=True)
def frozen_clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def calls(*sent: Sent, service: str | None = "shop") -> list[int]:
    """How many spans tell of each call."""
    return sorted(len(call.spans) for call in counted(sent, service=service)[0])


def outer(number: int = 1, content: dict[str, Any] | None = None, **more: Any) -> Sent:
    return "langchain", span(number, content or told(), trace=number, **more)


def inner(number: int = 2, content: dict[str, Any] | None = None, **more: Any) -> Sent:
    """Inside of the outer one, unless told otherwise."""
    times = {"at": NOW + timedelta(milliseconds=5), "seconds": 0.99, **more}
    return "openai", span(number, content or answered("r"), trace=number, **times)


# ---------------------------------------------------------------- two observers


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (inner(), [2]),
        (inner(content=told()), [2]),
        (inner(content=answered("r", 101)), [2]),  # traceloop counts one too many
        (inner(content=answered("r", 150)), [1, 1]),
        (inner(content=told(gen_ai__request__model="gpt-4o-mini")), [1, 1]),
        (inner(seconds=1.04), [2]),
        (inner(at=NOW + timedelta(seconds=0.1), seconds=1.2), [1, 1]),
        (inner(at=NOW + timedelta(seconds=1.01), seconds=0.01), [1, 1]),  # one after the other
        (inner(content=SILENT), [1, 1]),
        (inner(status={"code": 2}), [1, 1]),
    ],
)
def test_roots_of_one_service_are_one_call_where_all_agrees(
    other: Sent, expected: list[int]
) -> None:
    assert calls(outer(), other) == expected
    assert calls(other, outer()) == expected


def test_only_the_outer_observer_may_have_spans_above_its_own() -> None:
    chain = ("langchain", span(9, {"openinference.span.kind": "CHAIN"}, trace=1, seconds=2))

    assert calls(chain, outer(parent=9), inner()) == [2]
    assert calls(chain, outer(parent=9), inner(parent=8)) == [1, 1]


def test_two_answers_that_differ_are_two_calls() -> None:
    assert calls(outer(content=answered("r1")), inner(content=answered("r2"))) == [1, 1]


def test_one_observer_has_seen_two_calls() -> None:
    assert calls(outer(1), outer(2)) == [1, 1]


def test_another_service_or_key_or_none_at_all_is_another_call() -> None:
    assert calls(outer(), inner(), service=None) == [1, 1]  # each scope is a service of its own
    by_key = [
        counted([each], Sender(number, None), "shop")[0][0].leader
        for number, each in enumerate((outer(), inner()), 1)
    ]
    assert list(unlinked.lookalikes(by_key)) == []


def test_what_began_long_before_is_another_call() -> None:
    late = NOW + timedelta(seconds=11)

    assert calls(outer(seconds=20), inner(at=late, seconds=1)) == [1, 1]


def test_equal_calls_at_once_stay_as_many_as_were_made() -> None:
    sent = []
    for number in range(1, 6):
        at = NOW + timedelta(milliseconds=3 * number)
        sent += [outer(number, at=at), inner(10 + number, told(), at=at, seconds=0.99)]

    assert calls(*sent) == [2, 2, 2, 2, 2]
    assert calls(*sent[:-1]) == [1, 2, 2, 2, 2]
    assert calls(*sent[::2]) == [1, 1, 1, 1, 1]


def test_three_observers_of_whom_two_tell_the_answer_are_one_call() -> None:
    third = ("anthropic", span(3, answered("r"), trace=3, at=NOW + timedelta(milliseconds=6)))

    assert calls(outer(), inner(), third) == [3]


def test_the_call_has_the_words_of_the_outer_and_the_place_of_the_inner_observer() -> None:
    found, _ = counted([outer(content=told(team="ads")), inner()], service="shop")

    (call,) = found
    assert (call.told.team, call.leader.response_id) == ("ads", "r")


# ---------------------------------------------------------------- streams in two halves


def request_of(number: int, at: Any = NOW, content: dict[str, Any] | None = None) -> Sent:
    return LOGFIRE, span(number, content or SILENT, trace=number, at=at, seconds=0.1)


def log_of(number: int, at: Any = NOW, seconds: float = 3.0, tokens: int = 100) -> Sent:
    """The log of a stream that began with its request's end and took so long."""
    content = {**answered(f"r{number}", tokens), "duration": seconds}
    over = at + timedelta(seconds=0.1 + seconds)
    return LOGFIRE, span(number, content, trace=number, at=over, seconds=0)


def test_a_streams_request_and_its_log_are_one_call_of_the_logs_time() -> None:
    found, _ = counted([request_of(1), log_of(2, seconds=40)], service="shop")

    (call,) = found
    assert (len(call.spans), call.tokens.input_total) == (2, 100)
    assert call.leader.ended_us - call.leader.started_us == 40_000_000


def test_each_log_takes_one_request_and_what_is_left_is_a_call_without_usage() -> None:
    later = NOW + timedelta(seconds=1)
    sent = [request_of(1), log_of(2), request_of(3, later), log_of(4, later), request_of(5)]

    found, _ = counted(sent, service="shop")

    assert sorted(call.has_usage for call in found) == [False, True, True]
    assert sorted(len(call.spans) for call in found) == [1, 2, 2]


def test_no_log_is_taken_by_a_request_that_told_usage_or_begins_later() -> None:
    assert calls(request_of(1, content=told()), log_of(2)) == [1, 1]
    assert calls(request_of(1, NOW + timedelta(seconds=2)), log_of(2)) == [1, 1]
    assert calls(request_of(1), log_of(2, NOW + timedelta(seconds=20))) == [1, 1]


def test_a_stream_that_another_observer_told_whole_takes_no_second_request() -> None:
    sdk = ("anthropic", span(8, answered("r2"), trace=1, parent=1, seconds=3))
    whole = [request_of(1), sdk, log_of(2)]

    assert calls(*whole) == [3]
    assert calls(*whole, request_of(5)) == [1, 3]


def test_a_streams_halves_inside_of_a_call_are_that_call() -> None:
    chat = ("pydantic-ai", span(1, answered("r2"), trace=1, seconds=3.5))
    halves = [request_of(1)[1], log_of(2)[1]]
    for number, half in enumerate(halves, 2):
        half.update(traceId=f"{1:032x}", spanId=f"{number:016x}", parentSpanId=f"{1:016x}")

    assert calls(chat, *((LOGFIRE, half) for half in halves)) == [3]


# ---------------------------------------------------------------- as they arrive


def test_the_statement_and_the_rule_look_as_far() -> None:
    assert str(unlinked.STRETCH_US) == sql.STRETCH
    spaces = (unlinked.BEGUN_US, unlinked.ENDED_US, groups.NESTED_US)
    assert [f"interval '{space} microseconds'" for space in spaces] == [
        sql.BEGUN,
        sql.ENDED,
        sql.NESTED,
    ]


@given(
    told_totals=st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)),
    off=st.tuples(st.floats(-0.0101, 0.0101), st.integers(-1, 1)),
)
def test_close_totals_are_in_cells_beside_each_other(
    told_totals: tuple[int, int], off: tuple[float, int]
) -> None:
    other = max(int(told_totals[0] * (1 + off[0])), 0), max(told_totals[1] + off[1], 0)
    assume(groups.close(told_totals, other))

    here, there = unlinked.cell(told_totals), unlinked.cell(other)

    assert all(abs(one - two) <= 1 for one, two in zip(here, there, strict=True))


@pytest.mark.django_db
def test_an_observer_that_another_process_heard_of_first_is_not_missed() -> None:
    """A process that has seen one observer only still looks for the other's spans."""
    later = NOW + timedelta(seconds=20)
    assert calls_after(outer(1)) == 1
    of_first = {name: copy(value) for name, value in vars(known).items()}
    forget()
    assert calls_after(inner(2)) == 1
    assert calls_after(inner(3, answered("r3"), at=later)) == 2
    vars(known).update(of_first)
    assert known.observed == set()

    assert calls_after(outer(4, at=later)) == 2
    assert_rollup_equals_spans(NOW.date())


def calls_after(*sent: Sent) -> int:
    """How many calls there are when these, in one batch, are stored, too."""
    words, records = installed(), []
    for scope, one in sent:
        items = json_items(request([one], {"service.name": "shop"}, scope), words.wanted)
        records += normalise(items, words=words, sender=Sender(), window=window(NOW.timestamp()))[0]
    store_spans(records)
    return int(totals()["calls"])


@st.composite
def worlds(draw: st.DrawFn) -> tuple[int, int, list[Sent]]:
    """(calls, input tokens, spans) of a service, each call seen by one or two who share nothing."""
    sent: list[Sent] = []
    count = tokens = 0
    for number in range(1, draw(st.integers(2, 6)) + 1):
        at = NOW + timedelta(seconds=draw(st.sampled_from([0, 0.003, 0.5, 4, 70])))
        told_tokens = draw(st.sampled_from([100, 1000, 5000]))
        count, tokens = count + 1, tokens + told_tokens
        kind = draw(st.sampled_from(["both", "answered", "stream", "chain"]))
        if kind == "stream":
            sent += [request_of(number, at), log_of(10 + number, at, tokens=told_tokens)]
            continue
        after = at + timedelta(milliseconds=1)
        content = told(told_tokens) if kind == "both" else answered(f"r{number}", told_tokens)
        above = {"parent": 99} if kind == "chain" else {}
        sent.append(outer(number, told(told_tokens, team="ads"), at=at, **above))
        sent.append(inner(10 + number, content, at=after, seconds=0.998))
    return count, tokens, sent


@pytest.mark.django_db
@given(world=worlds(), data=st.data())
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_order_and_repetition_gives_the_same_calls(
    world: tuple[int, int, list[Sent]], data: st.DataObject
) -> None:
    count, tokens, sent = world
    found = []
    for _ in range(2):
        forget_everything()
        for scope, one in data.draw(st.permutations(sent + sent[: len(sent) // 2])):
            store([one], scope, **{"service.name": "shop"})
        assert (totals()["calls"], totals()["input"]) == (count, tokens)
        assert_rollup_equals_spans(NOW.date())
        found.append(as_counted())

    assert found[0] == found[1]


@pytest.mark.django_db
@given(world=worlds(), data=st.data())
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_batches_give_the_same_calls(
    world: tuple[int, int, list[Sent]], data: st.DataObject
) -> None:
    """What one batch decides among its own spans, and what it leaves to those that are stored."""
    count, tokens, sent = world
    found = []
    for cuts in (data.draw(st.sets(st.integers(1, len(sent)))), set[int]()):
        forget_everything()
        order = data.draw(st.permutations(sent))
        for first, last in pairwise([0, *sorted(cuts - {len(sent)}), len(sent)]):
            calls_after(*order[first:last])
        assert (totals()["calls"], totals()["input"]) == (count, tokens)
        assert_rollup_equals_spans(NOW.date())
        found.append(as_counted())

    assert found[0] == found[1]


@pytest.mark.django_db
def test_both_observers_in_one_request_count_once_too() -> None:
    assert calls_after(outer(), inner(), outer(5), outer(6)) == 3
    assert_rollup_equals_spans(NOW.date())
