"""manage.py import_prices: bring the list prices of the installed genai-prices in."""

from __future__ import annotations

from typing import Any

from allocation.catalogue.prices import match_models
from allocation.models import Price
from portal.commands import PortalCommand
from portal.ingest.otlp.job_kinds import import_packaged_prices


class Command(PortalCommand):
    help = (
        "Import the installed genai-prices as a new version of the list prices, and price known "
        "usage by it."
    )

    def run(self, **options: Any) -> dict[str, Any]:
        version, is_new = import_packaged_prices(created_by="import_prices")
        prices = Price.objects.filter(version=version)
        return {
            "status": "loaded" if is_new else "unchanged",
            "version": version.pk,
            "source": version.source,
            "sha256": version.content_sha256,
            "prices": prices.count(),
            "models": prices.values("provider", "model").distinct().count(),
            "undated": prices.filter(is_undated=True).count(),
            "models_matched_now": match_models(version.pk),
        }
