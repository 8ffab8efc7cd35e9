"""What a text of a bill names: models of every list, words around them, names that nobody knows."""

from __future__ import annotations

import pytest

from allocation.catalogue.naming import CalledNames, Said, read_details, read_wording
from allocation.catalogue.price_list import packaged
from allocation.catalogue.units import is_model_unit, tokens_per_unit
from allocation.catalogue.vocabulary import canonical_model, fold, known_models, vocabulary_sha256

MAKERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "gcp.gemini",
    "mistral": "mistral_ai",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "x-ai": "x_ai",
    "groq": "groq",
    "perplexity": "perplexity",
    "moonshotai": "moonshot_ai",
}


@pytest.mark.parametrize("list_id", MAKERS)
@pytest.mark.parametrize("worded", ["{}, input", "{} - Input Tokens", "{} input tokens", "{}"])
def test_every_model_of_a_price_list_is_known_by_its_id(list_id: str, worded: str) -> None:
    provider = next(each for each in packaged().providers if each.id == list_id)
    wrong = {
        model.id: said.model
        for model in provider.models
        if (said := read_wording(worded.format(model.id), MAKERS[list_id])).model
        != canonical_model(model.id)
        or not said.is_known
    }

    assert not wrong


def test_a_canonical_name_is_its_own() -> None:
    names = set(known_models().names.values())

    assert len(names) > 500
    assert {name for name in names if canonical_model(name) != name} == set()


@pytest.mark.parametrize(
    ("provider", "wording", "said"),
    [
        ("aws.bedrock", "EUC1-MP:EUC1_InputTokenCount_Batch-Units", (None, "input", "batch")),
        ("aws.bedrock", "Claude Sonnet 4.5 (Amazon Bedrock Edition)", ("claude-sonnet-4-5",)),
        ("aws.bedrock", "USE1-ClaudeOpus4.1-cache-read-input-token-count",
         ("claude-opus-4-1", "cache_read")),
        ("aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0 input",
         ("claude-sonnet-4-5", "input")),
        ("azure.ai.openai", "5 mini pp Inp Gl 1M Tokens", ("gpt-5-mini", "input", "priority")),
        ("azure.ai.openai", "gpt 4.1 cd Inp regnl Tokens", ("gpt-4.1", "cache_read")),
        ("azure.ai.openai", "gpt-4o-mini-0718-FT-Outp-glbl Tokens", ("ft:gpt-4o-mini", "output")),
        ("gcp.gemini", "Generate content input token count gemini 2.5 pro short input text",
         ("gemini-2.5-pro", "input")),
        ("openai", "gpt-4o batch, cached input", ("gpt-4o", "cache_read", "batch")),
        ("openai", "ft:gpt-4.1-nano-2025-04-14:acme::x2, output", ("ft:gpt-4.1-nano", "output")),
        ("anthropic", "claude-opus-4-7[1m], output", ("claude-opus-4-7", "output")),
        ("gcp.vertex_ai", "projects/p/locations/us/publishers/google/models/gemini-2.5-flash",
         ("gemini-2.5-flash",)),
        ("cohere", "command, input", ("command", "input")),
    ],
)  # fmt: skip
def test_names_stand_among_words(provider: str, wording: str, said: tuple[str | None, ...]) -> None:
    model, token_class, tier = (*said, None, None)[:3]

    assert read_wording(wording, provider) == Said(model, model is not None, token_class, tier)


@pytest.mark.parametrize(
    ("provider", "wording", "name"),
    [
        ("openai", "gpt-5.1-codex-zephyr, input", "gpt-5.1-codex-zephyr"),
        ("openai", "my-gpt-4o, input", "my-gpt-4o"),
        ("openai", "gpt-7 - Output Tokens", "gpt-7"),
        ("openai", "kestrel-70b input tokens", "kestrel-70b"),
        ("openai", "command, input", "command"),  # Cohere's
        ("anthropic", "Claude Saga 9 Usage - Input Tokens", "claude saga 9"),
        ("aws.bedrock", "USE1-Zephyr2Pro-input-tokens", "zephyr2pro"),
        ("cohere", "command-q, input", "command-q"),
        ("gcp.gemini", "gemini-2.5-flash-ultra text input", "gemini-2.5-flash-ultra"),
    ],
)
def test_a_name_with_another_word_in_it_is_another_model(
    provider: str, wording: str, name: str
) -> None:
    said = read_wording(wording, provider)

    assert (said.model, said.is_known) == (name, False)


def test_names_of_calls_are_known_at_their_provider() -> None:
    called = CalledNames([("openai", "prompt-router"), ("anthropic", "kestrel"), (None, "gpt-9")])

    assert read_wording("prompt-router, input", "openai", called).model == "prompt-router"
    assert read_wording("prompt-router, input", "openai", called).token_class == "input"
    assert not read_wording("kestrel, input", "openai", called).is_known
    assert not read_wording("prompt-router-2, input", "openai", called).is_known


def test_the_fold_keeps_numbers_apart() -> None:
    assert fold("GPT 5-1") == fold("gpt-5.1") == fold("Gpt5.1")
    assert fold("gpt-51") != fold("gpt-5.1")
    assert fold("NovaPro") == fold("nova-pro")


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ('{"ModelId": "gpt-5-2025-08-07", "TokenDirection": "Input"}', ("gpt-5", "input", None)),
        ('{"Model": "gpt-5", "TokenType": "cached input tokens"}', ("gpt-5", "input", None)),
        ('{"TokenCacheAction": "Read", "TokenDirection": "Input"}', (None, "cache_read", None)),
        ('{"TokenCacheAction": "Uncached", "TokenDirection": "Input"}', (None, "input", None)),
        ('{"TokenDirection": "Output", "TokenModality": "Audio", "ServiceTier": "Batch"}',
         (None, "output_audio", "batch")),
        ("not json", (None, None, None)),
        ('{"InstanceType": "p5.48xlarge"}', (None, None, None)),
    ],
)  # fmt: skip
def test_properties_say_it_outright(details: str, said: tuple[str | None, ...]) -> None:
    found = read_details(details)

    assert (found.model, found.token_class, found.tier) == said


@pytest.mark.parametrize(
    ("unit", "tokens"),
    [
        ("Million Input Tokens", "1000000"),
        ("Million Batch Input Tokens", "1000000"),
        ("per 1K output tokens", "1000"),
        ("2.5M tokens", "2500000"),
        ("thousand tokens", "1000"),
        ("1M count", None),
        ("Units", None),
        ("tokens per minute", None),
        ("Characters", None),
    ],
)
def test_number_words_stand_anywhere_and_an_unknown_word_makes_a_unit_unknown(
    unit: str, tokens: str | None
) -> None:
    found = tokens_per_unit(unit)

    assert (None if found is None else str(found)) == tokens


def test_units_of_models_are_told_from_others() -> None:
    assert is_model_unit("1M Tokens")
    assert is_model_unit(None, "1K characters")
    assert not is_model_unit("Hours", None, "count")


def test_the_vocabulary_has_a_fingerprint() -> None:
    assert len(vocabulary_sha256()) == 64
