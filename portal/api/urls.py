"""Addresses of the REST API. Its description for programs is at schema/."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from portal.api.allocation import chargeback, reconcile, runs
from portal.api.costs import list_costs
from portal.api.drivers import drivers, upload_driver_file
from portal.api.explain import explain_amount
from portal.api.gaps import gap
from portal.api.imports import list_imports, one_import, rejected_rows, upload_bill
from portal.api.jobs import job, jobs
from portal.api.prices import unpriced
from portal.api.reviews import reviews
from portal.api.rules import rules_language
from portal.api.schema import SchemaView
from portal.api.teams import team, teams
from portal.api.usage import list_usage

urlpatterns: list[URLPattern | URLResolver] = [
    path("schema/", SchemaView.as_view(), name="api_schema"),
    path("costs/", list_costs, name="api_costs"),
    path("usage/", list_usage, name="api_usage"),
    path("teams/", teams, name="api_teams"),
    path("teams/<slug:slug>/", team, name="api_team"),
    path("imports/", list_imports, name="api_imports"),
    path("imports/<int:import_id>/", one_import, name="api_import"),
    path("imports/<int:import_id>/rejected/", rejected_rows, name="api_import_rejected"),
    path("jobs/", jobs, name="api_jobs"),
    path("jobs/<int:job_id>/", job, name="api_job"),
    path("runs/", runs, name="api_runs"),
    path("reconcile/", reconcile, name="api_reconcile"),
    path("reconcile/gap/", gap, name="api_gap"),
    path("chargeback/", chargeback, name="api_chargeback"),
    path("reviews/", reviews, name="api_reviews"),
    path("explain/", explain_amount, name="api_explain"),
    path("rules/schema/", rules_language, name="api_rules_schema"),
    path("prices/unpriced/", unpriced, name="api_unpriced"),
    path("drivers/", drivers, name="api_drivers"),
    path("drivers/<slug:kind>/", upload_driver_file, name="api_driver_upload"),
    path("bills/", upload_bill, name="api_bills"),
]
