"""What the documents promise to list is listed."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
READ = re.compile(r'env\.(?:text|integer|boolean|words)\(\s*"([A-Z_]+)"')
ROW = re.compile(r"^\| `([A-Z_]+)` \|", re.MULTILINE)


def test_every_setting_read_from_the_environment_is_documented_and_no_other() -> None:
    read = set(READ.findall((ROOT / "portal" / "settings.py").read_text(encoding="utf-8")))
    listed = ROW.findall((ROOT / "docs" / "settings.md").read_text(encoding="utf-8"))

    assert len(read) > 20
    assert set(listed) == read
    assert len(listed) == len(set(listed))


def test_the_environment_is_read_in_the_settings_only() -> None:
    """Starting child processes passes it on whole; nothing else looks at it."""
    passing_on = {
        "portal/env.py",
        "portal/embedded/supervisor.py",
        "portal/celery.py",
        "portal/wsgi.py",
    }
    found = {
        str(path.relative_to(ROOT))
        for package in ("portal", "reports", "allocation")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"os\.environ|getenv", path.read_text(encoding="utf-8"))
    }

    assert found <= passing_on
