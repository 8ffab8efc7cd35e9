"""Versions of plans: added one after the other, never altered."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from allocation.models import SpendPlanVersion
from allocation.planning.holders import PlanHolder
from allocation.planning.plan_file import PlannedAmount
from allocation.planning.store import (
    PlanError,
    apply_plans,
    plan_history,
    preview_plans,
    read_plans,
)
from tests.factories import make_team

pytestmark = pytest.mark.django_db
HEADER = "month,cost_center,team,account,amount,currency\n"
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def teams() -> None:
    make_team("search", cost_center="4100")


def plan(*rows: str, by: str = "fin", origin: str = "plans.csv") -> None:
    text = HEADER + "".join(f"{row}\n" for row in rows)
    token = preview_plans(text).token
    apply_plans(text=text, previewed=token, origin=origin, acting_user=by, now=NOON)


def amounts() -> dict[str, PlannedAmount]:
    return {f"{key.holder.own} {key.account}".strip(): one for key, one in read_plans().items()}


def test_the_newest_version_is_in_force_and_the_others_stay() -> None:
    plan("2026-11,,search,6420,100.000000000001,USD", "2026-11,4100,,,900,USD")
    plan("2026-11,,search,6420,120,USD", by="root", origin="typed")
    plan("2026-11,4100,,,,")

    assert amounts() == {"search 6420": PlannedAmount(Decimal(120), "USD")}
    history = plan_history(limit=9)
    assert [(one.number, one.created_by, one.origin, one.amount) for one in history] == [
        (3, "fin", "plans.csv", None),
        (2, "root", "typed", Decimal(120)),
        (1, "fin", "plans.csv", Decimal(900)),
        (1, "fin", "plans.csv", Decimal("100.000000000001")),
    ]
    assert plan_history(limit=9)[0].key.holder == PlanHolder("cost_center", "4100")


def test_a_plan_that_was_taken_away_can_come_again() -> None:
    for amount in ("5,USD", ",", "6,EUR"):
        plan(f"2026-11,,search,,{amount}")

    assert amounts() == {"search": PlannedAmount(Decimal(6), "EUR")}


def test_nothing_different_is_no_version() -> None:
    plan("2026-11,,search,,5,USD")
    plan("2026-11,,search,,5.00,USD")

    assert SpendPlanVersion.objects.count() == 1


def test_only_what_was_previewed_is_applied() -> None:
    text = HEADER + "2026-11,,search,,5,USD\n"
    token = preview_plans(text).token
    plan("2026-12,,search,,7,USD")

    with pytest.raises(PlanError, match="not those that were previewed"):
        apply_plans(text=text, previewed=token, origin="x", acting_user=None, now=NOON)
    wrong = HEADER + "2026-11,,nobody,,5,USD\n2026-11,,search,,6,USD\n"
    with pytest.raises(PlanError, match="has problems"):
        apply_plans(
            text=wrong,
            previewed=preview_plans(wrong).token,
            origin="x",
            acting_user=None,
            now=NOON,
        )

    assert [key.month.month for key in read_plans()] == [12]


@pytest.mark.parametrize("change", ["UPDATE {} SET id = id", "DELETE FROM {}"])
@pytest.mark.parametrize("table", ["allocation_spendplanamount", "allocation_spendplanversion"])
def test_a_version_is_never_altered(change: str, table: str) -> None:
    plan("2026-11,,search,,5,USD")

    with (
        pytest.raises(IntegrityError, match="never altered"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(change.format(table))

    assert amounts() == {"search": PlannedAmount(Decimal(5), "USD")}


def test_the_name_of_a_file_is_kept_on_one_line() -> None:
    plan("2026-11,,search,,5,USD", origin="a\0b\nc" + "d" * 300)

    assert SpendPlanVersion.objects.get().origin == "abc" + "d" * 197
