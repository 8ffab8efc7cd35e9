"""The usage data page: measured quantities that shared cost is split by."""

from __future__ import annotations

from django.urls import path

from portal.accounts.models import Role
from portal.pages.intake.drivers.views import allocate_month, show_drivers, upload_driver
from portal.pages.registry import PageSpec, Right

DRIVERS = PageSpec(
    name="drivers",
    label="Usage data",
    position=90,
    group="set_up",
    roles=frozenset({Role.FINANCE, Role.FINOPS_ADMIN}),
    urls=(path("drivers/", show_drivers, name="drivers"),),
    rights=(
        Right(
            # Driver data moves what every team pays: for those who may grant access, too.
            "drivers-change",
            frozenset({Role.FINOPS_ADMIN}),
            (
                path("drivers/allocate/", allocate_month, name="driver_allocate"),
                path("drivers/upload/<slug:kind>/", upload_driver, name="driver_upload"),
            ),
        ),
    ),
)
