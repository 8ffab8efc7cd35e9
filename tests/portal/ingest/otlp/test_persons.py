"""Who made calls, and for which repository: a rollup beside that of usage, whose parts are always
the whole.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
import time_machine
from django.conf import settings as installation
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allocation.catalogue.price_list import list_price, packaged
from allocation.catalogue.price_store import ensure_prices
from allocation.catalogue.prices import reprice
from allocation.models import PersonName, PriceVersion, Team
from allocation.values.money import plain
from allocation.values.persons import pseudonym
from portal.accounts.keys import create_key
from portal.ingest.otlp.rollup.merge import merge_deltas
from portal.ingest.otlp.rollup.retention import retain
from portal.ingest.otlp.traces import sql
from portal.ingest.otlp.traces.attributes import installed
from portal.ingest.otlp.traces.capped import OTHERS
from portal.ingest.otlp.traces.known import forget
from portal.ingest.otlp.traces.normalise import repository_name
from reports.asking import TeamScope
from reports.queries.usage.by import BY, usage_by
from reports.queries.usage.rows import usage_row
from tests.portal.ingest.otlp.sending import CALL, NOW, ingest_secret, request, rows, send, span
from tests.portal.ingest.otlp.test_rollup import CROWD, forget_everything, store

pytestmark = pytest.mark.django_db

FROM, TO = NOW.date() - timedelta(days=200), NOW.date() + timedelta(days=1)
ANN, BEN = "ann@example.com", "ben@example.com"


@pytest.fixture(autouse=True)
def frozen_clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def who(person: str) -> str:
    return pseudonym(person, installation.PERSON_KEY.encode())


def told(person: str | None = None, repository: str | None = None, **more: Any) -> dict[str, Any]:
    words = {"user.email": person, "repository": repository, **more}
    return {**CALL, **{name: value for name, value in words.items() if value is not None}}


def usage(*names: str, only: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    found = usage_by(names=names, first=FROM, last=TO, teams=TeamScope.everything(), only=only)
    return [usage_row(names, row) for row in found]


def calls(*names: str) -> dict[Any, Any]:
    return {tuple(row[name] for name in names): row["calls"] for row in usage(*names)}


def measures(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the rows add up to."""
    counted = ("calls", "calls_without_usage", "calls_failed", "cached_answers",
               "client_cost_calls", "calls_at_general_price")  # fmt: skip
    total: dict[str, Any] = {
        name: sum(Decimal(str(row[name])) for row in found) for name in counted
    }
    for name in found[0]["tokens"] if found else ():
        total[name] = sum(Decimal(str(row["tokens"][name])) for row in found)
    total["client_cost"] = sum(Decimal(row["client_cost"] or 0) for row in found)
    costs = [row["list_cost"] for row in found]
    total["list_cost"] = None if None in costs else sum(map(Decimal, costs))
    return total


def assert_parts_are_the_whole() -> None:
    for names in (["person"], ["repository"], ["person", "repository"], ["person", "day", "key"]):
        parts = usage(*names, "service", "model")
        for row in usage("service", "model"):
            of_row = [part for part in parts if (part["service"], part["model"]) == (
                row["service"], row["model"])]  # fmt: skip
            assert measures(of_row) == measures([row]), names


def assert_rollup_equals_spans() -> None:
    """Once merged: what the day's calls say, as they count."""
    statement = (
        "WITH weighed AS (SELECT *, 1 AS sign FROM call_as_counted)"
        f" SELECT dimension_id, who_id, sum(calls), sum(input_uncached), sum(output_text)"
        f" FROM ({sql.WHO_AGGREGATE}) AS made GROUP BY 1, 2 ORDER BY 1, 2"
    )
    stored = rows(
        "SELECT dimension_id, who_id, sum(calls), sum(input_uncached), sum(output_text)"
        " FROM who_daily GROUP BY 1, 2 HAVING sum(calls) <> 0 ORDER BY 1, 2"
    )
    assert stored == rows(statement)


def test_persons_are_pseudonyms_and_no_dimension() -> None:
    store([span(1, told(" Ann@Example.com", "acme/shop")), span(2, told(ANN), trace=2)])
    store([span(3, told(BEN, "acme/shop"), trace=3), span(4, trace=4)])
    merge_deltas()

    assert calls("person") == {(who(ANN),): 2, (who(BEN),): 1, (None,): 1}
    assert calls("repository") == {("acme/shop",): 2, (None,): 2}
    assert rows("SELECT count(*) FROM allocation_usagedimension") == [(1,)]
    assert who(ANN).startswith("p_")
    assert len(who(ANN)) == 18
    everything = str(rows("SELECT span::text FROM span")) + str(
        rows("SELECT w::text FROM usage_who w")
    )
    assert "example.com" not in everything.lower()
    assert not PersonName.objects.exists()


def test_a_person_is_the_address_before_the_account_before_the_user() -> None:
    ids = {"user.account_uuid": "acc-1", "user.id": "u-1"}
    store([span(1, told(ANN, **ids)), span(2, told(**ids), trace=2)])
    store([span(3, told(**{"user.id": "u-1"}), trace=3)])
    merge_deltas()

    assert calls("person") == {(who(ANN),): 1, (who("acc-1"),): 1, (who("u-1"),): 1}


@pytest.mark.parametrize(
    "address",
    [
        "acme/shop",
        "https://git.example.com/acme/shop",
        "https://user@git.example.com/acme/shop.git",
        "ssh://git@git.example.com:22/acme/shop.git",
        "git@git.example.com:acme/shop.git",
    ],
)
def test_a_repository_is_one_however_its_address_is_written(address: str) -> None:
    assert repository_name(address) == "acme/shop"


def test_names_are_kept_and_shown_only_where_the_installation_says_so(settings: Any) -> None:
    settings.PERSON_NAMES = True
    installed.cache_clear()
    try:
        store([span(1, told(ANN))])
    finally:
        settings.PERSON_NAMES = False
        installed.cache_clear()
    store([span(2, told(BEN), trace=2)])
    merge_deltas()

    assert list(PersonName.objects.values_list("person", "name")) == [(who(ANN), ANN)]
    assert calls("person") == {(who(ANN),): 1, (who(BEN),): 1}
    shown = usage_by(
        names=["person"], first=FROM, last=TO, teams=TeamScope.everything(), shows_names=True
    )
    assert {row.key for row in shown} == {(ANN,), (who(BEN),)}


def test_fault_051_persons_without_end_count_as_one(settings: Any) -> None:
    settings.USAGE_DISTINCT_VALUES = 2
    for number in range(1, 6):
        store([span(number, told(f"u{number}@example.com", f"r{number % 2}"), trace=number)])
        forget()
    merge_deltas()

    assert calls("person") == {(who("u1@example.com"),): 1, (who("u2@example.com"),): 1,
                               (OTHERS,): 3}  # fmt: skip
    assert calls("repository") == {("r0",): 2, ("r1",): 3}
    assert_parts_are_the_whole()


PEOPLE = [None, ANN, BEN]


@given(
    order=st.permutations(range(2 * len(CROWD))),
    cuts=st.lists(st.integers(1, 2 * len(CROWD) - 1), max_size=6),
    people=st.lists(st.sampled_from(PEOPLE), min_size=len(CROWD), max_size=len(CROWD)),
)
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_order_repetition_and_merging_gives_every_call_its_person_once(
    order: list[int], cuts: list[int], people: list[str | None]
) -> None:
    """Calls that are matched late are taken back from the person who was told first."""
    forget_everything()
    named = [
        {**sent, "attributes": [*sent["attributes"], *of_person(person)]}
        for sent, person in zip(CROWD, people, strict=True)
    ]
    edges = [0, *sorted(set(cuts)), len(order)]

    for number, (first, last) in enumerate(pairwise(edges)):
        store([named[at % len(CROWD)] for at in order[first:last]])
        if number % 2 == 0:
            merge_deltas()
            assert_parts_are_the_whole()
    merge_deltas()

    assert_parts_are_the_whole()
    assert_rollup_equals_spans()
    assert sum(row["calls"] for row in usage("person")) == 9
    step_by_step = usage("person", "repository")
    forget_everything()
    store(named)
    merge_deltas()
    assert usage("person", "repository") == step_by_step


def of_person(person: str | None) -> list[dict[str, Any]]:
    return [{"key": "user.email", "value": {"stringValue": person}}] if person else []


def test_fault_136_a_call_seen_twice_is_of_the_person_that_either_observer_tells() -> None:
    store([span(1, told(ANN), seconds=3)])
    merge_deltas()
    assert calls("person") == {(who(ANN),): 1}

    store([span(2, told(repository="acme/shop"), parent=1, seconds=2)], "litellm")
    merge_deltas()

    assert calls("person", "repository") == {(who(ANN), "acme/shop"): 1}
    assert_rollup_equals_spans()


def test_fault_137_a_sampled_call_weighs_for_its_person_what_it_stands_for() -> None:
    store([span(1, told(ANN), traceState="ot=th:c"), span(2, trace=2)])
    merge_deltas()

    assert calls("person") == {(who(ANN),): 4, (None,): 1}
    assert_parts_are_the_whole()


def test_no_person_used_more_than_was_used_while_usage_waits(monkeypatch: Any) -> None:
    monkeypatch.setattr("portal.ingest.otlp.rollup.merge.DELTAS_AT_ONCE", 2)
    for number in range(1, 6):
        store([span(number, told(ANN), trace=number, at=NOW - timedelta(hours=number))])

    merge_deltas(1e-9)

    assert rows("SELECT count(*) FROM who_daily") == [(0,)]
    merge_deltas()
    assert calls("person") == {(who(ANN),): 5}


def test_sealed_days_keep_their_persons_and_gain_none() -> None:
    old = NOW - timedelta(days=130)
    store([span(1, told(ANN), at=old), span(2, told(BEN), trace=2)])
    merge_deltas()
    retain(NOW.date() - timedelta(days=120))
    rows("UPDATE allocation_sealedday SET sealed_at = now() - interval '11 minutes' RETURNING 1")
    retain(NOW.date() - timedelta(days=120))
    forget()

    store([span(1, told(BEN), at=old), span(3, told(BEN), trace=3, at=old)])
    merge_deltas()

    assert calls("person") == {(who(ANN),): 1, (who(BEN),): 1}
    assert_parts_are_the_whole()


def test_parts_cost_what_the_whole_costs_whenever_prices_change_with_the_hour() -> None:
    """Some models cost less at night, some calls have no price; a new list prices all again."""
    version, _ = ensure_prices()
    rng = random.Random(7)
    models = [("deepseek", "deepseek-chat"), ("deepseek", "deepseek-v4-flash"),
              ("openai", "gpt-4o"), ("openai", "house-model-7")]  # fmt: skip
    sent = []
    costs: dict[Any, Decimal] = defaultdict(Decimal)
    for number in range(1, 160):
        provider, model = rng.choice(models)
        person = rng.choice(PEOPLE)
        tokens = rng.randint(1, 9_999)
        words = told(person, rng.choice([None, "acme/shop"]), **{
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
            "gen_ai.usage.input_tokens": tokens,
        })  # fmt: skip
        at = NOW - timedelta(days=rng.choice([0, 1]), minutes=rng.randint(0, 700))
        sent.append(span(number, words, trace=number, at=at))
        used = {"input_uncached": tokens, "output_text": 20}
        of_hour = at.replace(minute=0, second=0, microsecond=0)
        cost = list_price(used, provider, model, of_hour, packaged())
        costs[person and who(person), model] += cost if cost is not None else Decimal("NaN")
    for start in range(0, len(sent), 40):
        store(sent[start : start + 40])
        merge_deltas()

    assert_parts_are_the_whole()
    before = usage("person", "model")
    found = {(row["person"], row["model"]): row["list_cost"] for row in before}
    assert found == {key: None if cost.is_nan() else plain(cost) for key, cost in costs.items()}
    assert rows(
        "SELECT d.provider, count(DISTINCT extract(hour FROM hour AT TIME ZONE 'UTC')) > 1"
        " FROM who_daily w JOIN allocation_usagedimension d ON d.id = w.dimension_id"
        " GROUP BY 1 ORDER BY 1"
    ) == [("deepseek", True), ("openai", False)]
    newer = PriceVersion.objects.create(source="x", content_sha256="x", imported_at=NOW).pk
    rows(
        "INSERT INTO allocation_price (version_id, provider, model, tier, token_class,"
        " context_from, valid_from, is_undated, time_of_day_from, time_of_day_to, per_million,"
        " source)"
        " SELECT %s, provider, model, tier, token_class, context_from, valid_from, is_undated,"
        " time_of_day_from, time_of_day_to, per_million * 2, source FROM allocation_price"
        " WHERE version_id = %s RETURNING 1",
        newer,
        version.pk,
    )

    reprice(newer)

    assert_parts_are_the_whole()
    for row, old in zip(usage("person", "model"), before, strict=True):
        if old["list_cost"] is not None:
            assert Decimal(row["list_cost"]) == 2 * Decimal(old["list_cost"])


def ask(secret: str, **asked: str) -> Any:
    days = {"from": str(FROM), "to": str(TO)}
    return Client().get(
        "/api/v1/usage/", {**days, **asked}, headers={"Authorization": f"Bearer {secret}"}
    )


def test_the_api_says_what_the_command_says_and_narrows_to_a_team() -> None:
    for number, (team, person) in enumerate([("search", ANN), ("search", None), ("shop", BEN)], 1):
        body = request(
            [span(number, told(person, "acme/shop"), trace=number)],
            {"service.name": "api", "team": team},
        )
        assert send(body, ingest_secret()).status_code == 200
    search = Team.objects.create(slug="search", name="Search")
    everything = create_key("all", "read", None, None)[1]
    lead = create_key("lead", "read", search, None)[1]

    for names in BY:
        answer = ask(everything, by=names).json()
        assert answer["rows"] == json.loads(json.dumps(usage(names))), names
    of_lead = ask(lead, by="person,repository").json()["rows"]
    assert {(row["person"], row["calls"]) for row in of_lead} == {(who(ANN), 1), (None, 1)}
    assert ask(lead, by="person", team="shop").status_code == 404
    assert [row["calls"] for row in ask(everything, by="team", person=who(BEN)).json()["rows"]] == [
        1
    ]
    assert [row["calls"] for row in ask(everything, by="person", team="shop").json()["rows"]] == [1]
    first = ask(everything, by="person", limit="1").json()
    assert (len(first["rows"]), first["next_offset"]) == (1, 1)


@pytest.mark.parametrize(
    "name",
    [
        "user.email",
        "metadata.user_api_key_user_email",
        "metadata.user_api_key_user_id",
        "litellm.metadata.user_api_key_user_id",
        "user.id",
        "enduser.id",
        "gen_ai.user.id",
        "ai.telemetry.metadata.userId",
        "ai.settings.context.user_id",
        "vercel.ai_gateway.user.id",
        "user_id",
        "trace.metadata.user_id",
        "langfuse.user.id",
        "langsmith.metadata.user_id",
        "mastra.metadata.userId",
    ],
)
def test_a_person_is_known_by_the_names_of_gateways_and_tools(name: str) -> None:
    store([span(1, told(**{name: "u-1"}))])
    merge_deltas()

    assert calls("person") == {(who("u-1"),): 1}


def test_what_a_tool_says_without_a_login_is_no_person() -> None:
    store([span(1, told(**{"ai.telemetry.metadata.userId": "unknown"}))], "opencode")
    merge_deltas()

    assert calls("person") == {(None,): 1}


@pytest.mark.parametrize(
    "asked",
    [{"by": "nonsense"}, {"by": "team,team"}, {"to": "2020-01-01"}, {"day": "2026-11-20"}],
)
def test_the_api_refuses_what_it_does_not_know(asked: dict[str, str]) -> None:
    assert ask(create_key("all", "read", None, None)[1], **asked).status_code == 400


# What each gateway and SDK calls team, feature and customer, without any setting.
DIALECTS: dict[str, dict[str, Any]] = {
    "LiteLLM": {
        "metadata.user_api_key_team_alias": "search",
        "metadata.user_api_key_end_user_id": "c-1",
        "metadata.requester_metadata": "{'feature': 'answer'}",
    },
    "LiteLLM, second version": {
        "litellm.team.alias": "search",
        "litellm.end_user.id": "c-1",
        "litellm.metadata.feature": "answer",
    },
    "OpenRouter": {
        "trace.metadata.team": "search",
        "trace.metadata.feature": "answer",
        "span.metadata.customer": "c-1",
    },
    "Vercel AI SDK": {
        "ai.telemetry.metadata.team": "search",
        "ai.telemetry.functionId": "answer",
        "ai.telemetry.metadata.customer": "c-1",
    },
    "Vercel AI SDK 7": {
        "ai.settings.context.team": "search",
        "ai.settings.context.feature": "answer",
        "ai.settings.context.customer": "c-1",
    },
    "Vercel AI Gateway": {"vercel.ai_gateway.tags": "team:search, feature:answer, customer:c-1"},
    "Cloudflare": {"team": "search", "feature": "answer", "customer": "c-1"},
    "Langfuse": {
        "langfuse.trace.metadata.team": '"search"',
        "langfuse.trace.metadata.feature": '"answer"',
        "langfuse.trace.metadata.customer": '"c-1"',
    },
    "Langfuse, tags": {"langfuse.trace.tags": ["team:search", "feature:answer", "customer:c-1"]},
    "LangSmith": {
        "langsmith.metadata.team": "search",
        "langsmith.metadata.feature": "answer",
        "langsmith.metadata.customer": "c-1",
    },
    "LangSmith, tags": {"langsmith.span.tags": "team:search, feature:answer, customer:c-1"},
    "Mastra": {
        "mastra.metadata.team": "search",
        "mastra.metadata.feature": "answer",
        "mastra.metadata.customer": "c-1",
    },
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_team_feature_and_customer_are_known_by_the_names_of(dialect: str) -> None:
    sent = [span(1, {**CALL, **DIALECTS[dialect]})]
    store(sent, **{"service.name": "api"})
    merge_deltas()

    assert calls("team", "feature", "customer") == {("search", "answer", "c-1"): 1}
