"""Which columns of usage a bill's line of a token class pays for."""

from __future__ import annotations

import pytest

from allocation.catalogue.canonical import ALL_COLUMNS, TOKEN_COLUMNS, columns_of


def names(columns: tuple[int, ...]) -> set[str]:
    return {TOKEN_COLUMNS[n] for n in columns}


@pytest.mark.parametrize(
    ("token_class", "on_bill", "expected"),
    [
        (
            "input",
            {"input"},
            {
                "input_uncached",
                "cache_read",
                "cache_write_5m",
                "cache_write_1h",
                "input_audio",
                "input_image",
            },
        ),
        (
            "input",
            {"input", "cache_read"},
            {"input_uncached", "cache_write_5m", "cache_write_1h", "input_audio", "input_image"},
        ),
        (
            "input",
            {"input", "cache_write", "input_audio"},
            {"input_uncached", "cache_read", "input_image"},
        ),
        ("output", {"output"}, {"output_text", "reasoning", "output_audio", "output_image"}),
        ("output", {"output", "reasoning", "output_audio", "output_image"}, {"output_text"}),
        ("cache_write", {"cache_write"}, {"cache_write_5m", "cache_write_1h"}),
        ("cache_write", {"cache_write", "cache_write_1h"}, {"cache_write_5m"}),
        ("cache_write_1h", {"cache_write_1h"}, {"cache_write_1h"}),
        ("reasoning", {"reasoning"}, {"reasoning"}),
    ],
)
def test_a_class_takes_in_what_the_bill_has_no_line_for(
    token_class: str, on_bill: set[str], expected: set[str]
) -> None:
    assert names(columns_of(token_class, frozenset(on_bill))) == expected


def test_every_column_is_paid_by_exactly_one_line_whatever_lines_a_bill_has() -> None:
    for lines in (
        {"input", "output"},
        {"input", "output", "cache_read", "cache_write"},
        {"input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning"},
        {"input", "output", "input_audio", "output_audio", "input_image", "output_image"},
    ):
        paid = [column for name in lines for column in columns_of(name, frozenset(lines))]
        assert sorted(paid) == list(ALL_COLUMNS)
