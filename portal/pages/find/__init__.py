"""Find: one box for whatever a reader has the name of."""

from __future__ import annotations

from django.urls import path

from portal.accounts.models import Role
from portal.pages.find.views import find
from portal.pages.registry import PageSpec

FIND = PageSpec(
    name="find",
    label=None,
    position=150,
    roles=frozenset(Role),
    urls=(path("find/", find, name="find"),),
)
