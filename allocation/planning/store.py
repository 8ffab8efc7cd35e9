"""Reading the plans, and adding a version of them that was previewed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import Max

from allocation.models import CostCenter, SpendPlanAmount, SpendPlanVersion, Team
from allocation.planning.holders import PlanHolder
from allocation.planning.plan_file import (
    PlanDifference,
    PlannedAmount,
    Plans,
    SpendPlanKey,
    difference,
)

IN_FORCE = "SELECT month, team, cost_center, account, amount, currency FROM spend_plan"
MOST_OF_A_NAME = 200


class PlanError(Exception):
    """The file can't be applied; the message says why. Nothing has changed."""


def read_plans() -> Plans:
    """Every plan in force."""
    with connection.cursor() as cursor:
        cursor.execute(IN_FORCE)
        return {_key(*row[:4]): PlannedAmount(row[4], row[5]) for row in cursor.fetchall()}


def _key(month: date, team: str | None, center: str | None, account: str) -> SpendPlanKey:
    holder = PlanHolder("cost_center", center) if center else PlanHolder("team", team or "")
    return SpendPlanKey(month, holder, account)


def preview_plans(text: str) -> PlanDifference:
    """What the file would change now."""
    return difference(text, read_plans(), _holders())


def _holders() -> dict[PlanHolder, int]:
    """Everybody who can have a plan, and their ids."""
    teams = Team.objects.values_list("slug", "id")
    centers = CostCenter.objects.values_list("code", "id")
    return {PlanHolder("team", slug): number for slug, number in teams} | {
        PlanHolder("cost_center", code): number for code, number in centers
    }


def apply_plans(
    *, text: str, previewed: str, origin: str, acting_user: str | None, now: datetime
) -> PlanDifference:
    """Adds the version that was previewed as `previewed` (PlanDifference.token), whole or not at
    all. Raises PlanError where file or plans are others than previewed, or have problems.
    """
    with transaction.atomic():
        _lock()
        found = preview_plans(text)
        if previewed != found.token:
            raise PlanError("the file or the plans are not those that were previewed; look again")
        if found.problems:
            raise PlanError("the file has problems; put them right and preview it again")
        if found.changes:
            _write(found, SpendPlanVersion(origin=_one_line(origin), created_by=acting_user), now)
    return found


def _lock() -> None:
    """Nobody else changes plans until the transaction ends; readers go on."""
    table = connection.ops.quote_name(SpendPlanVersion._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")


def _one_line(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:MOST_OF_A_NAME]


def _write(found: PlanDifference, version: SpendPlanVersion, now: datetime) -> None:
    newest = SpendPlanVersion.objects.aggregate(newest=Max("number"))["newest"]
    version.number = (newest or 0) + 1
    version.created_at = now
    version.save()
    ids = _holders()
    SpendPlanAmount.objects.bulk_create(
        SpendPlanAmount(
            version=version,
            month=change.key.month,
            account=change.key.account,
            amount=change.after.amount if change.after else None,
            currency=change.after.currency if change.after else None,
            **{f"{change.key.holder.kind}_id": ids[change.key.holder]},
        )
        for change in found.changes
    )


@dataclass(frozen=True)
class PlanStep:
    """What one version says of one key."""

    number: int
    created_at: datetime
    created_by: str | None
    origin: str
    key: SpendPlanKey
    amount: Decimal | None
    currency: str | None


def plan_history(*, limit: int) -> list[PlanStep]:
    """What versions have said, newest first."""
    rows = SpendPlanAmount.objects.select_related("version", "team", "cost_center").order_by(
        "-version__number", "month", "cost_center__code", "team__slug", "account"
    )[:limit]
    return [
        PlanStep(
            row.version.number,
            row.version.created_at,
            row.version.created_by,
            row.version.origin,
            _key(
                row.month,
                row.team.slug if row.team else None,
                row.cost_center.code if row.cost_center else None,
                row.account,
            ),
            row.amount,
            row.currency,
        )
        for row in rows
    ]


def holder_names() -> dict[PlanHolder, str]:
    """Everybody who can have a plan, by name: cost centres, then teams."""
    centers = CostCenter.objects.order_by("code").values_list("code", "name")
    teams = Team.objects.order_by("name", "slug").values_list("slug", "name")
    return {PlanHolder("cost_center", code): name for code, name in centers} | {
        PlanHolder("team", slug): name for slug, name in teams
    }
