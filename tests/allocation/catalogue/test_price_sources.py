"""One price list of several sources: which source a price comes from, and which model a call is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from genai_prices.types import (
    ClauseEquals,
    ClauseStartsWith,
    ModelInfo,
    ModelPrice,
    Provider,
    TieredPrices,
)
from hypothesis import given
from hypothesis import strategies as st

from allocation.catalogue.price_list import TOKEN_CLASSES, PriceLine, PriceList, applicable
from allocation.catalogue.price_sources import (
    LITELLM,
    OWN,
    ComposedPrices,
    SourcedLine,
    source_name,
)
from allocation.catalogue.prices import PriceNames

D = Decimal
PACKAGE = PriceList(
    [
        Provider(
            id="openai",
            name="OpenAI",
            api_pattern="",
            models=[
                ModelInfo(
                    id="gpt-7",
                    match=ClauseStartsWith("gpt-7"),
                    prices=ModelPrice(
                        input_mtok=TieredPrices(base=D(2), tiers=[]), output_mtok=D(8)
                    ),
                ),
            ],
        ),
        Provider(
            id="google",
            name="Google",
            api_pattern="",
            models=[
                ModelInfo(
                    id="gemini-7",
                    match=ClauseEquals("gemini-7"),
                    prices=ModelPrice(input_mtok=D(1), output_mtok=D(4)),
                )
            ],
        ),
    ],
    "genai-prices 0",
)
JULY, AUGUST, SEPTEMBER = (date(2026, month, 1) for month in (7, 8, 9))


def told(
    kind: str,
    price: str,
    token_class: str = "input_uncached",
    *,
    model: str = "gpt-7",
    provider: str = "openai",
    tier: str | None = None,
    day: date | None = JULY,
    overrides: bool = False,
) -> SourcedLine:
    line = PriceLine(provider, model, tier, token_class, 0, None, None, day, D(price))
    return SourcedLine(kind, source_name(kind, day), line, overrides)


def price(
    lines: list[SourcedLine],
    token_class: str = "input_uncached",
    *,
    at: date = SEPTEMBER,
    tier: str | None = None,
    model: str = "gpt-7",
    provider: str | None = "openai",
) -> tuple[Decimal, str] | None:
    """The price of the class on a day, and its source."""
    prices = ComposedPrices(PACKAGE, lines)
    key = PriceNames(PACKAGE, prices.models).find(provider, model)
    own = [each for each in prices.lines() if (each.line.provider, each.line.model) == key]
    moment = datetime(at.year, at.month, at.day, 12, tzinfo=UTC)
    found = applicable([each.line for each in own], token_class, 0, moment, tier)
    if found is None:
        return None
    return found.per_million, next(each.source for each in own if each.line is found)


def test_the_package_alone_is_what_it_was() -> None:
    prices = ComposedPrices(PACKAGE, [])

    assert [each.line for each in prices.lines()] == PACKAGE.lines
    assert prices.content_sha256 == PACKAGE.content_sha256
    assert prices.source == "genai-prices 0"


@pytest.mark.parametrize("kind", [OWN, LITELLM])
def test_what_the_package_states_comes_from_the_package(kind: str) -> None:
    lines = [told(kind, "9"), told(kind, "9", "output_text")]

    assert price(lines) == (2, "genai-prices 0")
    assert price(lines, "output_text") == (8, "genai-prices 0")


def test_an_own_price_comes_before_the_package_only_where_it_overrides_and_from_its_day() -> None:
    """A contract's price: by its class alone, from its day on, in the tier called standard, too."""
    lines = [told(OWN, "1.5", overrides=True, day=AUGUST)]

    assert price(lines) == (D("1.5"), "own entries")
    assert price(lines, tier="standard") == (D("1.5"), "own entries")
    assert price(lines, at=JULY) == (2, "genai-prices 0")
    assert price(lines, "output_text") == (8, "genai-prices 0")
    assert price(lines, "cache_read") == (D("1.5"), "own entries")  # charged as input


def test_own_entries_come_before_a_map_and_the_map_before_nothing() -> None:
    lines = [
        told(LITELLM, "5", model="house-1", day=JULY),
        told(OWN, "3", model="house-1", day=AUGUST),
        told(LITELLM, "7", "output_text", model="house-1", day=SEPTEMBER),
    ]

    assert price(lines, model="house-1") == (3, "own entries")
    assert price(lines, model="house-1", at=JULY) == (5, "LiteLLM map of 2026-07-01")
    assert price(lines, "output_text", model="house-1") == (7, "LiteLLM map of 2026-09-01")
    assert price(lines, "output_text", model="house-1", at=AUGUST) is None


def test_a_price_of_a_tier_is_taken_where_any_source_has_one() -> None:
    lines = [
        told(LITELLM, "1", tier="flex"),
        told(LITELLM, "4", "output_text", tier="flex"),
    ]

    assert price(lines, tier="flex") == (1, "LiteLLM map of 2026-07-01")
    assert price(lines, "reasoning", tier="flex") == (4, "LiteLLM map of 2026-07-01")
    assert price(lines, tier="priority") == (2, "genai-prices 0")
    assert price(lines) == (2, "genai-prices 0")


def test_a_class_keeps_its_own_general_price_where_a_tier_states_only_the_wider_one() -> None:
    lines = [told(OWN, "0.2", "cache_read"), told(LITELLM, "1", tier="flex")]

    assert price(lines, "cache_read") == (D("0.2"), "own entries")
    assert price(lines, "cache_read", tier="flex") == (D("0.2"), "own entries")
    assert price(lines, "input_audio", tier="flex") == (1, "LiteLLM map of 2026-07-01")


def test_a_class_of_its_own_comes_before_what_the_package_charges_at_a_wider_one() -> None:
    lines = [told(LITELLM, "0.2", "cache_read")]

    assert price([], "cache_read") == (2, "genai-prices 0")
    assert price(lines, "cache_read") == (D("0.2"), "LiteLLM map of 2026-07-01")
    assert price(lines, "cache_write_1h") == (2, "genai-prices 0")


def test_zero_is_a_price() -> None:
    assert price([told(OWN, "0", model="house-1")], model="house-1") == (0, "own entries")
    assert price([told(OWN, "0", overrides=True)]) == (0, "own entries")


def test_a_call_finds_the_model_by_its_own_name_then_by_its_canonical_one() -> None:
    lines = [
        told(OWN, "3", model="house-1"),
        told(OWN, "4", model="house-1-2026-05-01"),
        told(OWN, "5", model="gemini-8", provider="gcp.vertex_ai"),
        told(LITELLM, "6", model="eu.twin-1", provider="aws.bedrock"),
        told(LITELLM, "7", model="us.twin-1", provider="aws.bedrock"),
    ]

    def of(provider: str | None, model: str) -> Decimal | None:
        found = price(lines, provider=provider, model=model)
        return found[0] if found else None

    assert of("openai", "HOUSE-1") == 3
    assert of("openai", "house-1-2026-05-01") == 4
    assert of("openai", "openai/house-1-2026-06-01") == 3
    assert of("gcp.gen_ai", "models/gemini-8") == 5
    assert of("gcp.gemini", "gemini-8") == 5
    assert of("some-framework", "house-1") == 3  # of the model's maker
    assert of(None, "house-1") == 3
    assert of("aws.bedrock", "us.twin-1") == 7
    assert of("openai", "house-2") is None


def test_an_entry_of_one_name_is_no_price_of_another_that_the_package_knows_apart() -> None:
    """gpt-7-mini is priced as gpt-7 by the package's clause; an entry for gpt-7 is none for it."""
    lines = [told(OWN, "1", overrides=True)]

    assert price(lines, model="gpt-7-2026-05-01") == (1, "own entries")
    assert price([told(OWN, "1", model="gpt-7-mini", overrides=True)]) == (2, "genai-prices 0")


entries = st.builds(
    told,
    st.sampled_from([OWN, LITELLM]),
    st.sampled_from(["0", "0.1", "3"]),
    st.sampled_from(["input_uncached", "output_text", "cache_read", "reasoning"]),
    model=st.sampled_from(["gpt-7", "house-1"]),
    tier=st.sampled_from([None, "flex", "batch"]),
    day=st.sampled_from([JULY, AUGUST, SEPTEMBER]),
    overrides=st.booleans(),
)


def distinct(lines: list[SourcedLine]) -> list[SourcedLine]:
    found = {
        (each.kind, replace(each.line, per_million=D(0))): each._replace(
            overrides=each.overrides and each.kind == OWN
        )
        for each in lines
    }
    return list(found.values())


@given(st.lists(entries, max_size=8).map(distinct), st.randoms())
def test_the_order_of_entries_means_nothing_and_what_was_priced_stays_priced(
    lines: list[SourcedLine], chance: object
) -> None:
    shuffled = list(lines)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = ComposedPrices(PACKAGE, lines), ComposedPrices(PACKAGE, shuffled)

    assert one.content_sha256 == other.content_sha256
    for model in ("gpt-7", "house-1"):
        for token_class in TOKEN_CLASSES:
            for tier in (None, "flex"):
                for at in (JULY, SEPTEMBER):
                    found = price(lines, token_class, at=at, tier=tier, model=model)
                    again = price(shuffled, token_class, at=at, tier=tier, model=model)
                    alone = price([], token_class, at=at, tier=tier, model=model)
                    assert found == again
                    assert found is not None or alone is None
                    if found and tier is None and not any(each.overrides for each in lines):
                        is_stated = token_class in ("input_uncached", "output_text")
                        assert found == alone or model != "gpt-7" or not is_stated
