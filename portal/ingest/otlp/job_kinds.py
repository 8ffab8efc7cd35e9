"""Regular work on usage: folding, retention, and pricing again after a new price list."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from allocation.catalogue.price_store import ensure_prices
from allocation.catalogue.prices import current_version, reprice
from allocation.models import PriceVersion
from allocation.usage.summary import summarise
from portal.ingest.otlp.rollup.merge import merge_deltas
from portal.ingest.otlp.rollup.retention import prepare, retain
from portal.jobs.claims import JobContext
from portal.jobs.kinds import job_kind
from portal.jobs.queue import enqueue

REPRICE = "reprice_usage"


def refresh_prices(
    *, created_by: str | None = None, again: bool = False
) -> tuple[PriceVersion, bool]:
    """Bring the prices of the installed package and of the other sources in; usage priced by an
    older version is priced again by a job. With `again` a version that was in force before may
    return.
    """
    before = current_version()
    version, is_new = ensure_prices(again=again)
    if is_new and before is not None:
        enqueue(
            REPRICE,
            {"version": version.pk},
            dedupe_key=f"reprice {version.pk}",
            created_by=created_by,
        )
    return version, is_new


@job_kind("merge_usage", every_seconds=10)
def merge_usage(context: JobContext) -> dict[str, Any]:
    """Merge what arrived since the last time. Safe to run twice: each delta is taken once."""
    return {"deltas": merge_deltas(), "hours_summarised": summarise()}


@job_kind("retain_spans", every_seconds=3600)
def retain_spans(context: JobContext) -> dict[str, Any]:
    """Make room for tomorrow, take away what is older than the setting says."""
    today = timezone.now().date()
    prepare(today)
    sealed, dropped = retain(today - timedelta(days=settings.SPAN_RETENTION_DAYS))
    return {"days_sealed": sealed, "days_dropped": dropped}


@job_kind("import_prices", every_seconds=600)
def import_prices(context: JobContext) -> dict[str, Any]:
    """Brings the first list in soon after the first start, and a newer one after an upgrade."""
    version, is_new = refresh_prices()
    return {"version": version.pk, "source": version.source, "is_new": is_new}


@job_kind(REPRICE)
def reprice_usage(context: JobContext) -> dict[str, Any]:
    version = int(context.payload["version"])
    rows = reprice(version, lambda done, total: context.progress(done, total, "days priced"))
    return {"rows": rows, "version": version}
