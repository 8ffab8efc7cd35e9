"""The GPU page: what was booked, and what of it was used."""

from __future__ import annotations

from django.urls import path

from portal.accounts.models import Role
from portal.pages.operate.gpu.views import gpu
from portal.pages.registry import PageSpec

GPU = PageSpec(
    name="gpu",
    label="GPU",
    position=50,
    group="see",
    roles=frozenset({Role.FINANCE, Role.ON_CALL, Role.FINOPS_ADMIN}),
    urls=(path("gpu/", gpu, name="gpu"),),
    choices=("period", "range", "metric", "currency"),
)
