"""Addresses that OpenTelemetry exporters send to."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from portal.ingest.otlp.http.views import traces

urlpatterns: list[URLPattern | URLResolver] = [path("v1/traces", traces, name="otlp_traces")]
