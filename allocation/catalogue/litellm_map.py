"""A price map in LiteLLM's JSON form as price lines. Pure.

The map names models by keys, most of them behind a provider, and states USD per token in properties
whose names say class, length of the prompt and tier. It has no dates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from allocation.catalogue.own_prices import LONGEST_TEXT, PriceFileError
from allocation.catalogue.price_list import CALLS, CONTEXT_LADDER, PriceLine
from allocation.catalogue.price_sources import LITELLM, SourcedLine, source_name
from allocation.catalogue.vocabulary import canonical_provider
from allocation.values.names import quoted

DOCUMENTATION = "sample_spec"  # the entry that says what an entry looks like
ALIAS = "alias_of"
STEPS = "tiered_pricing"  # a list of prices, each from a length of the prompt on
ONE_HOUR = "_above_1hr"

# What each property states; the first that an entry has counts.
CLASSES: Final[dict[str, str]] = {
    "input_cost_per_token": "input_uncached",
    "output_cost_per_token": "output_text",
    "cache_read_input_token_cost": "cache_read",
    "input_cost_per_token_cache_hit": "cache_read",
    "cache_creation_input_token_cost": "cache_write_5m",
    f"cache_creation_input_token_cost{ONE_HOUR}": "cache_write_1h",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "input_audio",
    "input_cost_per_image_token": "input_image",
    "output_cost_per_audio_token": "output_audio",
    "output_cost_per_image_token": "output_image",
    "input_cost_per_request": CALLS,
}
NAMES: Final = "|".join(sorted(CLASSES, key=len, reverse=True))
PROPERTY: Final = re.compile(rf"({NAMES})(?:_above_(\d+)k_tokens)?(?:_([a-z]+))?", re.ASCII)
TIERS: Final = {"batches": "batch"}
PRICE: Final = re.compile(r"_cost(_|$)|_pricing$")  # a property that states some price
# Providers whose name in the map is none of ours; `vertex_ai-anthropic_models` is vertex_ai's.
PROVIDERS: Final = {
    "text-completion-openai": "openai",
    "azure_text": "azure",
    "cohere_chat": "cohere",
    "codestral": "mistral",
    "text-completion-codestral": "mistral",
    "meta_llama": "meta",
    "voyage": "voyageai",
}
MOST_PER_MILLION = Decimal(10) ** 9
FINEST = -40  # decimal places of a price that is still one


@dataclass
class ReadMap:
    """The prices of a map, and what of it is none: reason -> keys."""

    lines: list[SourcedLine] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)

    def skip(self, reason: str, key: str) -> None:
        keys = self.skipped.setdefault(reason, [])
        if key not in keys[-1:]:
            keys.append(key)


def read_map(text: str, valid_from: date) -> ReadMap:
    """The prices of the map's text, all from one day on; raises PriceFileError with every problem
    found, each with its key.
    """
    entries = _entries(text)
    found, problems = ReadMap(), list[str]()
    known: dict[tuple[str, str], tuple[str, dict[Any, PriceLine]]] = {}
    for key, told in entries.items():
        if key == DOCUMENTATION:
            continue
        try:
            entry = _aliased(key, told, entries)
        except ValueError as error:
            found.skip(str(error), key)
            continue
        try:
            lines = {
                (line.tier, line.token_class, line.context_from): line
                for line in _lines(key, entry, valid_from, found)
            }
        except ValueError as error:
            problems.append(f"{quoted(key)}: {error}")
            continue
        for line in list(lines.values())[:1]:
            first, others = known.setdefault((line.provider, line.model), (key, lines))
            if others != lines:
                found.skip(f"another price of what {first} names", key)
    if problems:
        raise PriceFileError(problems)
    source = source_name(LITELLM, valid_from)
    found.lines = [
        SourcedLine(LITELLM, source, line) for _, lines in known.values() for line in lines.values()
    ]
    return found


def _entries(text: str) -> dict[str, Any]:
    try:
        entries = json.loads(
            text.lstrip("\ufeff"),
            parse_float=Decimal,
            parse_int=Decimal,
            parse_constant=_constant,
            object_pairs_hook=_object,
        )
    except json.JSONDecodeError as error:
        raise PriceFileError([f"line {error.lineno}: it is no JSON: {error.msg}"]) from error
    except RecursionError as error:
        raise PriceFileError(["it is nested too deep for a price map"]) from error
    except (ValueError, InvalidOperation) as error:
        raise PriceFileError([str(error)]) from error
    if not isinstance(entries, dict) or not all(isinstance(v, dict) for v in entries.values()):
        raise PriceFileError(["a price map is an object of objects, one for each model"])
    return entries


def _constant(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {quoted(double)} stands twice")
    return found


def _aliased(key: str, entry: Mapping[str, Any], entries: Mapping[str, Any]) -> dict[str, Any]:
    """The entry, or the one that it is another name of."""
    found = dict(entry)
    for _ in range(10):
        if ALIAS not in found:
            return found
        target = entries.get(str(found[ALIAS]))
        if target is None:
            break
        found = dict(target)
    raise ValueError("another name of a key that is not there")


def _lines(
    key: str, entry: Mapping[str, Any], valid_from: date, found: ReadMap
) -> Iterator[PriceLine]:
    provider, model = _named(key, entry.get("litellm_provider"))
    if provider is None:
        found.skip("no litellm_provider", key)
        return
    if len(model) > LONGEST_TEXT or "\0" in model:
        raise ValueError(f"a model's name has at most {LONGEST_TEXT} characters, and no NUL")
    shape = PriceLine(provider, model, None, "", 0, None, None, valid_from, Decimal(0))
    prices, is_other = _prices(entry, key, found)
    if is_other and not any(prices.values()):
        # A token at 0 beside a price of another unit does not make the model free.
        found.skip("priced by another unit than tokens", key)
        return
    if not prices:
        found.skip("no price", key)
    for (token_class, band, tier), price in prices.items():
        yield PriceLine(
            shape.provider, shape.model, tier, token_class, band, None, None, valid_from, price
        )


Stated = dict[tuple[str, int, str | None], Decimal]  # token class, band, tier


def _prices(entry: Mapping[str, Any], key: str, found: ReadMap) -> tuple[Stated, bool]:
    """Per token class, band and tier; and whether it has a price in another unit."""
    prices: Stated = {}
    is_other = False
    for name, value in _properties(entry, key, found):
        match = PROPERTY.fullmatch(name)
        if match is None:
            amount = None if isinstance(value, dict | list) else _price(name, value)
            is_other = is_other or bool(amount)
            found.skip(f"{name}: no price of tokens that calls tell of", key)
            continue
        if (price := _price(name, value)) is None:
            continue
        band = _band(int(match[2]) * 1000 if match[2] else 0)
        if band is None:
            found.skip(f"{name}: no length of prompt that prices are known to change at", key)
            continue
        prices.setdefault(
            (CLASSES[match[1]], band, TIERS.get(match[3], match[3]) if match[3] else None), price
        )
    return prices, is_other


def _properties(entry: Mapping[str, Any], key: str, found: ReadMap) -> Iterator[tuple[str, Any]]:
    """The properties that state prices; a list of steps as properties by length of the prompt."""
    for name in sorted((name for name in entry if PRICE.search(name)), key=_place):
        if name != STEPS:
            yield name, entry[name]
            continue
        for step in entry[STEPS] if isinstance(entry[STEPS], list) else ():
            start = step.get("range", [None])[0] if isinstance(step, dict) else None
            if not isinstance(start, Decimal) or start % 1000:
                found.skip(f"{STEPS} without a range in thousands of tokens", key)
                continue
            above = f"_above_{int(start) // 1000}k_tokens" if start else ""
            for inner in step:
                if inner in CLASSES:
                    yield f"{inner}{above}", step[inner]


def _place(name: str) -> int:
    """Properties in the order of CLASSES, so that the first of a class counts."""
    match = PROPERTY.fullmatch(name)
    return list(CLASSES).index(match[1]) if match else len(CLASSES)


def _band(above: int) -> int | None:
    """The band of prompts longer than that; a token more or less is the same step."""
    if above == 0:
        return 0
    return next((band for band in (above + 1, above) if band in CONTEXT_LADDER), None)


def _price(name: str, value: Any) -> Decimal | None:
    """USD per million; None where nothing is stated."""
    if value is None:
        return None
    try:
        price = value if isinstance(value, Decimal) else Decimal(value.strip())
    except (AttributeError, InvalidOperation):
        raise ValueError(f"{name} is {quoted(value)}, no number") from None
    if not price.is_finite() or price < 0:
        raise ValueError(f"{name} is {quoted(str(value))}; a price is 0 or more")
    exponent = price.as_tuple().exponent
    if price and (price.adjusted() > 20 or int(exponent) < FINEST):
        raise ValueError(f"{name} is {quoted(str(value))}, too long for a price")
    per_million = price.scaleb(6) if price else Decimal(0)
    if per_million > MOST_PER_MILLION:
        raise ValueError(f"{name} is {quoted(str(value))}, more than a price of a token can be")
    return per_million


def _named(key: str, provider: object) -> tuple[str | None, str]:
    """(provider, model) as calls name them."""
    if not isinstance(provider, str) or not provider.strip():
        return None, key
    seller = _provider(provider)
    head, _, rest = key.partition("/")
    model = rest if rest and _provider(head) == seller else key
    return seller, model.lower()


def _provider(name: str) -> str:
    text = name.strip().lower()
    text = text.partition("-")[0] if text.startswith(("vertex_ai-", "fireworks_ai-")) else text
    return canonical_provider(PROVIDERS.get(text, text))
