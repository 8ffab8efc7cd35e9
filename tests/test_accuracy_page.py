"""docs/accuracy.md as it is made: what is missed is said, and several seeds are told apart."""

from __future__ import annotations

from typing import Any

from benchmarks.accuracy_table import page


def line(
    scenario: str, *, error: float, shown: float = 0.0, limit: float = 0.02, seed: int = 7
) -> dict[str, Any]:
    figures = {
        "error": error,
        "by_currency": {"USD": error},
        "sampling_error_shown": shown,
        "limit": limit,
        "tag_only": 1.5,
        "list_price": 0.06,
    }
    part: dict[str, Any] = {
        **dict.fromkeys(("team", "model", "feature", "all"), figures),
        "usd": 1430.4,
    }
    about = {
        "scenario": scenario,
        "seed": seed,
        "untraced_policy": "auto",
        "month": "2026-10",
        "spans": 1000,
    }
    return {**about, "all_cost": part, "model_calls": part}


def test_a_limit_that_is_missed_is_said_so() -> None:
    made = page([line("complete", error=0.001), line("lost", error=0.03)], scale=1.0, policy="auto")

    assert (
        "| complete | model calls | 0.10% | 0.10% | 0.10% | 2.00% | yes | 150%, 150%, 150% |"
        in made
    )
    assert "| lost | model calls | 3.00% | 3.00% | 3.00% | 2.00% | **no** |" in made


def test_one_seed_of_several_that_misses_is_enough() -> None:
    runs = [
        line("sampled", error=error, shown=0.02, limit=0.03, seed=seed)
        for seed, error in ((7, 0.02), (8, 0.031))
    ]

    made = page(runs, scale=1.0, policy="auto")

    assert "**no**, 1 of 2 seeds" in made
    assert "| sampled | 8 | 1.55 | 1.55 | 1.55 |" in made
