"""The chargeback page: what each team is charged, line by line."""

from __future__ import annotations

from django.urls import path

from portal.accounts.models import Role
from portal.pages.registry import PageSpec
from portal.pages.spend.chargeback.center import cost_center
from portal.pages.spend.chargeback.views import chargeback, download

CHARGEBACK = PageSpec(
    name="chargeback",
    label="Chargeback",
    position=60,
    group="close",
    roles=frozenset({Role.FINANCE, Role.FINOPS_ADMIN}),
    urls=(
        path("chargeback/", chargeback, name="chargeback"),
        path("chargeback/center/", cost_center, name="chargeback_center"),
        path("chargeback/lines.<slug:format>", download, name="chargeback_file"),
    ),
    choices=("period", "metric", "currency"),
    sums_money=True,
)
