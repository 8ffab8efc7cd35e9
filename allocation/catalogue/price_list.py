"""Published list prices as plain values, read from the pinned genai-prices package. No database.

A price depends on provider, model, tier, token class, the call's time and the size of its prompt.
The package says this with rules tried in order; here every combination is written out as one
`PriceLine`, so that SQL can price in bulk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal, Inexact, localcontext
from functools import cache, cached_property
from importlib.metadata import version
from typing import Any

from genai_prices import data as package_data
from genai_prices.data_snapshot import find_provider_by_id
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from allocation.catalogue.vocabulary import PACKAGE_PROVIDERS, canonical_model

PACKAGE = "genai-prices"
EXACT = Context(prec=60, traps=[Inexact])

# Where a list has no price of its own for a class, its tokens are charged at the next wider one
# (the package's rule). `calls` is the price of one million requests.
PRICE_KEYS: dict[str, tuple[str, ...]] = {
    "input_uncached": ("input_mtok",),
    "cache_read": ("cache_read_mtok", "input_mtok"),
    "cache_write_5m": ("cache_write_5m_mtok", "cache_write_mtok", "input_mtok"),
    "cache_write_1h": ("cache_write_1h_mtok", "cache_write_mtok", "input_mtok"),
    "output_text": ("output_mtok",),
    "reasoning": ("output_reasoning_mtok", "output_mtok"),
    "input_audio": ("input_audio_mtok", "input_mtok"),
    "input_image": ("input_image_mtok", "input_mtok"),
    "output_audio": ("output_audio_mtok", "output_mtok"),
    "output_image": ("output_image_mtok", "output_mtok"),
}
TOKEN_CLASSES = tuple(PRICE_KEYS)
CALLS = "calls"

# Lower ends (inclusive, in input tokens) of every band that some price list uses; a test compares
# it with the package. One ladder for all models, so a new price list finds old calls in the right
# bands.
CONTEXT_LADDER = (0, 32_001, 100_001, 128_001, 200_000, 200_001, 256_001, 272_001, 512_001, 524_289)

# What a list calls each of our tiers; None is the price without any condition.
TIERS: dict[str | None, dict[str, str]] = {
    None: {},
    "standard": {"service_tier": "default"},
    "batch": {"processing": "batch"},
    "priority": {"service_tier": "priority"},
    "flex": {"service_tier": "flex"},
    "fast": {"service_tier": "fast"},
}


@dataclass(frozen=True, slots=True)
class PriceLine:
    """USD per million tokens (or calls) of one class.

    The window is a UTC time of day, half-open; an end at or before its start wraps midnight.
    """

    provider: str
    model: str
    tier: str | None
    token_class: str
    context_from: int
    time_of_day_from: time | None
    time_of_day_to: time | None
    valid_from: date | None  # None: since ever, the list gives no date
    per_million: Decimal


def context_band(input_tokens: int) -> int:
    """The lower end of the band that a prompt of so many tokens falls in."""
    band = 0
    for lower in CONTEXT_LADDER:
        if input_tokens < lower:
            break
        band = lower
    return band


class PriceList:
    """The pinned package's prices, all written out."""

    def __init__(self, providers: list[Provider], source: str) -> None:
        self.providers = providers
        self.source = source

    @cached_property
    def lines(self) -> list[PriceLine]:
        return [
            line
            for provider in self.providers
            for model in provider.models
            for line in expand(provider, model)
        ]

    @cached_property
    def content_sha256(self) -> str:
        digest = hashlib.sha256()
        for line in self.lines:
            digest.update(repr(line).encode())
        return digest.hexdigest()

    @cached_property
    def lines_by_model(self) -> Mapping[tuple[str, str], list[PriceLine]]:
        found: dict[tuple[str, str], list[PriceLine]] = {}
        for line in self.lines:
            found.setdefault((line.provider, line.model), []).append(line)
        return found

    def find(self, provider: str | None, model: str | None) -> tuple[str, str] | None:
        """The (provider, model) whose lines price this model at this provider; None: unpriced."""
        if not model:
            return None
        model = model.lower()
        seller = self.seller(provider, model)
        found = seller.find_model(model, all_providers=self.providers) if seller else None
        if found is None:
            return None
        return self.owners[id(found)], found.id

    def seller(self, provider: str | None, model: str) -> Provider | None:
        if provider:
            return find_provider_by_id(self.providers, PACKAGE_PROVIDERS.get(provider, provider))
        return next(
            (p for p in self.providers if p.model_match and p.model_match.is_match(model)), None
        )

    @cached_property
    def owners(self) -> dict[int, str]:
        """Which provider's list holds a model: one provider may sell at another's prices."""
        return {id(model): provider.id for provider in self.providers for model in provider.models}


def find_listed(
    prices: PriceList, sellers: Iterable[str | None], model: str
) -> tuple[str, str] | None:
    """The model in the sellers' own lists, by the name as told, else by the canonical one."""
    names = list(dict.fromkeys((model, canonical_model(model))))
    found = (prices.find(seller, name) for seller in sellers for name in names)
    return next((price for price in found if price is not None), None)


@cache
def packaged() -> PriceList:
    """The prices of the installed genai-prices."""
    return PriceList(package_data.providers, f"{PACKAGE} {version(PACKAGE)}")


def list_price(
    usage: Mapping[str, int],
    provider: str | None,
    model: str | None,
    at: datetime,
    prices: PriceList,
    *,
    tier: str | None = None,
) -> Decimal | None:
    """USD for one call at list price, exact; None where a class it used has no price.

    `usage` maps token classes to tokens, which exclude each other; the prompt's size is their
    sum on the input side.
    """
    key = prices.find(provider, model)
    if key is None:
        return None
    band = context_band(sum(tokens for name, tokens in usage.items() if not is_output(name)))
    lines = prices.lines_by_model.get(key, [])
    total = Decimal(0)
    with localcontext(EXACT):
        for token_class, tokens in usage.items():
            if not tokens:
                continue
            line = applicable(lines, token_class, band, at, tier)
            if line is None:
                return None
            total += (line.per_million * tokens).scaleb(-6)
        per_call = applicable(lines, CALLS, band, at, tier)
        return total + per_call.per_million.scaleb(-6) if per_call else total


def is_output(token_class: str) -> bool:
    return token_class.startswith("output") or token_class in ("reasoning",)


def applicable(
    lines: Iterable[PriceLine], token_class: str, band: int, at: datetime, tier: str | None
) -> PriceLine | None:
    """The line in force: the tier's own before the general, then the latest date, then the highest
    band.
    """
    at = at.astimezone(UTC)
    fitting = [
        line
        for line in lines
        if line.token_class == token_class
        and line.tier in (tier, None)
        and line.context_from <= band
        and (line.valid_from is None or line.valid_from <= at.date())
        and in_window(at.time(), line.time_of_day_from, line.time_of_day_to)
    ]
    return max(
        fitting,
        key=lambda line: (line.tier is not None, line.valid_from or date.min, line.context_from),
        default=None,
    )


def in_window(moment: time, start: time | None, end: time | None) -> bool:
    if start is None or end is None:
        return True
    if end <= start:
        return moment >= start or moment < end
    return start <= moment < end


# ---------------------------------------------------------------- writing a model's rules out


def expand(provider: Provider, model: ModelInfo) -> Iterator[PriceLine]:
    """Every line of one model: tier x date x window x band x class, so that no line of an older
    date shows through.
    """
    for tier, context in TIERS.items():
        if tier is not None and not any(
            variant.when == context for variant in model.price_variants or ()
        ):
            continue
        classes = own_classes(model, context) if context else {*PRICE_KEYS, CALLS}
        bands, has_begun = context_starts(model), tier is None
        for valid_from in start_dates(model):
            for start, end in windows(model):
                at = moment_inside(valid_from, start)
                prices = model.get_prices(at, context or None)
                # Before its first day a tier has no price of its own: it falls back, and says so.
                has_begun = has_begun or prices != model.get_prices(at)
                shape = PriceLine(
                    provider.id, model.id, tier, "", 0, start, end, valid_from, Decimal(0)
                )
                for line in price_lines(shape, prices, bands) if has_begun else ():
                    if line.token_class in classes:
                        yield line


def stated_names(model: ModelInfo, context: dict[str, str]) -> set[str]:
    """The prices that the package states for a tier by itself; of no tier, in general."""
    listed = model.prices if isinstance(model.prices, list) else [model]
    variants = [each for each in model.price_variants or () if each.when == context]
    return {
        name
        for each in (variants if context else listed)
        for name, value in vars(each.prices).items()
        if value is not None
    }


def own_classes(model: ModelInfo, context: dict[str, str]) -> set[str]:
    """The classes that a tier has a price of its own for, be it a wider class's."""
    own, general = stated_names(model, context), stated_names(model, {})
    found = {CALLS} if "requests_kcount" in own else set()
    for token_class, names in PRICE_KEYS.items():
        first = next((name for name in names if name in own or name in general), None)
        if first in own:
            found.add(token_class)
    return found


def price_lines(shape: PriceLine, prices: ModelPrice, bands: list[int]) -> Iterator[PriceLine]:
    values = {name: value for name, value in vars(prices).items() if value is not None}
    for token_class, names in PRICE_KEYS.items():
        name = next((name for name in names if name in values), None)
        if name is not None:
            for band in bands:
                yield replace_line(shape, token_class, band, price_in_band(values[name], band))
    if "requests_kcount" in values:
        yield replace_line(shape, CALLS, 0, price_in_band(values["requests_kcount"], 0) * 1000)


def replace_line(shape: PriceLine, token_class: str, band: int, price: Decimal) -> PriceLine:
    return PriceLine(
        shape.provider,
        shape.model,
        shape.tier,
        token_class,
        band,
        shape.time_of_day_from,
        shape.time_of_day_to,
        shape.valid_from,
        price,
    )


def price_in_band(price: Decimal | TieredPrices, band: int) -> Decimal:
    """A tier applies to prompts *longer than* its start, and then to all of their tokens."""
    if isinstance(price, Decimal):
        return price
    return next((tier.price for tier in reversed(price.tiers) if band > tier.start), price.base)


def conditions(model: ModelInfo) -> list[Any]:
    listed = (
        model.prices if isinstance(model.prices, list) else [ConditionalPrice(prices=model.prices)]
    )
    variants = model.price_variants or []
    return [*(price.constraint for price in listed), *(variant.constraint for variant in variants)]


def all_prices(model: ModelInfo) -> list[ModelPrice]:
    listed = (
        [price.prices for price in model.prices]
        if isinstance(model.prices, list)
        else [model.prices]
    )
    return [*listed, *(variant.prices for variant in model.price_variants or ())]


def start_dates(model: ModelInfo) -> list[date | None]:
    dates = {c.start_date for c in conditions(model) if isinstance(c, StartDateConstraint)}
    return [None, *sorted(dates)]


def context_starts(model: ModelInfo) -> list[int]:
    values = [value for price in all_prices(model) for value in vars(price).values()]
    starts = {
        tier.start + 1
        for value in values
        if isinstance(value, TieredPrices)
        for tier in value.tiers
    }
    return sorted(starts | {0})


def windows(model: ModelInfo) -> list[tuple[time | None, time | None]]:
    """The day cut at every window's ends; one unbounded window where prices don't depend on the
    time of day.
    """
    ends: set[time] = set()
    for condition in conditions(model):
        if isinstance(condition, TimeOfDateConstraint):
            ends |= {utc_time(condition.start_time), utc_time(condition.end_time)}
    if not ends:
        return [(None, None)]
    ordered = sorted(ends)
    return list(zip(ordered, [*ordered[1:], ordered[0]], strict=True))


def utc_time(value: time) -> time:
    if value.tzinfo is None:
        return value
    return datetime.combine(date(2000, 1, 1), value).astimezone(UTC).time()


def moment_inside(valid_from: date | None, start: time | None) -> datetime:
    day = valid_from or date(1970, 1, 1)
    return datetime.combine(day, start or time(12), tzinfo=UTC)
