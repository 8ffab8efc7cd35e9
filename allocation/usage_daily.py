"""The usage side of a run's rollup, so that a unit cost divides by the calls the run itself knew."""

from __future__ import annotations

from django.db import connection

from allocation.models import AllocationRun

# One row per day of the run's month, team, feature, model and environment.
WRITE = """
INSERT INTO usage_daily (run_id, day, team, feature, model, environment, calls, tokens_input, tokens_output)
SELECT %(run)s, (usage.hour AT TIME ZONE 'UTC')::date AS day, about.team, about.feature, about.model, about.environment,
    sum(usage.calls),
    sum(usage.input_uncached + usage.cache_read + usage.cache_write_5m + usage.cache_write_1h
        + usage.input_audio + usage.input_image),
    sum(usage.output_text + usage.reasoning + usage.output_audio + usage.output_image)
FROM usage_live AS usage
JOIN allocation_usagedimension AS about ON about.id = usage.dimension_id
WHERE about.is_inference
    AND usage.hour >= %(month)s::date::timestamp AT TIME ZONE 'UTC'
    AND usage.hour < (%(month)s::date + interval '1 month') AT TIME ZONE 'UTC'
GROUP BY day, about.team, about.feature, about.model, about.environment
"""


def write_usage_daily(run: AllocationRun) -> int:
    """Number of rows written. Call it once, in the transaction that publishes the run."""
    with connection.cursor() as cursor:
        cursor.execute(WRITE, {"run": run.pk, "month": run.billing_month})
        return cursor.rowcount
