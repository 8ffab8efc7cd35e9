"""Which spans tell of one call, rule by rule, and what the call then counts as."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.ingest.otlp.calls.counting import CACHED, SAME_CALL, TEAMS_DIFFER, TOKENS_DIFFER, Call
from portal.ingest.otlp.calls.groups import Group, pairs
from portal.ingest.otlp.calls.settle import calls_of
from portal.ingest.otlp.traces.attributes import installed
from portal.ingest.otlp.traces.decode import json_items
from portal.ingest.otlp.traces.normalise import REPEATS_CALLS, Sender, normalise
from portal.ingest.otlp.traces.store import seen
from portal.ingest.otlp.traces.window import Window
from tests.portal.ingest.otlp.sending import CALL, NOW, request, span

SILENT = {name: told for name, told in CALL.items() if "usage" not in name}
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "helper"}
TOOL = {"gen_ai.operation.name": "execute_tool"}
FAILED: dict[str, Any] = {"status": {"code": 2}}
Sent = tuple[str, dict[str, Any]]  # scope, span


def told(tokens: int = 100, out: int = 20, **more: Any) -> dict[str, Any]:
    named = {name.replace("__", "."): value for name, value in more.items()}
    return {
        **CALL,
        "gen_ai.usage.input_tokens": tokens,
        "gen_ai.usage.output_tokens": out,
        **named,
    }


def answered(response_id: str, tokens: int = 100, **more: Any) -> dict[str, Any]:
    return {**told(tokens, **more), "gen_ai.response.id": response_id}


def calls_in(*sent: Sent, sender: Sender | None = None) -> list[Call]:
    return counted(sent, sender)[0]


def counted(
    sent: Sequence[Sent], sender: Sender | None = None, service: str | None = None
) -> tuple[list[Call], dict[int, str]]:
    """The calls, and by span id why the other spans don't count."""
    words = installed()
    records = []
    for scope, each in sent:
        found, _ = normalise(
            json_items(request([each], {"service.name": service or scope}, scope), words.wanted),
            words=words,
            sender=sender or Sender(),
            window=Window(0, 2**62),
        )
        records += found
    calls, reasons = calls_of(map(seen, records), {})
    return calls, {key.span_id: reason for key, reason in reasons.items()}


def totals(calls: Sequence[Call]) -> list[int]:
    return sorted(call.tokens.input_total for call in calls)


# ---------------------------------------------------------------- equal answers


def test_an_answer_in_two_traces_is_one_call_also_minutes_apart() -> None:
    later = NOW + timedelta(minutes=9)
    both = [
        ("app", span(1, answered("r"), trace=1)),
        ("gate", span(2, answered("r"), trace=2, at=later)),
    ]

    assert len(calls_in(*both)) == 1
    both[1] = ("gate", span(2, answered("r"), trace=2, at=NOW + timedelta(minutes=12)))
    assert len(calls_in(*both)) == 2


@pytest.mark.parametrize(
    ("other", "calls"),
    [
        ({"gen_ai__provider__name": "aws.bedrock"}, 2),
        ({"gen_ai__provider__name": "langchain"}, 1),
        ({"gen_ai__request__model": "gpt-4o-mini"}, 2),
        ({"gen_ai__request__model": "our-alias"}, 1),
    ],
)
def test_models_and_sellers_must_not_speak_against_it(other: dict[str, Any], calls: int) -> None:
    pair = [
        ("app", span(1, answered("r"), trace=1)),
        ("gate", span(2, answered("r", **other), trace=2)),
    ]

    assert len(calls_in(*pair)) == calls


def test_a_repeat_of_an_answer_by_the_same_observer_came_out_of_a_cache() -> None:
    at = [NOW, NOW + timedelta(seconds=30), NOW + timedelta(seconds=60)]
    sent = [("app", span(n, answered("r"), trace=n, at=at[n - 1])) for n in (1, 2, 3)]

    calls, reasons = counted(sent)

    assert [call.is_cached for call in calls] == [False, True, True]
    assert reasons == {2: CACHED, 3: CACHED}


def test_a_cached_answer_that_two_observers_saw_is_one() -> None:
    later = NOW + timedelta(seconds=30)
    sent = [
        ("app", span(1, answered("r"), trace=1)),
        ("gate", span(2, answered("r"), trace=1, parent=1, seconds=0.9)),
        ("app", span(3, answered("r"), trace=3, at=later)),
        ("gate", span(4, answered("r"), trace=3, parent=3, at=later, seconds=0.9)),
    ]

    calls = calls_in(*sent)

    assert [(call.is_cached, len(call.spans)) for call in calls] == [(False, 2), (True, 2)]


# ---------------------------------------------------------------- calls inside calls


@pytest.mark.parametrize(("between", "calls"), [(TOOL, 2), (AGENT, 2), ({}, 1)])
def test_an_agent_or_a_tool_between_makes_two_calls(between: dict[str, Any], calls: int) -> None:
    sent = [
        ("outer", span(1, told(), seconds=3)),
        ("app", span(2, between, parent=1, seconds=2)),
        ("inner", span(3, told(), parent=2)),
    ]

    assert len(calls_in(*sent)) == calls


def test_a_chain_of_observers_is_one_call_with_the_words_of_the_outermost() -> None:
    sent = [
        ("langchain", span(1, {**SILENT, "team": "ads", "feature": "faq"}, seconds=3)),
        ("litellm", span(2, {**told(), "litellm.key_alias": "vk"}, parent=1, seconds=2)),
        ("sdk", span(3, told(gen_ai__usage__cache_read__input_tokens=40), parent=2)),
    ]

    (call,) = calls_in(*sent)

    assert (call.told.team, call.told.feature, call.told.caller) == ("ads", "faq", "vk")
    assert (call.leader.key.span_id, call.tokens.cache_read) == (3, 40)
    assert call.told.service == "langchain"


def test_a_batch_counts_its_calls_and_not_their_sum() -> None:
    batch = [("app", span(9, told(300, 60), seconds=9))]
    parts = [("sdk", span(n, told(), parent=9, seconds=n)) for n in (1, 2, 3)]

    calls, reasons = counted(batch + parts)

    assert (totals(calls), reasons[9]) == ([100, 100, 100], REPEATS_CALLS)


def test_a_retry_counts_each_attempt() -> None:
    sent = [
        ("app", span(9, SILENT, seconds=9)),
        ("sdk", span(1, SILENT, parent=9, **FAILED)),
        ("sdk", span(2, told(), parent=9, at=NOW + timedelta(seconds=3))),
    ]

    calls, reasons = counted(sent)

    assert (len(calls), sum(call.failed for call in calls), reasons) == (2, 1, {9: SAME_CALL})


def test_of_several_calls_inside_the_one_with_equal_totals_is_the_parent() -> None:
    sent = [
        ("app", span(9, told(200, 40), seconds=9)),
        ("sdk", span(1, told(200, 40), parent=9)),
        ("sdk", span(2, told(100), parent=9, at=NOW + timedelta(seconds=3))),
    ]

    calls = calls_in(*sent)

    assert totals(calls) == [100, 200]
    assert sorted(len(call.spans) for call in calls) == [1, 2]


# ---------------------------------------------------------------- siblings


@pytest.mark.parametrize(
    ("one", "other", "seconds", "calls"),
    [
        (told(), told(), 0.9, 1),
        (told(), told(101), 0.9, 1),  # traceloop counts one too many
        (told(1000), told(1009), 0.9, 1),
        (told(1000), told(1020), 0.9, 2),
        (told(), told(gen_ai__request__model="gpt-4o-mini"), 0.9, 2),
        (told(), told(), 1.04, 1),
        (told(), SILENT, 0.9, 2),
    ],
)
def test_siblings_are_one_call_where_all_agrees(
    one: dict[str, Any], other: dict[str, Any], seconds: float, calls: int
) -> None:
    root = ("app", span(9, {}, seconds=5))
    sent = [root, ("a", span(1, one, parent=9)), ("b", span(2, other, parent=9, seconds=seconds))]

    assert len(calls_in(*sent)) == calls


def test_siblings_of_one_observer_are_two_calls() -> None:
    root = ("app", span(9, {}, seconds=5))

    assert len(calls_in(root, *[("a", span(n, told(), parent=9)) for n in (1, 2)])) == 2


def test_siblings_apart_in_time_are_two_calls() -> None:
    later = NOW + timedelta(seconds=0.5)
    sent = [("app", span(9, {}, seconds=5)), ("a", span(1, told(), parent=9))]

    assert len(calls_in(*sent, ("b", span(2, told(), parent=9, at=later)))) == 2


def test_different_answers_beside_each_other_are_two_calls() -> None:
    sent = [("app", span(9, {}, seconds=5)), ("a", span(1, answered("r1"), parent=9))]

    assert len(calls_in(*sent, ("b", span(2, answered("r2"), parent=9)))) == 2


def test_an_observer_that_does_not_pass_its_spans_on_is_a_sibling() -> None:
    sent = [
        ("app", span(9, {}, seconds=5)),
        ("langchain", span(8, {"openinference.span.kind": "CHAIN"}, parent=9, seconds=4)),
        ("langchain", span(1, told(), parent=8)),
        ("sdk", span(2, told(), parent=9, seconds=0.9)),
    ]

    assert len(calls_in(*sent)) == 1


def test_a_pair_gives_way_where_more_pairs_are_possible() -> None:
    left, right = [Group([]) for _ in range(2)], [Group([]) for _ in range(2)]
    near = {(0, 0): 1, (0, 1): 2, (1, 0): 3}
    far = {(id(left[a]), id(right[b])): (distance, b) for (a, b), distance in near.items()}
    for group, begun in zip([*left, *right], (1, 2, 1, 2), strict=True):
        group.spans = [*map(seen_at, [begun])]

    assert pairs(left, right, lambda a, b: far.get((id(a), id(b)))) == [
        (left[0], right[1]),
        (left[1], right[0]),
    ]


def seen_at(second: int) -> Any:
    (call,) = calls_in(("a", span(1, told(), at=NOW + timedelta(seconds=second))))
    return call.leader


# ---------------------------------------------------------------- what a call counts as


def test_where_totals_differ_the_one_nearest_the_provider_is_believed_and_it_is_said() -> None:
    (call,) = calls_in(("app", span(1, told(500), seconds=2)), ("sdk", span(2, told(), parent=1)))

    assert (call.tokens.input_total, call.doubt) == (100, TOKENS_DIFFER)


def test_where_totals_differ_a_gateway_that_may_speak_for_all_is_believed() -> None:
    sent = [("litellm", span(1, told(500), seconds=2)), ("sdk", span(2, told(), parent=1))]

    (free,) = calls_in(*sent)
    (bound,) = calls_in(*sent, sender=Sender(1, "ads"))

    assert (free.tokens.input_total, bound.tokens.input_total) == (500, 100)


def test_the_first_of_two_keys_of_different_teams_stays_and_it_is_said() -> None:
    words = installed()
    records = []
    for number, team in ((1, "ads"), (2, "shop")):
        sent = request([span(number, answered("r"), trace=number)], scope=team)
        found, _ = normalise(
            json_items(sent, words.wanted),
            words=words,
            sender=Sender(number, team),
            window=Window(0, 2**62),
        )
        records += found

    (call,), _ = calls_of(map(seen, records), {})

    assert (call.told.team, call.doubt) == ("ads", TEAMS_DIFFER)


def test_a_bound_keys_team_beats_every_other() -> None:
    (call,) = calls_in(("app", span(1, told(team="shop"), seconds=2)), sender=Sender(1, "ads"))

    assert call.told.team == "ads"


def test_weights_are_the_largest_in_a_trace_and_the_smallest_of_the_traces() -> None:
    sent = [
        ("app", span(1, answered("r"), trace=1, seconds=2, traceState="ot=th:8")),
        ("sdk", span(2, answered("r"), trace=1, parent=1, traceState="ot=th:c")),
        ("gate", span(3, answered("r"), trace=3, traceState="ot=th:8")),
    ]

    (call,) = calls_in(*sent)
    (alone,) = calls_in(*sent[:2])

    assert (call.weight, alone.weight) == (Decimal(2), Decimal(4))


def test_usage_of_an_unknown_operation_counts_unless_it_repeats_a_call_below() -> None:
    unknown = told(gen_ai__operation__name="think")

    assert len(calls_in(("a", span(1, unknown)))) == 1
    calls, reasons = counted([("a", span(1, unknown, seconds=3)), ("b", span(2, told(), parent=1))])
    assert (len(calls), reasons) == (1, {1: REPEATS_CALLS})


def test_usage_without_a_model_takes_that_of_the_nearest_span_above() -> None:
    usage = {name: value for name, value in CALL.items() if "usage" in name}
    sent = [("codex_exec", span(1, {"model": "gpt-5"}, seconds=3)), ("b", span(2, usage, parent=1))]

    (call,) = calls_in(*sent)

    assert call.told.model == "gpt-5"


def test_a_feature_may_be_the_agents() -> None:
    sent = [("a", span(1, AGENT, seconds=3)), ("b", span(2, told(), parent=1))]

    assert [call.told.feature for call in calls_in(*sent)] == ["helper"]
    sent[1] = ("b", span(2, told(feature="own"), parent=1))
    assert [call.told.feature for call in calls_in(*sent)] == ["own"]


# ---------------------------------------------------------------- any world


@st.composite
def worlds(draw: st.DrawFn) -> tuple[int, int, list[Sent]]:
    """(calls, input tokens, spans) of some calls, each seen by who happens to look."""
    sent: list[Sent] = []
    calls = tokens = 0
    for trace in range(1, draw(st.integers(1, 4)) + 1):
        sent.append(("app", span(1, {"http.route": "/"}, trace=trace, seconds=60)))
        for place in range(draw(st.integers(1, 3))):
            at = NOW + timedelta(seconds=3 * place)
            number, count = 10 * (place + 1), draw(st.integers(100, 120)) * 10
            calls, tokens = calls + 1, tokens + count
            sent += seen_by(draw, trace, number, count, at)
    return calls, tokens, draw(st.permutations(sent))


def seen_by(draw: st.DrawFn, trace: int, number: int, count: int, at: Any) -> list[Sent]:
    """The spans of one call."""
    ident = f"r-{trace}-{number}" if draw(st.booleans()) else None
    content = answered(ident, count) if ident else told(count)
    found = [("sdk", span(number, content, trace=trace, parent=1, at=at))]
    outer = draw(st.sampled_from(["none", "framework", "silent", "sibling"]))
    if outer in ("framework", "silent"):
        words = told(count, team="ads") if outer == "framework" else {**SILENT, "team": "ads"}
        found = [
            ("framework", span(number + 1, words, trace=trace, parent=1, at=at, seconds=2)),
            ("sdk", span(number, content, trace=trace, parent=number + 1, at=at)),
        ]
    elif outer == "sibling":
        beside = span(number + 1, told(count), trace=trace, parent=1, at=at, seconds=1.02)
        found.append(("other", beside))
    if ident and draw(st.booleans()):
        gate = span(1, answered(ident, count), trace=1000 * trace + number, at=at)
        found.append(("litellm", gate))
    return found


@given(world=worlds())
@settings(max_examples=150, deadline=None)
def test_every_call_of_any_world_counts_once_in_any_order(
    world: tuple[int, int, list[Sent]],
) -> None:
    calls, tokens, sent = world

    found = calls_in(*sent)

    assert (len(found), sum(totals(found))) == (calls, tokens)
    again = calls_in(*reversed(sent))
    assert {(call.leader.key, call.told, call.tokens, call.weight) for call in found} == {
        (call.leader.key, call.told, call.tokens, call.weight) for call in again
    }
