"""What changed since a run, and which days it touches."""

from __future__ import annotations

from datetime import date

import pytest

from allocation.models import AllocationRun, ChargeScope, Team
from allocation.staleness import Change, changes_since
from tests.allocation.bills import AWS, Bill, allocate, put_in_force, utc

pytestmark = pytest.mark.django_db
TAGGED = "rules: [{name: tagged, method: direct, target: {team: {tag: team}}}]"


def changes() -> list[Change]:
    return changes_since(AllocationRun.objects.get(is_current=True))


def test_nothing_changed_is_nothing_stale() -> None:
    Bill().charge("1", **AWS)
    allocate()

    assert changes() == []


def test_a_late_import_touches_its_own_charge_days() -> None:
    Bill().charge("1", **AWS)
    allocate()
    late = Bill(name="late")
    late.charge("1", at=utc(14), **AWS)
    late.charge("1", at=utc(15), **AWS)

    (change,) = changes()

    assert change.cause == f"import {late.scope.bill_import_id} of late was loaded"
    assert change.days == (date(2026, 10, 14), date(2026, 10, 15))
    allocate()
    assert changes() == []


def test_a_withdrawn_bill_a_new_rule_set_and_a_new_team_are_named() -> None:
    Bill().charge("1", **AWS)
    gone = Bill(name="gone")
    gone.charge("2", at=utc(9), **AWS)
    allocate()
    ChargeScope.objects.filter(pk=gone.scope.pk).update(state="superseded")
    made = put_in_force(TAGGED)
    Team.objects.create(slug="new", name="New")

    found = changes()

    assert found[0] == Change(
        f"import {gone.scope.bill_import_id} of gone was replaced or withdrawn", (date(2026, 10, 9),)
    )
    assert [change.cause for change in found[1:]] == [f"rule set {made.number} is in force", "the organisation changed"]
    assert all(change.days is None for change in found[1:])
