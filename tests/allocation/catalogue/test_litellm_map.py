"""A price map in LiteLLM's JSON form: what it says, and what of it is no price of tokens."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from allocation.catalogue.litellm_map import ReadMap, read_map
from allocation.catalogue.own_prices import PriceFileError

D = Decimal
DAY = date(2026, 11, 30)
GENERAL = (None, 0)


def read(entries: dict[str, dict[str, Any]] | str) -> ReadMap:
    return read_map(entries if isinstance(entries, str) else json.dumps(entries), DAY)


def prices(found: ReadMap) -> dict[tuple[str, str], dict[tuple[Any, ...], Decimal]]:
    """Per (provider, model): price by class, tier and band."""
    told: dict[tuple[str, str], dict[tuple[Any, ...], Decimal]] = {}
    for each in found.lines:
        line = each.line
        own = told.setdefault((line.provider, line.model), {})
        own[line.token_class, line.tier, line.context_from] = line.per_million
    return told


def test_numbers_are_decimals_as_they_are_written() -> None:
    """0.1e-6 through a float would be 0.09999999999999999547... and times a million not 0.1."""
    text = (
        '{"m-1": {"litellm_provider": "openai", "input_cost_per_token": 0.1e-6,'
        ' "output_cost_per_token": 1.234567890123456789e-06}}'
    )

    assert prices(read(text))["openai", "m-1"] == {
        ("input_uncached", *GENERAL): D("0.1"),
        ("output_text", *GENERAL): D("1.234567890123456789"),
    }
    assert {each.source for each in read(text).lines} == {"LiteLLM map of 2026-11-30"}


def test_properties_say_class_tier_and_length_of_the_prompt() -> None:
    told = {
        "litellm_provider": "gemini",
        "input_cost_per_token": 2e-6,
        "input_cost_per_token_above_200k_tokens": 4e-6,
        "input_cost_per_token_batches": 1e-6,
        "input_cost_per_token_above_200k_tokens_batches": 2e-6,
        "output_cost_per_token": 8e-6,
        "output_cost_per_token_flex": 4e-6,
        "output_cost_per_reasoning_token": 9e-6,
        "cache_read_input_token_cost": 0.2e-6,
        "cache_read_input_token_cost_priority": 0.4e-6,
        "cache_creation_input_token_cost": 2.5e-6,
        "cache_creation_input_token_cost_above_1hr": 4e-6,
        "input_cost_per_audio_token": 3e-6,
        "output_cost_per_image_token": 30e-6,
    }

    assert prices(read({"gemini/gemini-9": told})) == {
        ("gcp.gemini", "gemini-9"): {
            ("input_uncached", None, 0): D(2),
            ("input_uncached", None, 200_001): D(4),
            ("input_uncached", "batch", 0): D(1),
            ("input_uncached", "batch", 200_001): D(2),
            ("output_text", None, 0): D(8),
            ("output_text", "flex", 0): D(4),
            ("reasoning", None, 0): D(9),
            ("cache_read", None, 0): D("0.2"),
            ("cache_read", "priority", 0): D("0.4"),
            ("cache_write_5m", None, 0): D("2.5"),
            ("cache_write_1h", None, 0): D(4),
            ("input_audio", None, 0): D(3),
            ("output_image", None, 0): D(30),
        }
    }


@pytest.mark.parametrize(
    ("key", "provider", "name"),
    [
        ("gpt-9", "openai", ("openai", "gpt-9")),
        ("openai/gpt-9", "openai", ("openai", "gpt-9")),
        ("azure/eu/gpt-9", "azure", ("azure.ai.openai", "eu/gpt-9")),
        ("azure_ai/Kimi-9", "azure_ai", ("azure.ai.inference", "kimi-9")),
        ("us.meta.l-9-v1:0", "bedrock_converse", ("aws.bedrock", "us.meta.l-9-v1:0")),
        ("bedrock/eu-west-3/meta.l-9", "bedrock", ("aws.bedrock", "eu-west-3/meta.l-9")),
        ("vertex_ai/c-9@default", "vertex_ai-anthropic_models", ("gcp.vertex_ai", "c-9@default")),
        ("gemini-9", "vertex_ai-language-models", ("gcp.vertex_ai", "gemini-9")),
        ("groq/openai/gpt-oss", "groq", ("groq", "openai/gpt-oss")),
        ("xai/grok-9", "xai", ("x_ai", "grok-9")),
        ("command-9", "cohere_chat", ("cohere", "command-9")),
        ("ft:gpt-9", "text-completion-openai", ("openai", "ft:gpt-9")),
    ],
)  # fmt: skip
def test_keys_name_the_seller_and_the_model(key: str, provider: str, name: object) -> None:
    told = {"litellm_provider": provider, "input_cost_per_token": 1e-6}

    assert list(prices(read({key: told}))) == [name]


def test_other_units_are_skipped_and_said_and_make_no_model_free() -> None:
    found = read(
        {
            "sample_spec": {"input_cost_per_token": "what a token costs"},
            "draw-1": {
                "litellm_provider": "openai",
                "input_cost_per_token": 0,
                "output_cost_per_image": 0.04,
            },
            "speak-1": {"litellm_provider": "openai", "input_cost_per_character": 15e-6},
            "hear-1": {"litellm_provider": "openai", "input_cost_per_second": 0.0001},
            "odd-1": {"input_cost_per_token": 1e-6},
            "mixed-1": {
                "litellm_provider": "openai",
                "input_cost_per_token": 1e-6,
                "search_context_cost_per_query": {"search_context_size_low": 0.01},
            },
            "free-1": {"litellm_provider": "ollama", "input_cost_per_token": 0.0},
        }
    )

    assert prices(found) == {
        ("openai", "mixed-1"): {("input_uncached", None, 0): D(1)},
        ("ollama", "free-1"): {("input_uncached", None, 0): D(0)},
    }
    assert found.skipped["priced by another unit than tokens"] == ["draw-1", "speak-1", "hear-1"]
    assert found.skipped["no litellm_provider"] == ["odd-1"]
    assert any("search_context_cost_per_query" in reason for reason in found.skipped)


def test_an_alias_has_the_prices_of_what_it_names() -> None:
    found = read(
        {
            "bedrock/claude-latest": {"alias_of": "us.anthropic.claude-9"},
            "us.anthropic.claude-9": {
                "litellm_provider": "bedrock_converse",
                "input_cost_per_token": 3e-6,
            },
            "lost": {"alias_of": "nobody"},
            "ring": {"alias_of": "ring"},
        }
    )

    assert prices(found)["aws.bedrock", "claude-latest"] == {("input_uncached", None, 0): D(3)}
    assert found.skipped["another name of a key that is not there"] == ["lost", "ring"]


def test_steps_are_prices_by_length_where_prices_are_known_to_change() -> None:
    steps = [
        {"range": [0, 32e3], "input_cost_per_token": 1e-6},
        {"range": [32e3, 128e3], "input_cost_per_token": 2e-6},
        {"range": [128e3, 252e3], "input_cost_per_token": 3e-6},
        {"range": [252e3, 1e6], "input_cost_per_token": 4e-6},
    ]
    found = read({"q-1": {"litellm_provider": "dashscope", "tiered_pricing": steps}})

    assert prices(found)["dashscope", "q-1"] == {
        ("input_uncached", None, 0): D(1),
        ("input_uncached", None, 32_001): D(2),
        ("input_uncached", None, 128_001): D(3),
    }
    assert any("252k" in reason for reason in found.skipped)


def test_the_first_of_two_keys_for_one_model_counts_and_the_other_is_said() -> None:
    told = {"litellm_provider": "deepseek", "input_cost_per_token": 1e-6}
    found = read({"d-1": told, "deepseek/d-1": told | {"input_cost_per_token": 2e-6}})
    same = read({"d-1": told, "deepseek/d-1": told})

    assert prices(found)["deepseek", "d-1"] == {("input_uncached", None, 0): D(1)}
    assert found.skipped == {"another price of what d-1 names": ["deepseek/d-1"]}
    assert same.skipped == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "line 1: it is no JSON"),
        ("[]", "a price map is an object of objects"),
        ('{"a": 1}', "a price map is an object of objects"),
        ('{"a": {}, "a": {}}', "the key 'a' stands twice"),
        ('{"a": {"input_cost_per_token": NaN}}', "NaN is no number"),
        (
            '{"a": {"litellm_provider": "x", "input_cost_per_token": "dear"}}',
            "'a': input_cost_per_token is 'dear', no number",
        ),
        (
            '{"a": {"litellm_provider": "x", "input_cost_per_token": true}}',
            "'a': input_cost_per_token is True, no number",
        ),
        (
            '{"a": {"litellm_provider": "x", "input_cost_per_token": -1}}',
            "'a': input_cost_per_token is '-1'; a price is 0 or more",
        ),
        (
            '{"a": {"litellm_provider": "x", "input_cost_per_token": 1e-999999}}',
            "'a': input_cost_per_token is '1E-999999', too long for a price",
        ),
        (
            '{"a": {"litellm_provider": "x", "input_cost_per_token": 2.5e6}}',
            "'a': input_cost_per_token is '2.5E+6', more than a price of a token can be",
        ),
        ("[" * 100_000, "it is nested too deep"),
    ],
)
def test_a_refusal_names_the_key(text: str, problem: str) -> None:
    with pytest.raises(PriceFileError) as refused:
        read(text)
    assert refused.value.problems[0].startswith(problem)


def test_a_number_as_text_is_that_number_and_null_is_none() -> None:
    told = {
        "litellm_provider": "openai",
        "input_cost_per_token": "1.5e-06",
        "output_cost_per_token": None,
    }

    assert prices(read({"m-1": told})) == {
        ("openai", "m-1"): {("input_uncached", None, 0): D("1.5")}
    }
