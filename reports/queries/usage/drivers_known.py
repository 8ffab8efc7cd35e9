"""Which driver data is there: series, GPU usage, provider usage, owners of identities."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from reports.asking import TeamScope, fetch
from reports.queries.usage.tokens import all_tokens

# One row per series, cluster or provider, with its newest delivery that changed something.
DRIVERS = f"""
WITH known AS (
    SELECT 'series' AS kind, series AS subject, min(month) AS first, max(month) AS last,
        count(*) AS rows, sum(quantity) AS quantity
    FROM allocation_driverpoint GROUP BY series
    UNION ALL
    SELECT 'gpu_usage', cluster, min((hour AT TIME ZONE 'UTC')::date),
        max((hour AT TIME ZONE 'UTC')::date), count(*), sum(booked_seconds) / 3600
    FROM allocation_gpuusage GROUP BY cluster
    UNION ALL
    SELECT 'provider_usage', reported.provider, min(reported.day), max(reported.day), count(*),
        sum({all_tokens("reported")})
    FROM allocation_providerusage AS reported GROUP BY reported.provider
    UNION ALL
    SELECT 'identity_owners', provider, min(valid_from), NULL, count(*), NULL
    FROM allocation_identityowner GROUP BY provider
), newest AS (
    SELECT DISTINCT ON (delivered.kind, change->>'subject')
        delivered.kind, change->>'subject' AS subject, delivered.id, delivered.finished_at,
        delivered.created_by
    FROM allocation_import AS delivered CROSS JOIN jsonb_array_elements(delivered.changes) AS change
    WHERE delivered.kind IN ('series', 'gpu_usage', 'provider_usage', 'identity_owners')
        AND delivered.status = 'loaded'
    ORDER BY delivered.kind, change->>'subject', delivered.id DESC
)
SELECT known.*, newest.id, newest.finished_at, newest.created_by
FROM known LEFT JOIN newest USING (kind, subject)
ORDER BY array_position(ARRAY['series', 'gpu_usage', 'provider_usage', 'identity_owners'],
    known.kind), known.subject
"""  # noqa: S608  no value is written into it


@dataclass(frozen=True)
class KnownDriver:
    """`quantity`: the series' own unit, GPU-hours booked, or tokens; None for owners. Days are the
    first and last.
    """

    kind: str
    subject: str
    first: date
    last: date | None
    rows: int
    quantity: Decimal | None
    import_id: int | None
    loaded_at: datetime | None
    loaded_by: str | None


def drivers_known(*, scope: TeamScope) -> list[KnownDriver]:
    """Of the whole organisation; nothing for a reader of some teams."""
    return fetch(KnownDriver, DRIVERS, {}) if scope.is_everything else []
