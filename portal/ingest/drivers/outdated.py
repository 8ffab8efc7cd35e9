"""Months whose current runs were made before driver data that bears on them changed."""

from __future__ import annotations

from datetime import date

from django.db import connection

from allocation.models import Import, ImportKind

DRIVER_KINDS = (ImportKind.SERIES, ImportKind.GPU_USAGE, ImportKind.PROVIDER_USAGE, ImportKind.IDENTITY_OWNERS)

# One row per month. An allocation that began after the change and kept its run has seen it: nothing used it.
OUTDATED = """
SELECT DISTINCT run.billing_month
FROM allocation_allocationrun AS run
JOIN allocation_import AS delivered ON delivered.kind = ANY(%(kinds)s) AND delivered.status = 'loaded'
    AND delivered.finished_at > run.started_at AND (%(since)s::bigint IS NULL OR delivered.id = %(since)s)
CROSS JOIN jsonb_array_elements(delivered.changes) AS change
WHERE run.is_current
    AND change->>'first_month' <= to_char(run.billing_month, 'YYYY-MM')
    AND coalesce(change->>'last_month', '9999-12') >= to_char(run.billing_month, 'YYYY-MM')
    AND NOT EXISTS (
        SELECT FROM control_job AS job
        WHERE job.kind = 'allocate' AND job.status = 'succeeded' AND job.started_at > delivered.finished_at
            AND job.payload->>'period' = to_char(run.billing_month, 'YYYY-MM'))
ORDER BY run.billing_month
"""


def outdated_months(*, since: Import | None = None) -> list[date]:
    """First days of the months that want another allocation; `since` looks at one delivery only."""
    with connection.cursor() as cursor:
        cursor.execute(OUTDATED, {"kinds": [str(kind) for kind in DRIVER_KINDS], "since": since.pk if since else None})
        return [row[0] for row in cursor.fetchall()]
