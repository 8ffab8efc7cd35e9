"""The shape of the code keeps its limits: what docs/architecture.md tells of it, as a test."""

from __future__ import annotations

from functools import cache

from benchmarks.structure import ROOT, Tree

MOST_FLOORS, MOST_MODULES = 12, 104


@cache
def tree() -> Tree:
    return Tree(ROOT)


def test_nothing_is_imported_against_the_order_of_packages() -> None:
    assert tree().climbs() == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert tree().circles() == []


def test_the_ledger_has_few_floors() -> None:
    assert 1 < tree().floors("allocation") <= MOST_FLOORS


def test_few_modules_lie_under_an_executive_figure() -> None:
    assert 1 < len(tree().under_figure()) <= MOST_MODULES
