"""Property tests are short by default; `make properties` runs fifty times as many examples (profile
"longer").
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("longer", max_examples=10_000, deadline=None, database=None)
settings.register_profile("mutants", max_examples=4, deadline=None, database=None, derandomize=True)
settings.register_profile("modest", max_examples=200, deadline=None, database=None)
if settings.get_current_profile_name() in (
    "default",
    "ci",
):  # no other is asked for by --hypothesis-profile
    settings.load_profile("modest")


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How each month was read: "late" or "whole"."""
    from allocation.runs.month import MonthJob, RunOutcome

    found: list[str] = []
    plain = MonthJob._allocate

    def noted(job: MonthJob, world: Any, members: Any, late: Any) -> list[RunOutcome]:
        found.append("late" if late else "whole")
        return plain(job, world, members, late)

    monkeypatch.setattr(MonthJob, "_allocate", noted)
    return found
