"""Names on bills and in traces meet: real wording of five providers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from allocation.catalogue.entries import Entry
from allocation.catalogue.units import tokens_per_unit
from allocation.catalogue.vocabulary import canonical_model, canonical_provider
from allocation.catalogue.wording import bill_line


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o", "gpt-4o"),
        ("GPT-4o", "gpt-4o"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4o-0806", "gpt-4o"),
        ("gpt-4.1-mini-2025-04-14", "gpt-4.1-mini"),
        ("gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("gpt-35-turbo", "gpt-3.5-turbo"),
        ("gpt-3.5-turbo-0125", "gpt-3.5-turbo"),
        ("gpt-4-0613", "gpt-4"),
        ("gpt-4-turbo-2024-04-09", "gpt-4-turbo"),
        ("o3-mini-2025-01-31", "o3-mini"),
        ("openai/gpt-4o:free", "gpt-4o"),
        ("ft:gpt-4o-mini-2024-07-18:acme::x1", "ft:gpt-4o-mini"),
        ("text-embedding-3-small", "text-embedding-3-small"),
        ("text-embedding-ada-002", "text-embedding-ada-002"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("Claude Sonnet 4.5", "claude-sonnet-4-5"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet"),
        ("claude-3-5-sonnet-v2@20241022", "claude-3-5-sonnet"),
        ("claude-3-haiku-20240307", "claude-3-haiku"),
        ("claude-opus-4-20250514", "claude-opus-4"),
        ("claude-opus-4-0", "claude-opus-4"),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0",
            "claude-haiku-4-5",
        ),
        ("meta.llama3-1-70b-instruct-v1:0", "llama-3.1-70b"),
        ("meta-llama/Llama-3.1-70B-Instruct", "llama-3.1-70b"),
        ("amazon.nova-pro-v1:0", "nova-pro"),
        ("amazon.titan-embed-text-v2:0", "titan-embed-text-v2"),
        ("mistral.mistral-large-2407-v1:0", "mistral-large"),
        ("models/gemini-2.0-flash-001", "gemini-2.0-flash"),
        ("publishers/google/models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("gemini-2.5-flash-preview-09-2025", "gemini-2.5-flash"),
        ("gemini-embedding-001", "gemini-embedding-001"),
        ("my-own-model", "my-own-model"),
    ],
)
def test_a_model_has_one_name(name: str, model: str) -> None:
    assert canonical_model(name) == model
    assert canonical_model(model) == model


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("OpenAI", "openai"),
        (" open ai ", "openai"),
        ("az.ai.openai", "azure.ai.openai"),
        ("bedrock", "aws.bedrock"),
        ("vertex_ai", "gcp.vertex_ai"),
        ("xai", "x_ai"),
        ("Amazon Web Services", "aws"),
        ("Google Cloud", "gcp"),
        ("Microsoft", "azure"),
        ("Somebody New", "somebody new"),
    ],
)
def test_a_provider_has_one_name(name: str, provider: str) -> None:
    assert canonical_provider(name) == provider


OPENAI = {"provider_name": "OpenAI", "service_name": "OpenAI API"}
ANTHROPIC = {"provider_name": "Anthropic", "service_name": "Claude API"}
BEDROCK = {"provider_name": "AWS", "service_name": "Amazon Bedrock"}
VERTEX = {"provider_name": "Google Cloud", "service_name": "Vertex AI"}
AZURE = {"provider_name": "Microsoft", "service_name": "Azure OpenAI"}


MARKETPLACE = [
    {"provider_name": seller, "service_name": f"{model} (Amazon Bedrock Edition)"}
    for seller, model in (
        ("Anthropic", "Claude Sonnet 4.5"),
        ("AWS Marketplace", "Claude 3.5 Sonnet"),
    )
]
# Wording of bills, and what it means: model, token class and tier.
WORDING: tuple[tuple[dict[str, str], str, str], ...] = (
    (
        OPENAI,
        "openai",
        """
        gpt-4o-2024-08-06, input                 -> gpt-4o input
        gpt-4o-2024-08-06, cached input          -> gpt-4o cache_read
        gpt-4o-2024-08-06, output                -> gpt-4o output
        gpt-4o-mini-2024-07-18 batch, input      -> gpt-4o-mini input batch
        o4-mini-2025-04-16, cached input         -> o4-mini cache_read
        text-embedding-3-small, input            -> text-embedding-3-small input
        """,
    ),
    (
        ANTHROPIC,
        "anthropic",
        """
        Claude Sonnet 4.5 Usage - Input Tokens                   -> claude-sonnet-4-5 input
        Claude Sonnet 4.5 Usage - Input Tokens, Cache Read       -> claude-sonnet-4-5 cache_read
        Claude Sonnet 4.5 Usage - Input Tokens, Cache Write (5m) -> claude-sonnet-4-5 cache_write_5m
        Claude Haiku 4.5 Usage - Input Tokens, Cache Write (1h)  -> claude-haiku-4-5 cache_write_1h
        Claude 3.5 Sonnet Usage - Output Tokens                  -> claude-3-5-sonnet output
        """,
    ),
    (
        BEDROCK,
        "aws.bedrock",
        """
        USE1-Claude4.5Sonnet-input-tokens                  -> claude-sonnet-4-5 input
        USE1-Claude4.5Sonnet-output-tokens-batch           -> claude-sonnet-4-5 output batch
        USE1-Claude4.5Sonnet-cache-read-input-token-count  -> claude-sonnet-4-5 cache_read
        USE1-Claude4.5Sonnet-cache-write-input-token-count -> claude-sonnet-4-5 cache_write
        USW2-NovaPro-input-tokens                          -> nova-pro input
        USE1-Llama3-1-70B-input-tokens                     -> llama-3.1-70b input
        """,
    ),
    (
        VERTEX,
        "gcp.vertex_ai",
        """
        Gemini 2.5 Flash Input Text Tokens             -> gemini-2.5-flash input
        Gemini 2.5 Flash Output Text Tokens            -> gemini-2.5-flash output
        Gemini 2.5 Flash-Lite Text Input - Predictions -> gemini-2.5-flash-lite input
        Gemini 2.5 Flash Input Text Caching            -> gemini-2.5-flash cache_read
        """,
    ),
    (MARKETPLACE[0], "aws.bedrock", "USE1-Claude4.5Sonnet-input-tokens -> claude-sonnet-4-5 input"),
    (MARKETPLACE[1], "aws.bedrock", "USE1_OutputTokenCount-Units -> claude-3-5-sonnet output"),
    (
        AZURE,
        "azure.ai.openai",
        """
        gpt-4o-0806-Inp-glbl Tokens        -> gpt-4o input
        gpt 4o 0806 cached Inp glbl Tokens -> gpt-4o cache_read
        gpt-4o-mini-0718-Outp-regnl Tokens -> gpt-4o-mini output
        """,
    ),
)


@pytest.mark.parametrize(
    ("row", "provider", "wording", "meaning"),
    [
        (row, provider, *map(str.strip, line.split("->")))
        for row, provider, text in WORDING
        for line in text.strip().splitlines()
    ],
)
def test_a_bill_line_says_what_was_called(
    row: dict[str, str], provider: str, wording: str, meaning: str
) -> None:
    model, token_class, tier = [*meaning.split(), None][:3]
    for column in ("sku_meter", "charge_description"):
        line = bill_line(row | {column: wording, "charge_category": "Usage"})

        assert line.provider == provider
        assert (line.model, line.token_class, line.tier) == (model, token_class, tier)
        assert line.is_model_usage
        assert not line.is_gpu


@pytest.mark.parametrize(
    ("row", "is_gpu"),
    [
        ({"sku_meter": "BoxUsage:p5.48xlarge"}, True),
        ({"resource_type": "g6.xlarge"}, True),
        ({"charge_description": "A3 Instance a3-highgpu-8g running in Americas"}, True),
        ({"charge_description": "Nvidia H100 80GB GPU running in Americas"}, True),
        ({"sku_meter": "Standard_ND96isr_H100_v5"}, True),
        ({"sku_meter": "BoxUsage:m5.large"}, False),
        ({"sku_meter": "TimedStorage-ByteHrs"}, False),
    ],
)
def test_accelerators_are_known_by_their_wording(row: dict[str, Any], is_gpu: bool) -> None:
    assert bill_line({"provider_name": "AWS", "service_name": "Compute"} | row).is_gpu == is_gpu


@pytest.mark.parametrize(
    ("unit", "tokens"),
    [
        ("Tokens", 1),
        ("1K tokens", 1000),
        ("1M Tokens", 10**6),
        ("1,000 tokens", 1000),
        ("M tokens", 10**6),
        ("Hours", None),
        ("Requests", None),
        (", tokens", None),
        ("", None),
        (None, None),
    ],
)
def test_units_convert_to_tokens_or_not_at_all(unit: str | None, tokens: int | None) -> None:
    assert tokens_per_unit(unit) == (None if tokens is None else Decimal(tokens))


def test_units_that_are_one_number_of_tokens_are_written_alike() -> None:
    """Else the hash of a split key that has both depends on which the database happens to name
    first.
    """
    for units in (
        ("1K tokens", "1.0K tokens", "1,000 tokens", "1000.00 tokens"),
        ("0.5K tokens", "500 tokens"),
    ):
        assert len({str(tokens_per_unit(unit)) for unit in units}) == 1


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"sku_meter": "gpt-4o, input, free tier"}, "tiered"),
        ({"sku_meter": "gpt-4o, input", "charge_description": "First 1M tokens"}, "tiered"),
        ({"sku_meter": "gpt-4o, input tier 2"}, "tiered"),
        ({"sku_meter": "Gemini 2.5 Pro Input Text Tokens above 200K"}, None),
        ({"charge_description": "Fine-tuned model hosting hours"}, "hosting"),
        ({"charge_description": "gpt-4o-mini fine tuning hosting hour"}, "hosting"),
        ({"charge_description": "Custom Model Unit per minute"}, "hosting"),
        ({"charge_description": "gpt-4o-mini fine-tuned, input tokens"}, None),
    ],
)
def test_tiers_and_hosting_are_known_by_their_wording(
    row: dict[str, Any], kind: str | None
) -> None:
    line = bill_line(OPENAI | row)

    assert (line.is_tiered, line.is_hosting) == (kind == "tiered", kind == "hosting")


@pytest.mark.parametrize(
    ("meter", "region"),
    [
        ("USE1-Claude4.5Sonnet-input-tokens", "us-east-1"),
        ("USE1-Claude4.5Sonnet-input-tokens-cross-region-global", "us-east-1 global"),
    ],
)
def test_a_global_inference_profile_is_a_region_of_its_own(meter: str, region: str) -> None:
    assert bill_line(BEDROCK | {"sku_meter": meter, "region_id": "us-east-1"}).region == region


def test_own_entries_come_before_the_built_in_wording_and_leave_the_rest_to_it() -> None:
    entries = (
        Entry("trace", None, "sonnet", model="wrong side"),
        Entry("bill", "openai", "chat-prod", model="gpt-4o", tier="batch"),
        Entry("bill", None, "acme gateway", provider="openai", model="o1", token_class="output"),
    )

    deployment = bill_line(OPENAI | {"sku_meter": "chat-prod, cached input"}, entries)
    gateway = bill_line({"provider_name": "Acme", "sku_meter": "ACME Gateway units"}, entries)
    other = bill_line(ANTHROPIC | {"sku_meter": "Claude Sonnet 4.5 Usage - Input Tokens"}, entries)

    assert (deployment.model, deployment.token_class, deployment.tier) == (
        "gpt-4o",
        "cache_read",
        "batch",
    )
    assert (gateway.provider, gateway.model, gateway.token_class) == ("openai", "o1", "output")
    assert gateway.is_model_usage
    assert other.model == "claude-sonnet-4-5"
