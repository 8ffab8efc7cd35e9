"""What the commands, the upload page and the API share: which kind of file a request means."""

from __future__ import annotations

from datetime import date

from allocation.models import ImportKind
from allocation.usage.driver_data import DRIVER_KINDS
from allocation.values.names import quoted
from portal.errors import Refused
from portal.ingest.drivers.delivery import Kind
from portal.ingest.drivers.gpu_usage.kind import GPU_USAGE
from portal.ingest.drivers.identity_owners.kind import IDENTITY_OWNERS
from portal.ingest.drivers.provider_usage.kind import provider_usage_kind
from portal.ingest.drivers.rates.kind import RATES
from portal.ingest.drivers.series.kind import series_kind

FILE_KINDS = (*DRIVER_KINDS, ImportKind.RATES)


def kind_of(kind: str, *, name: str | None, month: date | None, provider: str | None) -> Kind:
    """Raises Refused where a series lacks its name or month, or a report its provider."""
    if kind == ImportKind.SERIES:
        if month is None:
            raise Refused("a series needs its month, such as 2026-10")
        return series_kind(name=name or "", month=month)
    if kind == ImportKind.PROVIDER_USAGE:
        return provider_usage_kind(provider=provider or "")
    fixed = {
        ImportKind.GPU_USAGE: GPU_USAGE,
        ImportKind.IDENTITY_OWNERS: IDENTITY_OWNERS,
        ImportKind.RATES: RATES,
    }
    try:
        return fixed[ImportKind(kind)]
    except (KeyError, ValueError):
        raise Refused(
            f"{quoted(kind)} is no kind of driver file; choose from {', '.join(FILE_KINDS)}"
        ) from None
