"""The models that the demo company uses, as bills and traces name them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """One model: how traces name it, how the bill names it, how fast it answers."""

    key: str  # canonical name, the one in the truth
    provider: str  # as spans name it
    requested: str
    answered: str
    listed: tuple[str, str] | None  # provider and model id in genai-prices; None: nobody lists it
    billed_as: str  # wording on the bill
    first_token_ms: float
    ms_per_token: float
    thinks: float = 0.0  # share of the output that is reasoning
    writes_cache: bool = False


MODELS = {
    model.key: model
    for model in (
        Model(
            "gpt-5.4",
            "openai",
            "gpt-5.4",
            "gpt-5.4",
            ("openai", "gpt-5.4"),
            "gpt-5.4",
            620,
            11.0,
            thinks=0.25,
        ),
        Model(
            "gpt-5.4-mini",
            "openai",
            "gpt-5.4-mini",
            "gpt-5.4-mini",
            ("openai", "gpt-5.4-mini"),
            "gpt-5.4-mini",
            310,
            5.0,
        ),
        Model(
            "gpt-4o",
            "openai",
            "gpt-4o",
            "gpt-4o-2024-08-06",
            ("openai", "gpt-4o"),
            "gpt-4o-2024-08-06",
            480,
            9.0,
        ),
        Model(
            "text-embedding-3-large",
            "openai",
            "text-embedding-3-large",
            "text-embedding-3-large",
            ("openai", "text-embedding-3-large"),
            "text-embedding-3-large",
            70,
            0.0,
        ),
        Model(
            "claude-sonnet-4-5",
            "aws.bedrock",
            "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            ("aws", "global.anthropic.claude-sonnet-4-5-20250929-v1:0"),
            "Claude4.5Sonnet",
            900,
            13.0,
            writes_cache=True,
        ),
        Model(
            "claude-haiku-4-5",
            "aws.bedrock",
            "global.anthropic.claude-haiku-4-5-20251001-v1:0",
            "global.anthropic.claude-haiku-4-5-20251001-v1:0",
            ("aws", "global.anthropic.claude-haiku-4-5-20251001-v1:0"),
            "Claude4.5Haiku",
            420,
            6.0,
            writes_cache=True,
        ),
        Model(
            "nova-pro",
            "aws.bedrock",
            "amazon.nova-pro-v1:0",
            "amazon.nova-pro-v1:0",
            ("aws", "amazon.nova-pro-v1:0"),
            "NovaPro",
            380,
            7.0,
        ),
        Model(
            "gemini-2.5-pro",
            "gcp.vertex_ai",
            "gemini-2.5-pro",
            "gemini-2.5-pro",
            ("google", "gemini-2.5-pro"),
            "Gemini 2.5 Pro",
            1100,
            9.0,
            thinks=0.35,
        ),
        Model(
            "gemini-2.5-flash",
            "gcp.vertex_ai",
            "gemini-2.5-flash",
            "gemini-2.5-flash",
            ("google", "gemini-2.5-flash"),
            "Gemini 2.5 Flash",
            350,
            4.0,
        ),
        # Larkspur's own model on its own GPUs: the bill knows the instances, no price list knows
        # the model.
        Model(
            "larkspur-ranker-3",
            "larkspur",
            "larkspur-ranker-3",
            "larkspur-ranker-3",
            None,
            "",
            18,
            0.2,
        ),
    )
}
