"""Entries that mean just the lines they were taught for."""

from __future__ import annotations

from decimal import Decimal

import pytest

from allocation.catalogue.entries import BILL, Entry, meaning
from allocation.catalogue.own_entries import read_catalogue
from allocation.catalogue.teaching import (
    CannotTeach,
    entries_for_wording,
    entry_for_unit,
    likely_model,
    with_taught,
)
from allocation.catalogue.wording import bill_line, wording_text

MINE = {
    wording_text({"sku_meter": f"zeta-9 {side} tokens", "service_name": "OpenAI API"})
    for side in ("input", "output")
}


def test_one_entry_by_name_where_no_other_line_has_it() -> None:
    (entry,) = entries_for_wording(
        "zeta-9", "GPT-4o-2024-08-06", provider="openai", own=MINE, others={"zeta-95 input tokens"}
    )

    assert (entry.model, entry.side, entry.seen_provider) == ("gpt-4o", BILL, "openai")
    assert all(meaning((entry,), BILL, "openai", text) for text in MINE)
    assert not meaning((entry,), BILL, "openai", "zeta-95 input tokens")


def test_an_entry_for_each_wording_where_another_model_begins_alike() -> None:
    other = "zeta-9-mini input tokens | openai api"

    entries = entries_for_wording("zeta-9", "gpt-4o", provider=None, own=MINE, others={other})

    assert len(entries) == 2
    assert all(meaning(entries, BILL, "openai", text) for text in MINE)
    assert not meaning(entries, BILL, "openai", other)


@pytest.mark.parametrize("name", ["a+b (x) [1m]", "größe.$^", "50% | off"])
def test_signs_in_a_wording_are_signs(name: str) -> None:
    text = f"{name} input tokens"
    (entry,) = entries_for_wording(name, "gpt-4o", provider=None, own={text}, others=())

    assert meaning((entry,), BILL, None, text)
    assert not meaning((entry,), BILL, None, "anything else")


def test_too_many_wordings_are_refused_with_what_to_do() -> None:
    own = {f"zeta {number}" for number in range(101)}

    with pytest.raises(CannotTeach, match="write a pattern by hand"):
        entries_for_wording("zeta", "gpt-4o", provider=None, own=own, others={"zeta x"})


def test_a_taught_unit_converts() -> None:
    line = {
        "provider_name": "OpenAI",
        "sku_meter": "gpt-4o input",
        "consumed_unit": "Blocks (of 5)",
        "pricing_unit": "1K tokens",
    }
    entries = (entry_for_unit("Blocks (of 5)", "5000", provider="openai"),)

    assert bill_line(line).tokens_per_consumed_unit is None
    taught = bill_line(line, entries)
    assert taught.tokens_per_consumed_unit == Decimal(5000)
    assert taught.tokens_per_pricing_unit == Decimal(1000)
    assert bill_line(line | {"consumed_unit": "Blocks"}, entries).tokens_per_consumed_unit is None
    assert bill_line(line | {"provider_name": "Cohere"}, entries).tokens_per_consumed_unit is None


def test_what_is_taught_comes_first_and_once() -> None:
    old, new = Entry(BILL, None, "a", model="x"), Entry(BILL, None, "b", model="y")

    assert with_taught((old, new), [new, new]) == (new, old)


def test_the_likely_model_is_the_one_that_is_worded_most_alike() -> None:
    assert likely_model("zeta 9 turbo", ["zeta-9-turbo-x", "gpt-4o"]) == "zeta-9-turbo-x"
    assert likely_model("zeta 9", ["gpt-4o"]) is None


HEADER = "side,seen_provider,pattern,provider,model,token_class,tier,tokens\n"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("unit,,^x$,,,,,", "of a unit, tokens says"),
        ("unit,,^x$,,,,,0", "of a unit, tokens says"),
        ("unit,,^x$,,,,,1e3", "of a unit, tokens says"),
        ("unit,,^x$,,gpt-4o,,,5", "of a unit, tokens says"),
        ("bill,,x,,gpt-4o,,,5", "tokens is for side unit only"),
    ],
)
def test_tokens_are_of_units_alone(row: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_catalogue(HEADER + row + "\n")


def test_files_without_the_column_are_read() -> None:
    old = "side,seen_provider,pattern,provider,model,token_class,tier\nbill,,x,,gpt-4o,,\n"

    assert read_catalogue(old) == (Entry(BILL, None, "x", model="gpt-4o"),)
