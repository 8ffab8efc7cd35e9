"""Every address of the portal."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from portal import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("accounts/", include("portal.accounts.urls")),
    path("", include("portal.ingest.otlp.http.urls")),
    path("api/v1/", include("portal.api.urls")),
    path("", include("portal.pages.urls")),
]

handler500 = "portal.health.server_error"
