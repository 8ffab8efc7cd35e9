"""Texts that are reviewed as files: a test compares them, and `--update-snapshots` writes them
anew.

The difference in a commit is the review: a change that nobody meant shows there.
"""

from __future__ import annotations

from difflib import unified_diff
from pathlib import Path


def compare(path: Path, text: str, *, update: bool) -> None:
    """Raises AssertionError with the difference where the file says something else, or is not
    there.
    """
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return
    assert path.exists(), f"{path.name} is missing: run the test with --update-snapshots"
    known = path.read_text(encoding="utf-8")
    difference = "\n".join(
        unified_diff(known.splitlines(), text.splitlines(), "reviewed", "now", lineterm="")
    )
    assert known == text, f"{path.name}: review, then --update-snapshots\n{difference}"
