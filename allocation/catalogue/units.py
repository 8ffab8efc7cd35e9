"""How many tokens a bill's unit is. Pure."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Final

from allocation.catalogue.vocabulary import DATA
from allocation.values.money import plain

NUMBERS: Final[dict[str, int]] = DATA["units"]["numbers"]
TOKENS: Final = frozenset(DATA["units"]["tokens"])
BESIDE: Final = frozenset(DATA["units"]["beside"])
ABOUT_MODELS: Final = frozenset(DATA["units"]["about_models"])
PIECE: Final = re.compile(r"\d[\d,]*(?:\.\d+)?|[a-z]+")


def pieces(unit: str) -> list[str]:
    return PIECE.findall(unit.lower())


@lru_cache(maxsize=1024)
def tokens_per_unit(unit: str | None) -> Decimal | None:
    """How many tokens one unit is: "Tokens" 1, "1K tokens" and "Thousand Input Tokens" 1000; None
    for any other unit, and for one with a word that is not understood.
    """
    words = pieces(unit or "")
    if not TOKENS.intersection(words) or PIECE.sub("", (unit or "").lower()).strip(" -/._()"):
        return None
    count = Decimal(1)
    for word in words:
        if word[0].isdigit():
            count *= Decimal(word.replace(",", ""))
        elif word in NUMBERS:
            count *= NUMBERS[word]
        elif word not in TOKENS and word not in BESIDE:
            return None
    # Equal numbers are written alike: split keys are known by how they are written.
    return Decimal(plain(count)) if count else None


@lru_cache(maxsize=1024)
def is_model_unit(*units: str | None) -> bool:
    """Whether any of the units counts what models read or write: tokens, characters, images."""
    return any(ABOUT_MODELS.intersection(pieces(unit or "")) for unit in units)
