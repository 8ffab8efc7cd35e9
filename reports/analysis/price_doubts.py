"""Prices that a reader should know the source of: sources that differ, prices that only a later
source has or none, tiers at the general price; by the money they touch.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple, Protocol

from allocation.catalogue.price_list import PACKAGE, PriceLine, applicable
from allocation.catalogue.price_sources import Lines, SourcedLine
from allocation.values.money import EXACT, exact_sum
from reports.readable import exact, safe_text

ZERO = Decimal(0)
TOLERANCE: Final = Decimal("0.01")
STANDARD: Final = (None, "standard")

NO_PRICE: Final = "no source has a price"
GENERAL: Final = "general price: no source has one of the tier"
DIFFERS: Final = "sources differ by more than 1%"
LATER: Final = "only a later source has the price"
KINDS: Final = (NO_PRICE, GENERAL, DIFFERS, LATER)


@dataclass(frozen=True)
class UsedPrice:
    """Usage that was priced the same way: one model, tier and length of prompts."""

    provider: str | None
    model: str | None
    requested: str | None
    answered: str | None
    tier: str | None
    band: int
    at: datetime  # its newest hour
    calls: Decimal
    tokens: Mapping[str, Decimal]  # by class, those that are not 0


@dataclass(frozen=True)
class PriceDoubt:
    """`token_class` None: the whole model. USD per million tokens; `list_cost` by the price in use,
    None where there is none.
    """

    kind: str
    provider: str | None
    model: str | None
    tier: str | None
    token_class: str | None
    calls: Decimal
    tokens: Decimal
    list_cost: Decimal | None = None
    source: str | None = None
    per_million: Decimal | None = None
    other_source: str | None = None
    other_per_million: Decimal | None = None

    @property
    def difference(self) -> Decimal | None:
        """Of the other source's price from the one in use; None beside a price of 0."""
        if self.per_million is None or self.other_per_million is None or not self.per_million:
            return None
        return self.other_per_million / self.per_million - 1


class Quotes(NamedTuple):
    """What a model is priced by, and what each source states of it, in the order of sources."""

    used: Lines
    by_source: list[Lines]


class PriceBook(Protocol):
    def quotes(self, used: UsedPrice) -> Quotes | None:
        """None where no source knows the model."""


class FoundDoubts(NamedTuple):
    doubts: list[PriceDoubt]
    general_calls: Decimal  # of tiers that some class has only a general price for


def price_doubts(usage: Iterable[UsedPrice], book: PriceBook) -> FoundDoubts:
    """Doubts without a known cost first, by tokens; the others by the list cost they touch."""
    found: dict[PriceDoubt, PriceDoubt] = {}
    general_calls = ZERO
    for used in usage:
        own = list(_doubts(used, book.quotes(used)))
        general_calls += used.calls if any(each.kind == GENERAL for each in own) else ZERO
        for doubt in own:
            key = replace(doubt, calls=ZERO, tokens=ZERO, list_cost=None)
            found[key] = _together(found.get(key), doubt)
    return FoundDoubts(sorted(found.values(), key=_place), general_calls)


def _doubts(used: UsedPrice, quotes: Quotes | None) -> Iterator[PriceDoubt]:
    whole = PriceDoubt(
        NO_PRICE,
        used.provider,
        used.model,
        used.tier,
        None,
        used.calls,
        sum(used.tokens.values(), ZERO),
    )
    if quotes is None:
        yield whole
        return
    for token_class, tokens in used.tokens.items():
        of_class = replace(whole, token_class=token_class, tokens=tokens)
        line = _in_force(quotes.used, used, token_class)
        if line is None:
            yield of_class
            continue
        own = replace(
            of_class,
            list_cost=EXACT.scaleb(EXACT.multiply(tokens, line.line.per_million), Decimal(-6)),
            source=line.source,
            per_million=line.line.per_million,
        )
        if line.line.tier is None and used.tier not in STANDARD:
            yield replace(own, kind=GENERAL)
        if line.kind != PACKAGE and not line.overrides:
            yield replace(own, kind=LATER)
        yield from _differing(own, line, used, quotes.by_source)


def _differing(
    own: PriceDoubt, line: SourcedLine, used: UsedPrice, by_source: Iterable[Lines]
) -> Iterator[PriceDoubt]:
    for lines in by_source:
        other = _in_force(lines, used, own.token_class or "")
        if other is None or other.kind == line.kind or other.line.tier != line.line.tier:
            continue
        one, another = line.line.per_million, other.line.per_million
        if abs(one - another) > TOLERANCE * max(one, another):
            yield replace(own, kind=DIFFERS, other_source=other.source, other_per_million=another)


def _in_force(lines: Lines, used: UsedPrice, token_class: str) -> SourcedLine | None:
    found: PriceLine | None = applicable(
        (each.line for each in lines), token_class, used.band, used.at, used.tier
    )
    return next((each for each in lines if each.line is found), None)


def _together(known: PriceDoubt | None, doubt: PriceDoubt) -> PriceDoubt:
    if known is None:
        return doubt
    cost = doubt.list_cost
    return replace(
        known,
        calls=known.calls + doubt.calls,
        tokens=known.tokens + doubt.tokens,
        list_cost=None if cost is None else exact_sum((cost, known.list_cost or ZERO)),
    )


def _place(doubt: PriceDoubt) -> tuple[object, ...]:
    cost = doubt.list_cost
    texts = (doubt.provider, doubt.model, doubt.tier, doubt.token_class, doubt.other_source)
    names = tuple(text or "" for text in texts)
    return cost is not None, -(cost or ZERO), -doubt.tokens, KINDS.index(doubt.kind), *names


COLUMNS: Final = (
    "Doubt",
    "Provider",
    "Model",
    "Tier",
    "TokenClass",
    "Calls",
    "Tokens",
    "ListCostUSD",
    "Source",
    "USDPerMillion",
    "OtherSource",
    "OtherUSDPerMillion",
)


def doubts_csv(doubts: Iterable[PriceDoubt]) -> str:
    """One row for each doubt, exact; nothing where something is unknown."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for each in doubts:
        cells = [getattr(each, field.name) for field in fields(each)]
        writer.writerow([_cell(value) for value in cells])
    return out.getvalue()


def _cell(value: str | Decimal | None) -> str:
    return exact(value) if isinstance(value, Decimal) else safe_text(value or "")
