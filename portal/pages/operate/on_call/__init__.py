"""The on-call page: what is happening now."""

from __future__ import annotations

from django.urls import path

from portal.accounts.models import Role
from portal.pages.operate.on_call.views import show_on_call
from portal.pages.registry import PageSpec

ON_CALL = PageSpec(
    name="on-call",
    label="On-call",
    position=30,
    group="see",
    roles=frozenset({Role.ON_CALL, Role.FINOPS_ADMIN}),
    urls=(path("on-call/", show_on_call, name="on-call"),),
    choices=("unit", "team", "environment"),
)
