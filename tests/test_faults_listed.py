"""docs/faults.md lists each fault that has a test, with that test, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEST = re.compile(r"def (test_fault_(\d{3})_\w+)")
ROW = re.compile(r"^\| (\d+) \|.*\| `(tests/[\w/]+\.py)::(test_fault_\d{3}_\w+)` \|$", re.MULTILINE)


def in_the_tree() -> set[tuple[int, str, str]]:
    return {
        (int(number), str(path.relative_to(ROOT)), name)
        for path in (ROOT / "tests").rglob("test_*.py")
        for name, number in TEST.findall(path.read_text(encoding="utf-8"))
    }


def in_the_page() -> set[tuple[int, str, str]]:
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    return {(int(number), path, name) for number, path, name in ROW.findall(page)}


def test_every_fault_test_stands_in_the_page_and_every_row_has_its_test() -> None:
    assert in_the_page() == in_the_tree()
