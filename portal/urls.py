"""Every address of the portal."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("accounts/", include("portal.accounts.urls")),
    path("", include("portal.ingest.otlp.urls")),
    path("api/v1/", include("portal.api.urls")),
    path("", include("portal.pages.urls")),
]
