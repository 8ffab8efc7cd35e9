"""The showback pages: what each team uses and costs."""

from __future__ import annotations

from django.urls import path

from portal.accounts.models import Role
from portal.pages.registry import ALL_CHOICES, PageSpec, Right
from portal.pages.spend.showback.review import mark_statement
from portal.pages.spend.showback.views import showback, showback_team

SHOWBACK = PageSpec(
    name="showback",
    label="Showback",
    position=20,
    group="see",
    roles=frozenset({Role.EXECUTIVE, Role.TEAM_LEAD, Role.FINANCE, Role.FINOPS_ADMIN}),
    urls=(
        path("showback/", showback, name="showback"),
        path("showback/<slug:slug>/", showback_team, name="showback_team"),
    ),
    choices=ALL_CHOICES,
    sums_money=True,
    rights=(
        Right(
            "showback-review",
            frozenset({Role.TEAM_LEAD}),
            (path("showback/<slug:slug>/review/", mark_statement, name="showback_review"),),
        ),
    ),
)
