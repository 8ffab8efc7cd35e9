"""The executive page: what AI costs, where it goes, and what changed."""

from __future__ import annotations

from django.urls import path

from portal.accounts.models import Role
from portal.pages.registry import ALL_CHOICES, PageSpec
from portal.pages.spend.executive.views import executive

EXECUTIVE = PageSpec(
    name="executive",
    label="Executive",
    position=10,
    group="see",
    roles=frozenset({Role.EXECUTIVE, Role.FINANCE, Role.FINOPS_ADMIN}),
    urls=(path("executive/", executive, name="executive"),),
    choices=ALL_CHOICES,
    sums_money=True,
)
