"""The shape of the code keeps its limits: what docs/architecture.md tells of it, as a test."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache

from benchmarks.structure import ROOT, ModuleTree

MOST_FLOORS, MOST_MODULES = 12, 123


@cache
def tree() -> ModuleTree:
    return ModuleTree(ROOT)


def test_nothing_is_imported_against_the_order_of_packages() -> None:
    assert tree().climbs() == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert tree().circles() == []


def test_the_ledger_has_few_floors() -> None:
    assert 1 < tree().floors("allocation") <= MOST_FLOORS


def test_few_modules_lie_under_an_executive_figure() -> None:
    assert 1 < len(tree().under_figure()) <= MOST_MODULES


def test_a_class_name_means_one_class() -> None:
    """Django asks for a `Meta` in every model and for a `Command` in every command."""
    found: dict[str, list[str]] = defaultdict(list)
    for package in ("allocation", "reports", "portal", "benchmarks"):
        for path in (ROOT / package).rglob("*.py"):
            if "migrations" not in path.parts:
                for node in ast.walk(ast.parse(path.read_text())):
                    if isinstance(node, ast.ClassDef) and node.name not in ("Meta", "Command"):
                        found[node.name].append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in found.items() if len(files) > 1} == {}
