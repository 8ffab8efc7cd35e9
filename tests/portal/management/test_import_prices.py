"""import_prices as a shell sees it: prices of several sources, each with its own."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.db import connection

from allocation.catalogue.price_store import ensure_prices
from allocation.catalogue.prices import current_version
from allocation.models import Price, PriceVersion, SourcePrice, UsageHourly
from portal.accounts.models import AuditEntry
from portal.ingest.otlp.job_kinds import refresh_prices
from portal.ingest.otlp.rollup.merge import merge_deltas
from tests.portal.ingest.otlp.sending import NOW, ingest_secret, request, send, span
from tests.portal.management.test_ledger_commands import Captured, refusal, run

pytestmark = pytest.mark.django_db(databases=["default", "owner"])

HEADER = "provider,model,valid_from,tier,class,usd_per_million,overrides\n"
MAP = {
    "gemini/gemini-2.5-pro": {
        "litellm_provider": "gemini",
        "input_cost_per_token": 1.25e-6,
        "input_cost_per_token_flex": 0.625e-6,
        "input_cost_per_token_priority": 2.25e-6,
        "output_cost_per_token": 10e-6,
    },
    "house/llm-9": {
        "litellm_provider": "house",
        "input_cost_per_token": 3e-6,
        "output_cost_per_token": 6e-6,
    },
    "speak-1": {"litellm_provider": "openai", "input_cost_per_character": 15e-6},
}


def map_file(folder: Path, entries: dict[str, Any]) -> str:
    path = folder / "prices.json"
    path.write_text(json.dumps(entries))
    return str(path)


def own_file(folder: Path, *rows: str) -> str:
    path = folder / "own.csv"
    path.write_text(HEADER + "\n".join(rows))
    return str(path)


def call(provider: str, model: str, tier: str | None = None) -> None:
    """One call with 1,000 input tokens, of the feature called like its tier."""
    told = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 0,
        "feature": tier or model,
        **({"gen_ai.request.service_tier": tier} if tier else {}),
    }
    number = UsageHourly.objects.count() + 1
    assert send(request([span(number, told, trace=number)]), ingest_secret()).status_code == 200
    merge_deltas()


def costs() -> dict[str, Decimal | None]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.feature, u.list_cost FROM usage_hourly u"
            " JOIN allocation_usagedimension d ON d.id = u.dimension_id"
        )
        return dict(cursor.fetchall())


def at_general_price(capsys: Captured) -> dict[str, int]:
    found = run(capsys, "usage", "2026-11-20", "2026-11-21", "--by", "feature")
    return {row["feature"]: row["calls_at_general_price"] for row in found["rows"]}


def reprice(capsys: Captured) -> dict[str, Decimal | None]:
    run(capsys, "reprice")
    return costs()


@time_machine.travel(NOW, tick=False)
def test_a_tier_without_a_price_is_priced_in_general_until_some_source_has_one(
    capsys: Captured, tmp_path: Path
) -> None:
    """The shape of fmt-10: three tiers of a model, of which the package knows batch."""
    ensure_prices()
    for tier in ("flex", "priority", "batch"):
        call("gcp.gemini", "gemini-2.5-pro", tier)
    before = costs()

    general = at_general_price(capsys)

    outcome = run(
        capsys,
        "import_prices",
        "--litellm",
        map_file(tmp_path, MAP),
        "--valid-from",
        "2026-11-01",
    )
    after = reprice(capsys)

    assert before == {
        "flex": Decimal("0.00125"),
        "priority": Decimal("0.00125"),
        "batch": Decimal("0.000625"),
    }
    assert after == {
        "flex": Decimal("0.000625"),
        "priority": Decimal("0.00225"),
        "batch": Decimal("0.000625"),
    }
    assert general == {"flex": 1, "priority": 1, "batch": 0}
    assert at_general_price(capsys) == {"flex": 0, "priority": 0, "batch": 0}
    assert outcome["status"] == "loaded"
    assert outcome["source"].endswith(" + LiteLLM map")
    assert outcome["litellm"] == {
        "status": "loaded",
        "valid_from": "2026-11-01",
        "prices": 6,
        "models": 2,
        "skipped": [
            {
                "reason": "input_cost_per_character: no price of tokens that calls tell of",
                "keys": 1,
                "for_example": ["speak-1"],
            },
            {
                "reason": "priced by another unit than tokens",
                "keys": 1,
                "for_example": ["speak-1"],
            },
        ],
    }
    sources = Price.objects.filter(version=outcome["version"], model="gemini-2.5-pro", tier="flex")
    assert set(sources.values_list("source", flat=True)) == {"LiteLLM map of 2026-11-01"}


@time_machine.travel(NOW, tick=False)
def test_own_prices_price_what_nobody_knows_and_override_where_they_say_so(
    capsys: Captured, tmp_path: Path
) -> None:
    ensure_prices()
    call("house", "llm-7")
    call("house", "llm-0")
    call("openai", "gpt-4o")
    call("openai", "gpt-4o-mini")
    before = costs()
    rows = [
        "house,llm-7,2026-11-01,,input,3,",
        "house,llm-0,,,input,0,",
        "openai,gpt-4o,2026-11-01,,input,2,yes",
        "openai,gpt-4o-mini,2026-11-01,,input,9,",
    ]

    outcome = run(capsys, "import_prices", "--own", own_file(tmp_path, *rows))

    assert before["llm-7"] is None
    assert before["llm-0"] is None
    assert outcome["own"] == {"status": "loaded", "prices": 4}
    assert reprice(capsys) == {
        "llm-7": Decimal("0.003"),
        "llm-0": 0,  # free is no unknown
        "gpt-4o": Decimal("0.002"),
        "gpt-4o-mini": before["gpt-4o-mini"],
    }
    entry = AuditEntry.objects.get(action="import prices")
    assert entry.detail["own"] == outcome["own"]


@time_machine.travel(NOW, tick=False)
def test_the_same_content_is_unchanged_on_any_day_and_what_left_leaves(
    capsys: Captured, tmp_path: Path
) -> None:
    packaged = ensure_prices()[0].pk
    maps, own = map_file(tmp_path, MAP), own_file(tmp_path, "house,llm-7,,,input,3,")
    first = run(capsys, "import_prices", "--litellm", maps, "--own", own)
    with time_machine.travel(datetime(2026, 12, 24, tzinfo=UTC), tick=False):
        again = run(capsys, "import_prices", "--litellm", maps, "--own", own)
    by_job = refresh_prices()

    assert (first["status"], again["status"]) == ("loaded", "unchanged")
    assert again["version"] == first["version"]
    assert by_job[0].pk == first["version"]
    assert not by_job[1]
    assert [again[name]["status"] for name in ("own", "litellm")] == ["unchanged"] * 2

    run(capsys, "import_prices", "--own", own_file(tmp_path))
    gone = run(capsys, "import_prices", "--litellm", map_file(tmp_path, {}))

    assert SourcePrice.objects.count() == 0
    assert gone["sha256"] == PriceVersion.objects.get(pk=packaged).content_sha256
    assert gone["version"] == current_version() != packaged


@time_machine.travel(NOW, tick=False)
def test_a_newer_map_holds_from_its_day_and_the_older_one_before(
    capsys: Captured, tmp_path: Path
) -> None:
    ensure_prices()
    call("house", "llm-9")
    dearer = MAP | {"house/llm-9": {**MAP["house/llm-9"], "input_cost_per_token": 5e-6}}

    run(capsys, "import_prices", "--litellm", map_file(tmp_path, MAP), "--valid-from", "2026-11-01")
    old = reprice(capsys)
    run(
        capsys,
        "import_prices",
        "--litellm",
        map_file(tmp_path, dearer),
        "--valid-from",
        "2026-11-21",
    )
    kept = SourcePrice.objects.filter(valid_from="2026-11-21")
    tomorrow = reprice(capsys)
    run(
        capsys,
        "import_prices",
        "--litellm",
        map_file(tmp_path, dearer),
        "--valid-from",
        "2026-11-20",
    )

    assert [old, tomorrow] == [{"llm-9": Decimal("0.003")}] * 2
    assert [(row.model, row.token_class, row.per_million) for row in kept] == [
        ("llm-9", "input_uncached", 5)
    ]
    assert reprice(capsys) == {"llm-9": Decimal("0.005")}


def test_a_refused_file_changes_nothing(capsys: Captured, tmp_path: Path) -> None:
    bad_map = map_file(
        tmp_path, {"a": {"litellm_provider": "openai", "input_cost_per_token": "dear"}}
    )
    bad_own = own_file(tmp_path, "x,m,,,input,3,", "x,m,,,input,free,")
    own = tmp_path / "good.csv"
    own.write_text(HEADER + "x,m,,,input,3,")

    assert "- 'a': input_cost_per_token is 'dear', no number" in refusal(
        capsys, "import_prices", "--own", str(own), "--litellm", bad_map
    )
    assert "- line 3: usd_per_million" in refusal(capsys, "import_prices", "--own", bad_own)
    assert "can't be read" in refusal(capsys, "import_prices", "--own", str(tmp_path / "none"))
    assert "goes with --litellm" in refusal(
        capsys, "import_prices", "--own", str(own), "--valid-from", "2026-01-01"
    )
    assert not SourcePrice.objects.exists()
    assert not PriceVersion.objects.exists()


@time_machine.travel(NOW, tick=False)
def test_doubts_are_told_by_the_money_they_touch_and_written_down(
    capsys: Captured, tmp_path: Path
) -> None:
    ensure_prices()
    for model, tier in (("gpt-4o", None), ("gpt-4o", "flex"), ("llm-7", None), ("llm-8", None)):
        call("openai" if model == "gpt-4o" else "house", model, tier)
    rows = ["house,llm-7,,,input,3,", "openai,gpt-4o,,,input,2,"]
    written = tmp_path / "doubts.csv"

    outcome = run(
        capsys, "import_prices", "--own", own_file(tmp_path, *rows), "--doubts", str(written)
    )

    assert outcome["calls_at_general_price"] == "1"
    assert {each["kind"]: (each["list_cost"], each["first"]) for each in outcome["doubts"]} == {
        "no source has a price": (None, "house llm-8"),
        "general price: no source has one of the tier": (
            "0.0025",
            "openai gpt-4o flex input_uncached",
        ),
        "sources differ by more than 1%": ("0.005", "openai gpt-4o input_uncached"),
        "only a later source has the price": ("0.003", "house llm-7 input_uncached"),
    }
    lines = written.read_text().splitlines()
    assert lines[1:3] == [
        "no source has a price,house,llm-8,,,1,1000,,,,,",
        "only a later source has the price,house,llm-7,,input_uncached,1,1000,0.003"
        ",own entries,3,,",
    ]
    assert len(lines) == 6


@time_machine.travel(NOW, tick=False)
def test_calls_of_a_framework_are_shown_under_whose_price_they_have(
    capsys: Captured, tmp_path: Path
) -> None:
    call("some-framework", "gemini-2.5-pro")
    asked = ("usage", "2026-11-20", "2026-11-21", "--by", "provider")
    before = run(capsys, *asked)["rows"]
    run(capsys, "import_prices", "--litellm", map_file(tmp_path, MAP))
    reprice(capsys)
    after = run(capsys, *asked)["rows"]

    assert [row["provider"] for row in before] == ["gcp.gen_ai"]  # either door of Google's
    assert after == before
