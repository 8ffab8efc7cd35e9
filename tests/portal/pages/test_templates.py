"""Templates are read by people, too: their lines fit a window."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

COLUMNS = 100
FOLDERS = [settings.BASE_DIR / "templates", settings.BASE_DIR / "portal" / "pages"]
TEMPLATES = sorted(path for folder in FOLDERS for path in folder.rglob("*.html"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_line_of_a_template_is_longer_than_a_line_of_code(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()

    assert [number for number, line in enumerate(lines, 1) if len(line) > COLUMNS] == []
