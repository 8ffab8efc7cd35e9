"""Property tests are short by default; `make properties` runs fifty times as many examples (profile
"longer").
"""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import settings

from allocation.charges.groups import ChargeGroup
from allocation.plans.plan import Plan
from allocation.plans.planner import Ground, Planner
from allocation.usage.keys import DeclaredUsage
from allocation.usage.month_usage import MonthUsage

settings.register_profile("longer", max_examples=10_000, deadline=None, database=None)
settings.register_profile("mutants", max_examples=4, deadline=None, database=None, derandomize=True)
settings.register_profile("modest", max_examples=200, deadline=None, database=None)
if settings.get_current_profile_name() in (
    "default",
    "ci",
):  # no other is asked for by --hypothesis-profile
    settings.load_profile("modest")


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Stage and day of the month of every group that a run plans, instead of taking it over."""
    found: list[tuple[int, int]] = []
    plain = Planner.plan

    def noted(planner: Planner, group: ChargeGroup, ground: Ground) -> Plan:
        found.append((planner.split_keys[group.split_key].part, group.day.day))
        return plain(planner, group, ground)

    monkeypatch.setattr(Planner, "plan", noted)
    return found


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[date | None]:
    """Days of which runs read who used what, None for the month as a whole."""
    found: list[date | None] = []
    plain, plain_month = MonthUsage.read, MonthUsage.read_month

    def of_days(usage: MonthUsage, days: list[date]) -> list[DeclaredUsage]:
        found.extend(sorted(days))
        return plain(usage, days)

    def of_month(usage: MonthUsage, cuts: set[date]) -> list[DeclaredUsage]:
        found.append(None)
        return plain_month(usage, cuts)

    monkeypatch.setattr(MonthUsage, "read", of_days)
    monkeypatch.setattr(MonthUsage, "read_month", of_month)
    return found
