"""Coding assistants, gateways and odd emitters: what each shared case must say."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.conf import settings as django_settings

from allocation.catalogue.price_store import ensure_prices
from allocation.values.persons import pseudonym
from tests.portal.ingest.otlp.sending import ingest_secret, rows
from tests.portal.ingest.otlp.shared_cases import FOLDER, SENT_AT, send_case, tokens, usage

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("frozen_clock"),
    pytest.mark.skipif(not FOLDER.exists(), reason=f"{FOLDER} is not there"),
]


@pytest.fixture
def frozen_clock() -> Iterator[None]:
    with time_machine.travel(SENT_AT):
        yield


# Of the one row that the case must have.
ONE_ROW: dict[str, dict[str, Any]] = {
    "agent-01": {
        "tokens": [600, 400, 0, 0, 150, 50],
        "key": "helpdesk-key",
        "team": "search",
        "client_cost": "0.004",
        "model": "gpt-4o",
    },
    "agent-03": {
        "tokens": [600, 400, 100, 0, 200, 0],
        "key": "helpdesk-key",
        "client_cost": "0.005385",
        "model": "claude-sonnet-4-5",
    },
    "agent-04": {"tokens": [600, 400, 0, 0, 150, 50], "model": "gpt-5", "team": "search"},
    "agent-05": {
        "tokens": [600, 400, 100, 0, 200, 0],
        "team": "search",
        "person": pseudonym("dev7@example.com", django_settings.PERSON_KEY.encode()),
        "repository": "acme/shop",
    },
    "agent-08": {
        "tokens": [600, 300, 100, 0, 150, 50],
        "client_cost": "0.0123",
        "key": "prod-key",
        "team": "search",
    },
    "agent-09": {
        "tokens": [1000, 0, 0, 0, 200, 0],
        "provider": "anthropic",
        "client_cost": "0.0123",
        "team": "search",
    },
    "agent-10": {
        "tokens": [600, 300, 100, 0, 150, 50],
        "client_cost": "0.0123",
        "key": "prod-key",
        "tier": "priority",
        "team": "search",
        "feature": "helpdesk",
        "environment": "production",
        "product": None,
    },
    "agent-11": {"tokens": [500, 400, 100, 0, 200, 0]},
    "agent-12": {"tokens": [1000, 0, 0, 0, 200, 0]},
    "agent-13": {"tokens": [600, 400, 0, 0, 150, 50]},
    "agent-14": {"tokens": [600, 400, 0, 0, 150, 50], "team": "search"},
    "agent-15": {"tokens": [600, 400, 0, 0, 150, 50], "client_cost": None},
    "held-03.total-larger": {"tokens": [10, 0, 0, 0, 800, 0]},
    "held-05.pydantic-google-gla": {"tokens": [50, 0, 0, 0, 40, 110], "client_cost": "0.00039"},
    "field-18": {"tokens": [900_000, 100, 50, 0, 4000, 0], "team": "devx"},
}
BY = ("provider", "model", "team", "feature", "product", "environment", "key", "tier",
      "person", "repository")  # fmt: skip
GATEWAYS = ("agent-01", "agent-09", "agent-11", "agent-12", "agent-13")


@pytest.mark.parametrize(("name", "asked"), ONE_ROW.items())
def test_one_call_counts_once_with_what_its_emitter_says(name: str, asked: dict[str, Any]) -> None:
    send_case(name, ingest_secret())

    (row,) = usage(*BY)

    found = {**row, "tokens": tokens(row)}
    assert {key: found[key] for key in asked} == asked
    assert (row["calls"], row["calls_without_usage"]) == (1, 0)


@pytest.mark.parametrize("name", GATEWAYS)
def test_gateways_are_known_as_such(name: str) -> None:
    send_case(name, ingest_secret())

    assert rows("SELECT DISTINCT observer FROM allocation_usagedimension WHERE is_inference") == [
        ("gateway",)
    ]


def test_a_call_that_tells_nothing_of_itself_makes_no_dimension_of_its_session() -> None:
    send_case("agent-06", ingest_secret())

    assert usage("model") == []
    assert rows("SELECT DISTINCT prompt_name FROM allocation_usagedimension") == [(None,)]


def test_region_and_session_come_from_their_own_names() -> None:
    secret = ingest_secret()
    for name in ("agent-10", "agent-13", "agent-14"):
        send_case(name, secret)

    assert rows("SELECT DISTINCT region FROM allocation_usagedimension WHERE region <> ''") == [
        ("iad1",)
    ]
    assert rows("SELECT DISTINCT session_id FROM span WHERE session_id <> '' ORDER BY 1") == [
        ("p-made-up",),
        ("s-made-up",),
    ]


def test_langfuse_names_add_up() -> None:
    send_case("held-01.langfuse-langchain", ingest_secret())

    assert {row["service"]: tokens(row) for row in usage("service")} == {
        "h01-reasoning": [200, 0, 0, 0, 30, 70],
        "h01-cached": [1000, 9000, 0, 0, 50, 0],
        "h01-anthropic": [100, 2000, 3000, 0, 50, 0],
    }


def test_paths_of_models_have_prices() -> None:
    ensure_prices()
    send_case("held-02.vertex-path", ingest_secret())

    found = {row["service"]: row for row in usage("service", "model")}
    assert Decimal(found["h02-path"]["list_cost"]) == Decimal("0.00155")
    assert Decimal(found["h02-plain"]["list_cost"]) == Decimal("0.00155")
    assert Decimal(found["h02-path-provider"]["list_cost"]) == Decimal("0.00155")
    assert found["h02-path-anthropic"]["model"] == "claude-sonnet-4-5"
    assert found["h02-path-anthropic"]["list_cost"] is not None


def test_a_total_that_the_parts_miss_is_said() -> None:
    send_case("held-03.total-larger", ingest_secret())

    assert rows("SELECT usage_shape FROM span") == [("short_of_total",)]


def test_counts_that_can_not_be_read_are_missing_usage() -> None:
    send_case("field-06", ingest_secret())

    found = {row["team"]: (row["calls"], row["calls_without_usage"]) for row in usage("team")}
    assert found == {
        "vercel": (1, 1),
        "strings": (1, 0),
        "floats": (1, 0),
        "negative": (1, 1),
        "ints": (1, 0),
    }
    assert {tokens(row)[0] for row in usage("team")} == {0, 1_000_000}


def test_application_and_gateway_in_two_traces_are_one_call() -> None:
    send_case("field-17", ingest_secret())

    assert [(row["team"], row["key"], row["calls"]) for row in usage("team", "key")] == [
        ("alpha", "vk-shared", 1),
        ("beta", None, 1),
    ]


def test_langfuse_counts_of_the_field() -> None:
    send_case("field-24", ingest_secret())

    assert {(row["model"], *tokens(row)) for row in usage("model", "day")} == {
        ("gpt-4o", 40_000, 34_000, 0, 0, 200, 0),
        ("claude-sonnet-4-5", 20_000, 17_000, 1000, 0, 100, 0),
        ("o3", 500, 0, 0, 0, 100, 80),
    }
