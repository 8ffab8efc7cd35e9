"""One price list made of several: the package first, the organisation's own entries, a price map.
Pure.

A price of a model, tier and class is the one of the first source that states it, from the day on
that this source states it. An own entry comes before the package only where it says that it
overrides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property
from typing import Final, NamedTuple

from allocation.catalogue.price_list import (
    CALLS,
    PACKAGE,
    PRICE_KEYS,
    TIERS,
    PriceLine,
    PriceList,
    find_listed,
    stated_names,
)
from allocation.catalogue.vocabulary import canonical_model, canonical_names

OWN, LITELLM = "own", "litellm"
STANDARD: Final = "standard"
COMPOSITION: Final = 1  # a new number where the rules below change, so that prices are made again

# Where no source states a price of a class, its tokens are charged at the next wider one.
WIDER: Final[dict[str, tuple[str, ...]]] = {
    "cache_read": ("input_uncached",),
    "cache_write_5m": ("input_uncached",),
    "cache_write_1h": ("cache_write_5m", "input_uncached"),
    "reasoning": ("output_text",),
    "input_audio": ("input_uncached",),
    "input_image": ("input_uncached",),
    "output_audio": ("output_text",),
    "output_image": ("output_text",),
}


class SourcedLine(NamedTuple):
    """A price and who states it. Beyond the package, provider and model are as calls name them."""

    kind: str
    source: str
    line: PriceLine
    overrides: bool = False


Lines = list[SourcedLine]
Group = tuple[str | None, str]  # tier, token class
Groups = dict[Group, Lines]
Key = tuple[str, str]  # provider, model


def source_name(kind: str, valid_from: date | None) -> str:
    """How a price names its source."""
    if kind == OWN:
        return "own entries"
    return f"LiteLLM map of {valid_from:%Y-%m-%d}" if valid_from else "LiteLLM map"


class SourceIndex:
    """The prices of one source by the model's name, else by its canonical name."""

    def __init__(self, lines: Iterable[SourcedLine]) -> None:
        self.by_name: dict[Key, Lines] = {}
        for each in lines:
            self.by_name.setdefault((each.line.provider, each.line.model), []).append(each)
        self.names = canonical_names(self.by_name)

    def find(self, provider: str, model: str) -> Lines:
        """Nothing where several names of one canonical model could be meant."""
        own = self.by_name.get((provider, model))
        key = self.names.get((provider, canonical_model(model)))
        return own or (self.by_name[key] if key else [])


class ComposedPrices:
    """The package's prices and what the other sources add to them.

    Each model that another source adds a price to is written out as a model of its own, under the
    name that calls have for it.
    """

    def __init__(self, package: PriceList, told: Sequence[SourcedLine]) -> None:
        self.package = package
        self.told = told
        self.own = SourceIndex(each for each in told if each.kind == OWN)
        self.map = SourceIndex(each for each in told if each.kind == LITELLM)

    @property
    def source(self) -> str:
        kinds = {each.kind for each in self.told}
        names = {OWN: "own entries", LITELLM: "LiteLLM map"}
        return " + ".join([self.package.source, *(names[kind] for kind in names if kind in kinds)])

    @cached_property
    def content_sha256(self) -> str:
        if not self.told:
            return self.package.content_sha256
        digest = hashlib.sha256(f"{COMPOSITION} {self.package.content_sha256}".encode())
        for text in sorted(map(repr, self.told)):
            digest.update(text.encode())
        return digest.hexdigest()

    @cached_property
    def models(self) -> Mapping[Key, Lines]:
        """Those that another source than the package adds a price to."""
        composed = {}
        for key in sorted({*self.own.by_name, *self.map.by_name}):
            lines = self.composed(*key)
            if any(each.kind != PACKAGE for each in lines):
                composed[key] = lines
        return composed

    def lines(self) -> Iterator[SourcedLine]:
        """Every price of the list."""
        for line in self.package.lines:
            if (line.provider, line.model) not in self.models:
                yield SourcedLine(PACKAGE, self.package.source, line)
        for lines in self.models.values():
            yield from lines

    def composed(self, provider: str, model: str) -> Lines:
        """The prices of one model, of all sources in their order."""
        packaged = self.packaged(provider, model)
        own = as_standard(self.own.find(provider, model), packaged)
        groups: Groups = {}
        add_source(groups, [each for each in own if each.overrides])
        add_source(groups, packaged)
        add_source(groups, [each for each in own if not each.overrides])
        add_source(groups, self.map.find(provider, model))
        add_wider(groups)
        return [
            each._replace(line=replace(each.line, provider=provider, model=model))
            for lines in groups.values()
            for each in lines
        ]

    def packaged(self, provider: str, model: str) -> Lines:
        """What the package itself states of a model, without what it charges at a wider class."""
        key: Key | None = (provider, model)
        if key not in self.package.lines_by_model:
            key = find_listed(self.package, [provider], model)
        return [
            each
            for each in (self.listed(key) if key else ())
            if (each.line.tier, each.line.token_class) in self.stated[key or ("", "")]
        ]

    def listed(self, key: Key) -> Lines:
        """The package's prices of one of its models."""
        return [
            SourcedLine(PACKAGE, self.package.source, line)
            for line in self.package.lines_by_model.get(key, ())
        ]

    @cached_property
    def stated(self) -> dict[Key, set[Group]]:
        """The tiers and classes that the package states a price of, not a wider class's."""
        return {
            (provider.id, model.id): {
                (tier, token_class)
                for tier, context in TIERS.items()
                for names in [stated_names(model, context)]
                for token_class, keys in [*PRICE_KEYS.items(), (CALLS, ("requests_kcount",))]
                if names.intersection(keys[:-1] or keys)
            }
            for provider in self.package.providers
            for model in provider.models
        }


def as_standard(own: Lines, packaged: Lines) -> Lines:
    """The general prices for the tier called standard, too, where the package tells them apart."""
    apart = {each.line.token_class for each in packaged if each.line.tier == STANDARD}
    return own + [
        each._replace(line=replace(each.line, tier=STANDARD))
        for each in own
        if each.line.tier is None and each.line.token_class in apart
    ]


def add_source(groups: Groups, lines: Lines) -> None:
    """Take what the sources before say nothing of: a tier and class, or the days before theirs."""
    told: Groups = {}
    for each in lines:
        told.setdefault((each.line.tier, each.line.token_class), []).append(each)
    for group, own in told.items():
        known = groups.setdefault(group, [])
        first = min(map(first_day, known), default=date.max)
        known += [each for each in own if first_day(each) < first]


def first_day(each: SourcedLine) -> date:
    return each.line.valid_from or date.min


def add_wider(groups: Groups) -> None:
    """Write out what a class is charged at on days for which no source states a price of it. A tier
    charges at its wider class only where the class has no general price of its own.
    """
    stated = dict(groups)
    for tier in {tier for tier, _ in stated}:
        for token_class, wider in WIDER.items():
            lines, narrower = list(stated.get((tier, token_class), ())), token_class
            for name in wider:
                if tier is not None and (None, narrower) in stated:
                    break
                first = min(map(first_day, lines), default=date.max)
                lines += [
                    each._replace(line=replace(each.line, token_class=token_class))
                    for each in stated.get((tier, name), ())
                    if first_day(each) < first
                ]
                narrower = name
            if lines:
                groups[tier, token_class] = lines
