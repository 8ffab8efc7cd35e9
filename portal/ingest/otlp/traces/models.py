"""The models that a span names, and the one that it is about."""

from __future__ import annotations

from functools import lru_cache

from allocation.catalogue.price_list import packaged
from allocation.catalogue.prices import find_price
from allocation.catalogue.vocabulary import canonical_model, fold, known_models


@lru_cache(maxsize=16_384)
def told_models(
    requested: str | None, answered: str | None
) -> tuple[str | None, str | None, str | None]:
    """(canonical model, requested, answered): the model that answered, unless no list knows that
    name and one knows the name asked for. Then what answered is a gateway's alias.
    """
    if answered and requested and not is_known(answered) and is_known(requested):
        return canonical_model(requested), requested, answered
    told = answered or requested
    return canonical_model(told) if told else None, requested, answered


@lru_cache(maxsize=16_384)
def is_known(model: str) -> bool:
    """Whether the vocabulary or a price list has the model, by this name or its canonical one."""
    name = fold(canonical_model(model))
    return name in known_models().names or find_price(packaged(), None, model) is not None
