"""Explore: cost, calls or unit cost by any two dimensions; and a page per feature and model."""

from __future__ import annotations

from django.urls import path

from portal.accounts.models import Role
from portal.pages.registry import PageSpec
from portal.pages.spend.explore.subject import show_feature, show_model
from portal.pages.spend.explore.views import explore

EXPLORE = PageSpec(
    name="explore",
    label="Explore",
    position=25,
    group="see",
    roles=frozenset({Role.EXECUTIVE, Role.TEAM_LEAD, Role.FINANCE, Role.FINOPS_ADMIN}),
    urls=(
        path("explore/", explore, name="explore"),
        path("explore/feature/<path:name>/", show_feature, name="feature"),
        path("explore/model/<path:name>/", show_model, name="model"),
    ),
    choices=("period", "range", "metric", "currency", "report", "unit", "team", "environment"),
    sums_money=True,
)
