"""Every address of the portal. A page declares its own (portal/pages/registry.py)."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from portal import health
from portal.pages.frame.home import home
from portal.pages.registry import page_urls

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("accounts/", include("portal.accounts.urls")),
    path("", include("portal.ingest.otlp.http.urls")),
    path("api/v1/", include("portal.api.urls")),
    path("", home, name="home"),
    *page_urls(),
]

handler500 = "portal.health.server_error"
