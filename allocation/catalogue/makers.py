"""Which price holds for a model that its seller's list does not know by the name that was told."""

from __future__ import annotations

from allocation.catalogue.price_list import PriceList
from allocation.catalogue.vocabulary import canonical_model

# Who makes models and sells them; the price list's ids, in the order in which a name is looked for.
MAKERS = (
    "openai",
    "anthropic",
    "google",
    "mistral",
    "cohere",
    "deepseek",
    "x-ai",
    "moonshotai",
    "perplexity",
    "voyageai",
    "minimax",
    "zai",
)
# Servers that run models on the organisation's own machines: no token of theirs is billed.
SELF_HOSTED = ("ollama", "vllm", "llama.cpp", "lm_studio", "lmstudio", "sglang", "tgi", "localai")


def find_price(
    prices: PriceList, provider: str | None, model: str | None
) -> tuple[str, str] | None:
    """The (provider, model) whose lines price this model at this provider; None: unpriced.

    The name as told, else the canonical one, in the seller's list; else in its maker's.
    """
    if not model:
        return None
    names = list(dict.fromkeys((model, canonical_model(model))))
    sellers = [provider] if provider in SELF_HOSTED else [provider, *MAKERS]
    found = (prices.find(seller, name) for seller in sellers for name in names)
    return next((price for price in found if price is not None), None)
