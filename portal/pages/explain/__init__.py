"""The explain page: where a figure comes from. Figures lead to it, the rail does not."""

from __future__ import annotations

from django.urls import path

from portal.accounts.models import Role
from portal.pages.explain.change import show_change
from portal.pages.explain.views import show_explain
from portal.pages.registry import PageSpec

EXPLAIN = PageSpec(
    name="explain",
    label=None,
    position=130,
    roles=frozenset({Role.EXECUTIVE, Role.TEAM_LEAD, Role.FINANCE, Role.FINOPS_ADMIN}),
    urls=(
        path("explain/", show_explain, name="explain"),
        path("explain/change/", show_change, name="explain_change"),
    ),
    choices=("period", "range", "metric", "currency", "unit", "team", "environment"),
)
