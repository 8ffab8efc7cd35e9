"""The plan page: what teams and cost centres plan to spend, typed or uploaded, with its history."""

from __future__ import annotations

from django.urls import path

from portal.accounts.models import Role
from portal.pages.registry import PageSpec, Right
from portal.pages.spend.plan.views import apply, export_csv, preview, show_plan, type_one

PLAN = PageSpec(
    name="plan",
    label="Plan",
    position=75,
    group="close",
    roles=frozenset({Role.EXECUTIVE, Role.FINANCE, Role.FINOPS_ADMIN}),
    urls=(
        path("plan/", show_plan, name="plan"),
        path("plan/plans.csv", export_csv, name="plan_csv"),
    ),
    choices=("period",),
    rights=(
        Right(
            "plan-change",
            frozenset({Role.FINANCE, Role.FINOPS_ADMIN}),
            (
                path("plan/preview/", preview, name="plan_preview"),
                path("plan/type/", type_one, name="plan_type"),
                path("plan/apply/", apply, name="plan_apply"),
            ),
        ),
    ),
)
