"""Doubts about prices: what is one, what it touches, and in which order they come."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from allocation.catalogue.price_list import PACKAGE, PriceLine
from allocation.catalogue.price_sources import LITELLM, OWN, Lines, SourcedLine
from reports.analysis.price_doubts import (
    DIFFERS,
    GENERAL,
    LATER,
    NO_PRICE,
    Quotes,
    UsedPrice,
    doubts_csv,
    price_doubts,
)

D = Decimal
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def stated(
    kind: str, price: str, *, tier: str | None = None, token_class: str = "input_uncached"
) -> SourcedLine:
    return SourcedLine(
        kind, kind, PriceLine("p", "m", tier, token_class, 0, None, None, None, D(price))
    )


def used(*, tier: str | None = None, model: str = "m", tokens: int = 1_000_000) -> UsedPrice:
    return UsedPrice("p", model, model, None, tier, 0, AT, D(2), {"input_uncached": D(tokens)})


class Book:
    def __init__(self, used: Lines, *by_source: Lines) -> None:
        self.found = Quotes(used, list(by_source))

    def quotes(self, used: UsedPrice) -> Quotes | None:
        return None if used.model == "unknown" else self.found


def test_a_price_of_the_package_that_all_agree_with_is_no_doubt() -> None:
    two, near = stated(PACKAGE, "2"), stated(LITELLM, "2.02")

    assert price_doubts([used()], Book([two], [two], [near])) == ([], 0)
    assert price_doubts([used(tier="standard")], Book([two], [two])) == ([], 0)


@pytest.mark.parametrize("other", ["2.03", "1.97", "0"])
def test_sources_that_differ_by_more_than_one_percent_are_told(other: str) -> None:
    two, another = stated(PACKAGE, "2"), stated(LITELLM, other)

    ((doubt,), _) = price_doubts([used()], Book([two], [two], [another]))

    assert (doubt.kind, doubt.list_cost, doubt.tokens) == (DIFFERS, 2, 1_000_000)
    assert (doubt.per_million, doubt.other_per_million) == (2, D(other))
    assert doubt.difference == D(other) / 2 - 1


def test_a_free_price_is_known_and_differs_from_any_other() -> None:
    free, another = stated(PACKAGE, "0"), stated(LITELLM, "1")

    ((doubt,), _) = price_doubts([used()], Book([free], [free], [another]))

    assert (doubt.kind, doubt.list_cost, doubt.difference) == (DIFFERS, 0, None)


def test_a_tier_is_compared_with_its_own_kind_of_price_only() -> None:
    general, flex = stated(PACKAGE, "2"), stated(LITELLM, "1", tier="flex")

    (of_tier, calls) = price_doubts([used(tier="flex")], Book([general, flex], [general], [flex]))
    (fallen, fallen_calls) = price_doubts([used(tier="priority")], Book([general, flex], [general]))

    assert [each.kind for each in of_tier] == [LATER]
    assert [each.kind for each in fallen] == [GENERAL]
    assert (calls, fallen_calls) == (0, 2)


def test_an_own_price_that_overrides_is_no_later_source() -> None:
    own = stated(OWN, "1")._replace(overrides=True)

    found, _ = price_doubts([used()], Book([own], [stated(PACKAGE, "2")], [own]))

    assert [(each.kind, each.source, each.other_source) for each in found] == [
        (DIFFERS, OWN, PACKAGE)
    ]


def test_unknown_cost_comes_first_then_the_most_money_and_usage_adds_up() -> None:
    own = stated(OWN, "3")
    usage = [
        used(),
        used(tokens=500),
        used(model="unknown", tokens=7),
        used(model="large", tokens=10**8),
    ]

    found, _ = price_doubts(usage, Book([own], [], [own]))

    assert [(each.kind, each.model, each.tokens, each.list_cost) for each in found] == [
        (NO_PRICE, "unknown", 7, None),
        (LATER, "large", 10**8, 300),
        (LATER, "m", 1_000_500, D("3.0015")),
    ]
    assert found[2].calls == 4
    assert "no source has a price,p,unknown,,,2,7,,,,," in doubts_csv(found)
