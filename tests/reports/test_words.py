"""One word for one thing: how an amount is known, and why it is nobody's."""

from __future__ import annotations

import pytest

from allocation.models import ChargeKind, Evidence
from allocation.rules.methods import METHODS as METHODS_OF_RULES
from reports import readable
from reports.readable import kind_known_by, known_by, reason_words


def test_told_names_stand_in_quotes() -> None:
    assert reason_words("unknown team: nobody") == "unknown team 'nobody'"
    assert [reason_words(text) for text in ("untraced", "unknown team", None)] == [
        "no trace",
        "unknown team",
        "",
    ]


@pytest.mark.parametrize(
    ("kind", "rung", "method", "said"),
    [
        ("shared", 1, "traced_usage", "measured by your traces"),
        ("shared", 2, "capacity", "measured by your traces"),
        ("shared", 3, "provider_usage", "by the provider's report"),
        ("direct", 4, "direct", "tagged to you"),
        ("direct", 5, "direct", "inferred"),
        ("shared", 4, "proportional", "shared platform"),
        ("shared", 1, "even", "shared platform"),
        ("untraced", 1, "traced_usage", "no trace, shared out"),
        ("untraced", 3, "provider_usage", "no trace, shared out"),
        ("untraced", 4, "traced_usage", "no trace, kept by its owner"),
        ("untraced", 6, "traced_usage", "unallocated"),
        ("unallocated", 6, "even", "unallocated"),
        ("direct", 4, None, "tagged to you"),
    ],
)
def test_how_an_amount_is_known(kind: str, rung: int, method: str | None, said: str) -> None:
    assert known_by(kind, rung, method) == kind_known_by(kind, rung, method) == said


def test_what_stands_for_itself_is_called_by_its_kind() -> None:
    assert kind_known_by("idle", 4, "gpu_usage") == "idle capacity"
    assert known_by("idle", 4, "gpu_usage") == "tagged to you"


def test_every_code_of_the_ledger_has_a_word() -> None:
    assert set(readable.KINDS) == set(ChargeKind.values)
    assert set(readable.KNOWN_BY) == set(Evidence.values)
    assert set(readable.METHODS) == set(METHODS_OF_RULES)


def test_the_order_has_every_way_of_knowing() -> None:
    ways = {
        known_by(kind, rung, method)
        for kind in readable.KINDS
        for rung in readable.KNOWN_BY
        for method in readable.METHODS
    }

    assert ways == set(readable.BEST_KNOWN_FIRST)
