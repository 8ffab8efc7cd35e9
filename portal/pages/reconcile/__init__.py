"""The reconciliation page: bills and traces side by side, and what explains the gap."""

from __future__ import annotations

from django.urls import path

from portal.accounts.models import Role
from portal.pages.reconcile.views import download_csv, reconciliation
from portal.pages.registry import PageSpec

RECONCILIATION = PageSpec(
    name="reconciliation",
    label="Reconciliation",
    position=70,
    group="close",
    roles=frozenset({Role.EXECUTIVE, Role.FINANCE, Role.FINOPS_ADMIN}),
    urls=(
        path("reconciliation/", reconciliation, name="reconciliation"),
        path("reconciliation/gap.csv", download_csv, name="reconciliation_csv"),
    ),
    choices=("period",),
)
