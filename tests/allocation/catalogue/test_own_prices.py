"""The organisation's own prices as a file says them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from allocation.catalogue.own_prices import PriceFileError, read_own_prices

HEADER = "provider,model,valid_from,tier,class,usd_per_million\n"


def read(*rows: str, header: str = HEADER) -> dict[tuple[object, ...], Decimal]:
    return {
        (
            each.line.provider,
            each.line.model,
            each.line.valid_from,
            each.line.tier,
            each.line.token_class,
            each.overrides,
        ): each.line.per_million
        for each in read_own_prices(header + "\n".join(rows))
    }


def test_a_row_is_a_price_from_its_day_on() -> None:
    assert read("OpenAI,GPT-House,2026-07-01,,input,2.50", "gemini,g-1,,flex,output_text,0") == {
        ("openai", "gpt-house", date(2026, 7, 1), None, "input_uncached", False): Decimal("2.50"),
        ("gcp.gemini", "g-1", None, "flex", "output_text", False): Decimal(0),
    }


def test_cache_write_is_both_and_gives_way_to_a_row_of_one() -> None:
    found = read("x,m,,,cache_write_1h,6", "x,m,,standard,cache_write,4")

    assert {key[4]: price for key, price in found.items()} == {
        "cache_write_5m": 4,
        "cache_write_1h": 6,
    }


def test_what_overrides_says_so() -> None:
    header = HEADER.replace("\n", ",overrides\n")

    assert [key[5] for key in read("x,m,,,input,1,yes", "x,m,,,output,1,", header=header)] == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("x,m,,,input,", "line 2: usd_per_million is a number like 2.50, not ''"),
        ("x,m,,,input,-1", "line 2: usd_per_million"),
        ("x,m,,,input,NaN", "line 2: usd_per_million"),
        ('x,m,,,input,"2,5"', "line 2: usd_per_million"),
        ("x,m,,,input,1e9999", "line 2: usd_per_million"),
        ("x,m,1.7.2026,,input,1", "line 2: valid_from is a day like 2026-07-01"),
        ("x,m,,flx,input,1", "line 2: tier is empty or one of batch, fast, flex"),
        ("x,m,,,tokens,1", "line 2: class is one of input_uncached"),
        (",m,,,input,1", "line 2: provider is a text"),
        ("x,,,,input,1", "line 2: model is a text"),
        ("x,m,,,input", "line 2: it has more or fewer cells"),
        ("x,m,,,input,1\nX,M,,standard,input,2", "line 3: the same price stands in line 2"),
    ],
)
def test_a_refusal_names_the_line(row: str, problem: str) -> None:
    with pytest.raises(PriceFileError) as refused:
        read(row)
    assert refused.value.problems[0].startswith(problem)


def test_every_problem_is_told_and_a_wrong_header_is_one() -> None:
    with pytest.raises(PriceFileError) as refused:
        read("x,m,,,input,a", "x,m,,,input,1", "x,m,y,,input,1")
    assert [problem[:6] for problem in refused.value.problems] == ["line 2", "line 4"]

    with pytest.raises(PriceFileError, match="line 1: the columns are"):
        read(header="provider,model,price\n")
