"""Usage reports: tables and pages of two providers become exclusive token counts."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from allocation.models import (
    ProviderUsage,
)
from tests.portal.ingest.drivers.files import OPENAI_RESULT, bad, openai_page, report, send

pytestmark = pytest.mark.django_db


def usage() -> list[tuple[Any, ...]]:
    names = [
        "day",
        "model",
        "is_batch",
        "api_key",
        "workspace",
        "requests",
        "input_uncached",
        "cache_read",
    ]
    names += ["cache_write_5m", "cache_write_1h", "output_text", "input_audio", "output_audio"]
    return list(
        ProviderUsage.objects.order_by("day", "model", "api_key", "workspace").values_list(*names)
    )


def test_a_table_of_usage_is_read_under_canonical_names() -> None:
    outcome = send(
        report("OpenAI"),
        "day,model,batch,api_key,requests,input_uncached,output_text\n"
        "2026-10-14,gpt-4o-2024-08-06,true,key_1,2,100,10\n"
        "2026-10-14,gpt-4o-2024-05-13,true,key_1,1,50,5\n",
    )

    assert usage() == [
        (date(2026, 10, 14), "gpt-4o", True, "key_1", None, 3, 150, 0, 0, 0, 15, 0, 0)
    ]
    assert ProviderUsage.objects.get().provider == "openai"
    assert outcome.changes[0].quantity_after == 165
    again = (
        "day,model,output_text\n2026-10-14,gpt-4o,1\n2026-10-14,gpt-4o,1\n2026-10-14,gpt-4o,0.5\n"
    )
    refused = send(report("openai"), again)
    assert [(line, column) for line, column, _, _ in bad(refused)] == [
        (3, None),
        (4, "output_text"),
    ]


def test_openai_pages_become_exclusive_buckets_that_add_up_to_what_was_told() -> None:
    pages = [
        openai_page(OPENAI_RESULT, has_more=True),
        openai_page(OPENAI_RESULT, start=1_791_939_600),
    ]

    outcome = send(report("openai"), json.dumps(pages))

    assert outcome.status == "loaded", outcome.in_words()
    row = ProviderUsage.objects.get()
    assert (row.day, row.project, row.api_key, row.user) == (
        date(2026, 10, 14),
        "proj_1",
        "key_1",
        None,
    )
    assert (row.input_uncached, row.cache_read, row.cache_write_5m, row.input_audio) == (
        960,
        800,
        100,
        140,
    )
    assert (row.output_text, row.output_audio, row.requests) == (520, 80, 10)
    assert row.input_uncached + row.cache_read + row.cache_write_5m + row.input_audio == 2000
    assert send(report("openai"), json.dumps(pages)).status == "unchanged"


ANTHROPIC_RESULT = {
    "uncached_input_tokens": 1500,
    "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
    "cache_read_input_tokens": 200,
    "output_tokens": 500,
    "server_tool_use": {"web_search_requests": 10},
    "api_key_id": "apikey_1",
    "workspace_id": "wrkspc_1",
    "model": "claude-sonnet-4-5-20250929",
    "service_tier": "batch",
    "context_window": "0-200k",
}


def anthropic_page(*results: dict[str, Any], **page: Any) -> dict[str, Any]:
    bucket = {
        "starting_at": "2026-10-14T00:00:00Z",
        "ending_at": "2026-10-15T00:00:00Z",
        "results": list(results),
    }
    return {"data": [bucket], "has_more": False, "next_page": None, **page}


def test_anthropic_pages_nested_or_flat_and_the_default_workspace() -> None:
    flat = {
        **{name: value for name, value in ANTHROPIC_RESULT.items() if name != "cache_creation"},
        "cache_creation_5m_input_tokens": 7,
        "cache_creation_1h_input_tokens": 8,
        "workspace_id": None,
        "service_tier": "standard",
    }

    outcome = send(
        report("anthropic"),
        json.dumps(anthropic_page(ANTHROPIC_RESULT, flat)),
    )

    assert outcome.status == "loaded", outcome.in_words()
    day, model, key = date(2026, 10, 14), "claude-sonnet-4-5", "apikey_1"
    assert usage() == [
        (day, model, False, key, "default", 0, 1500, 200, 7, 8, 500, 0, 0),
        (day, model, True, key, "wrkspc_1", 0, 1500, 200, 500, 1000, 500, 0, 0),
    ]
    assert ProviderUsage.objects.order_by("pk")[0].workspace in ("default", "wrkspc_1")


def test_pages_that_lack_pages_overlap_or_do_not_add_up_are_refused() -> None:
    kind = report("openai")

    assert "has_more" in (
        send(kind, json.dumps(openai_page(OPENAI_RESULT, has_more=True))).reason or ""
    )
    twice = send(kind, "\n".join(json.dumps(openai_page(OPENAI_RESULT)) for _ in range(2)))
    assert [(line, column) for line, column, _, _ in bad(twice)] == [(2, "data[0].results[0]")]
    wrong: list[dict[str, Any]] = [
        {**OPENAI_RESULT, "input_tokens": 300},
        {**OPENAI_RESULT, "output_tokens": -1},
        {**OPENAI_RESULT, "output_tokens": True},
        {**OPENAI_RESULT, "model": 4},
        {"tokens": 1},
    ]
    outcome = send(kind, json.dumps(openai_page(*wrong)))
    assert [(column, value) for _, column, value, _ in bad(outcome)] == [
        ("data[0].results[0].input_tokens", "300"),
        ("data[0].results[1].output_tokens", "-1"),
        ("data[0].results[2].output_tokens", "True"),
        ("data[0].results[3].model", "4"),
        ("data[0].results[4]", None),
    ]
    for text in (
        "{",
        "[[[",
        '{"data": 1}',
        '{"data": [1]}',
        "[" * 100_000,
        '{"data": [{"results": [{"a": 1e999999}]}]}',
    ):
        assert send(kind, text).status == "refused", text[:50]
    month = {
        "data": [
            {
                "starting_at": "2026-10-01T00:00:00Z",
                "ending_at": "2026-11-01T00:00:00Z",
                "results": [{}],
            }
        ]
    }
    assert "one UTC day" in bad(send(kind, json.dumps(month)))[0][3]
    assert not ProviderUsage.objects.exists()
