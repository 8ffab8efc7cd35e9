"""What names on bills and calls mean: the target behind them on a day."""

from __future__ import annotations

from datetime import date

import pytest

from allocation.organisation.targets import Organisation, Owner, Target, resolve

DAY = date(2026, 10, 5)
TREE = Organisation(
    teams={"search": "search", "search engine": "search"},
    features={},
    feature_names={"chat": "chat", "the chat": "chat"},
)


@pytest.mark.parametrize(
    ("told", "target"),
    [
        (Owner(team="search"), Target(team="search")),
        (Owner(team=" SEARCH "), Target(team="search")),
        (Owner(team="Search  Engine"), Target(team="search")),
        (Owner(team="ｓearch"), Target(team="search")),
        (Owner(team="search", feature="The Chat"), Target(team="search", feature="chat")),
        (Owner(team="Serach"), Target(reason="unknown team: Serach")),
        (Owner(feature="new"), Target(feature="new", reason="no team")),
    ],
)
def test_fault_080_names_are_compared_without_case_width_and_spaces(
    told: Owner, target: Target
) -> None:
    assert resolve(TREE, told, model=None, day=DAY) == target
