"""Keeps `usage_summary` and `latency_summary`: the usage rollup by what pages group by, hour by
hour.
"""

from __future__ import annotations

import time
from datetime import datetime

from django.db import connection, transaction

HOURS_AT_ONCE = 24
LONGEST_SECONDS = 5.0

TAKE = """
DELETE FROM usage_stale_hour WHERE hour IN (
    SELECT hour FROM usage_stale_hour ORDER BY hour DESC LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
RETURNING hour
"""
KEY = (
    "jsonb_build_array(d.provider, d.model, d.team, d.feature, d.service, d.prompt_version,"
    " d.environment)::text"
)
NEW_SUBJECTS = f"""
INSERT INTO usage_subject (key, provider, model, team, feature, service, prompt_version,
    environment)
SELECT DISTINCT {KEY}, d.provider, d.model, d.team, d.feature, d.service, d.prompt_version,
    d.environment
FROM allocation_usagedimension d
WHERE NOT EXISTS (SELECT FROM usage_subject_of known WHERE known.dimension_id = d.id)
ON CONFLICT DO NOTHING
"""  # noqa: S608  a constant
NEW_DIMENSIONS = f"""
INSERT INTO usage_subject_of (dimension_id, subject_id)
SELECT d.id, j.id
FROM allocation_usagedimension d
JOIN usage_subject j ON j.key = {KEY}
WHERE NOT EXISTS (SELECT FROM usage_subject_of known WHERE known.dimension_id = d.id)
ON CONFLICT DO NOTHING
"""  # noqa: S608  a constant
FORGET_USAGE = "DELETE FROM usage_summary WHERE hour = ANY(%(hours)s)"
FORGET_LATENCY = "DELETE FROM latency_summary WHERE hour = ANY(%(hours)s)"
SUM_USAGE = """
INSERT INTO usage_summary (hour, subject_id, calls, calls_without_usage, errors, input_tokens,
    cached_tokens,
    output_tokens, list_cost, priced_calls, unpriced_calls, pending_calls)
SELECT u.hour, known.subject_id, sum(u.calls), sum(u.calls_without_usage), sum(u.errors),
    sum(u.input_tokens),
    sum(u.cached_tokens), sum(u.output_tokens), sum(u.list_cost), sum(u.priced_calls),
        sum(u.unpriced_calls),
    sum(u.pending_calls)
FROM usage_measured u JOIN usage_subject_of known ON known.dimension_id = u.dimension_id
WHERE u.hour = ANY(%(hours)s)
GROUP BY u.hour, known.subject_id
"""
SUM_LATENCY = """
INSERT INTO latency_summary (hour, subject_id, bin, calls)
SELECT l.hour, known.subject_id, l.bin, sum(l.calls)
FROM latency_hourly l JOIN usage_subject_of known ON known.dimension_id = l.dimension_id
WHERE l.hour = ANY(%(hours)s)
GROUP BY l.hour, known.subject_id, l.bin
"""


def summarise(seconds: float = LONGEST_SECONDS) -> int:
    """Sum up every stale hour, or as many as the time allows; how many."""
    end = time.monotonic() + seconds
    total = 0
    while time.monotonic() < end:
        done = summarise_hours()
        total += done
        if done < HOURS_AT_ONCE:
            break
    return total


def summarise_hours(limit: int = HOURS_AT_ONCE) -> int:
    """Sum up at most `limit` hours that changed since they were summed up last, newest first; how
    many.

    Safe beside the merger and beside itself: an hour that changes meanwhile is stale again.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(TAKE, {"limit": limit})
        hours: list[datetime] = [hour for (hour,) in cursor.fetchall()]
        if hours:
            # Two sums of one hour at a time would meet in the primary key; the second waits and
            # sees the first's rows.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('apportion usage summary'))")
            cursor.execute(NEW_SUBJECTS)
            cursor.execute(NEW_DIMENSIONS)
            for statement in (FORGET_USAGE, FORGET_LATENCY, SUM_USAGE, SUM_LATENCY):
                cursor.execute(statement, {"hours": hours})
        return len(hours)
