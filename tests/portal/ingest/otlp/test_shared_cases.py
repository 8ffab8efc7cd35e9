"""Every shared case of traces says what it should."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from allocation.catalogue.price_store import ensure_prices
from tests.portal.ingest.otlp.sending import ingest_secret
from tests.portal.ingest.otlp.shared_cases import FOLDER, SENT_AT, send_case, tokens, usage

EXPECTED = FOLDER / "expected.json"

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("frozen_clock"),
    pytest.mark.skipif(not EXPECTED.exists(), reason=f"{EXPECTED} is not there"),
]


@pytest.fixture
def frozen_clock() -> Iterator[None]:
    with time_machine.travel(SENT_AT):
        yield


def expectations() -> list[tuple[str, dict[str, Any]]]:
    if not EXPECTED.exists():
        return []
    found = json.loads(EXPECTED.read_text(encoding="utf-8"))
    return [(name, told) for name, told in sorted(found.items()) if name != "_about"]


def told(name: str, asked: dict[str, Any]) -> dict[str, Any]:
    """What usage says of a case, in the words of expected.json."""
    (row,) = usage("service")
    found: dict[str, Any] = {
        "calls": row["calls"],
        "silent": row["calls_without_usage"],
        "tokens": tokens(row),
        "list_cost": row["list_cost"] and Decimal(row["list_cost"]),
        # Of one call: emit-20 holds two that cost the same.
        "client_cost": row["client_cost"]
        and Decimal(row["client_cost"]) / row["client_cost_calls"],
        "time_to_first_chunk_ms_at_most": row["time_to_first_chunk_ms_p50"],
        "models": sorted(str(each["model"]) for each in usage("model")),
    }
    for by in ("provider", "team", "feature", "customer", "model"):
        values = {each[by] for each in usage(by)}
        found[by] = values.pop() if len(values) == 1 else values
    return {key: found[key] for key in asked}


@pytest.mark.parametrize(("name", "asked"), expectations())
def test_case(name: str, asked: dict[str, Any]) -> None:
    ensure_prices()
    send_case(name, ingest_secret())

    found = told(name, asked)

    limit = asked.get("time_to_first_chunk_ms_at_most")
    if limit is not None and found["time_to_first_chunk_ms_at_most"] <= limit:
        found["time_to_first_chunk_ms_at_most"] = limit
    costs = {"list_cost", "client_cost"} & asked.keys()
    assert found == {**asked, **{name: Decimal(asked[name]) for name in costs}}
