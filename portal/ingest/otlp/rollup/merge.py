"""The one folder: merges what batches appended into the hourly rollup, and the daily one of persons
and repositories, priced; and rebuilds the hourly one from spans.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, LiteralString

from django.db import connection, transaction

from allocation.catalogue.prices import current_version, match_models, price_changed
from portal.ingest.otlp.traces import sql

# ruff: noqa: S608 - the pieces are constants

DELTAS_AT_ONCE = 20_000
LONGEST_SECONDS = 20.0

TRY_LOCK: Final[LiteralString] = "SELECT pg_try_advisory_xact_lock(hashtext('apportion merge'))"
WAIT_LOCK: Final[LiteralString] = (
    "SELECT pg_advisory_xact_lock(hashtext('apportion merge')) IS NOT NULL"
)

SUMS: Final[LiteralString] = """
    hour, dimension_id, sum(spans), sum(calls), sum(calls_without_usage), sum(errors),
    sum(input_uncached), sum(cache_read), sum(cache_write_5m), sum(cache_write_1h),
    sum(output_text), sum(reasoning), sum(input_audio), sum(input_image), sum(output_audio),
    sum(output_image), sum(duration_us), sum(variance_input), sum(variance_output), sum(covariance),
    sum(cached_answers), sum(client_cost), sum(client_cost_calls)
"""

# The first hour of the prices that an hour's usage is priced at, where they change with the time of
# day; NULL where they don't.
CUT: Final[LiteralString] = """
SELECT max(first.hour) AS hour
FROM allocation_usagedimension AS d
JOIN allocation_pricematch AS m ON m.provider = coalesce(d.provider, '')
    AND m.model_text IN (d.model_answered, d.model_requested)
JOIN allocation_price AS p ON p.version_id = m.version_id AND p.provider = m.price_provider
    AND p.model = m.price_model AND p.time_of_day_from IS NOT NULL
CROSS JOIN LATERAL (VALUES (p.time_of_day_from), (p.time_of_day_to)) AS told(edge)
CROSS JOIN LATERAL (SELECT ceil(extract(epoch FROM edge) / 3600) AS hour) AS first
WHERE d.id = w.dimension_id
    AND m.version_id = (SELECT max(id) FROM allocation_priceversion)
    AND first.hour <= extract(hour FROM w.hour AT TIME ZONE 'UTC')
"""
WHO_SUMS: Final[Sequence[LiteralString]] = sql.WHO_MEASURES.split(", ")[3:]
# Of the same snapshot as usage, and only when no usage waits: what persons used is never more than
# what was used.
FOLD_WHO: Final[LiteralString] = (
    """taken_who AS (
    DELETE FROM who_delta WHERE (SELECT count(*) FROM taken) < %(most)s RETURNING *
), merged_who AS (
    INSERT INTO who_daily AS h ("""
    + sql.WHO_MEASURES
    + """)
    SELECT date_trunc('day', w.hour, 'UTC') + coalesce(cut.hour, 0) * interval '1 hour',
        w.dimension_id, w.who_id, """
    + ", ".join(f"sum(w.{name})" for name in WHO_SUMS)
    + " FROM taken_who AS w CROSS JOIN LATERAL ("
    + CUT
    + """) AS cut GROUP BY 1, 2, 3
    ON CONFLICT (hour, dimension_id, who_id) DO UPDATE SET price_version_id = NULL, """
    + ", ".join(f"{name} = h.{name} + excluded.{name}" for name in WHO_SUMS)
    + """
)
"""
)

FOLD_USAGE: Final[LiteralString] = (
    """
WITH taken AS (
    DELETE FROM usage_delta WHERE id IN (SELECT id FROM usage_delta
        ORDER BY id LIMIT %(most)s) RETURNING *
), merged AS (
    INSERT INTO usage_hourly AS h ("""
    + sql.MEASURES
    + ") SELECT "
    + SUMS
    + """
    FROM taken GROUP BY hour, dimension_id
    ON CONFLICT (hour, dimension_id) DO UPDATE SET
        price_version_id = NULL,
        spans = h.spans + excluded.spans, calls = h.calls + excluded.calls,
        calls_without_usage = h.calls_without_usage + excluded.calls_without_usage,
        errors = h.errors + excluded.errors, input_uncached = h.input_uncached +
            excluded.input_uncached,
        cache_read = h.cache_read + excluded.cache_read, cache_write_5m = h.cache_write_5m +
            excluded.cache_write_5m,
        cache_write_1h = h.cache_write_1h + excluded.cache_write_1h,
        output_text = h.output_text + excluded.output_text, reasoning = h.reasoning +
            excluded.reasoning,
        input_audio = h.input_audio + excluded.input_audio, input_image = h.input_image +
            excluded.input_image,
        output_audio = h.output_audio + excluded.output_audio,
            output_image = h.output_image + excluded.output_image,
        duration_us = h.duration_us + excluded.duration_us,
        variance_input = h.variance_input + excluded.variance_input,
        variance_output = h.variance_output + excluded.variance_output,
        covariance = h.covariance + excluded.covariance,
        cached_answers = h.cached_answers + excluded.cached_answers,
        client_cost = h.client_cost + excluded.client_cost,
        client_cost_calls = h.client_cost_calls + excluded.client_cost_calls
), """
    + FOLD_WHO
    + "SELECT count(*) FROM taken"
)

FOLD_LATENCY: Final[LiteralString] = """
WITH taken AS (
    DELETE FROM latency_delta WHERE id IN (SELECT id FROM latency_delta
        ORDER BY id LIMIT %(most)s) RETURNING *
), merged AS (
    INSERT INTO latency_hourly AS h (hour, dimension_id, bin, calls)
    SELECT hour, dimension_id, bin, sum(calls) FROM taken GROUP BY hour, dimension_id, bin
    ON CONFLICT (hour, dimension_id, bin) DO UPDATE SET calls = h.calls + excluded.calls
)
SELECT count(*) FROM taken
"""

WEIGHED_DAY: Final[LiteralString] = (
    "WITH weighed AS (SELECT *, 1 AS sign FROM call_as_counted WHERE span_day = %s)"
)
USAGE_OF_SPANS: Final[LiteralString] = WEIGHED_DAY + sql.AGGREGATE
LATENCY_OF_SPANS: Final[LiteralString] = WEIGHED_DAY + sql.LATENCY


def merge_deltas(seconds: float = LONGEST_SECONDS, *, wait: bool = True) -> int:
    """Deltas merged and priced, until none are left or the time is up.

    While another process merges: waits for its batch, or, not to wait, leaves the rest to it.
    """
    end = time.monotonic() + seconds
    total = 0
    while time.monotonic() < end:
        merged = merge_once(wait=wait)
        total += merged
        if merged == 0:
            break
    return total


@transaction.atomic
def merge_once(*, wait: bool) -> int:
    if not first_value(WAIT_LOCK if wait else TRY_LOCK):
        return 0
    version = current_version()
    if version is not None and first_value("SELECT EXISTS (SELECT FROM who_delta)"):
        match_models(version)  # whose prices tell where days are cut
    most = {"most": DELTAS_AT_ONCE}
    merged = int(first_value(FOLD_USAGE, most)) + int(first_value(FOLD_LATENCY, most))
    price_changed()
    return merged


def first_value(statement: LiteralString, values: Mapping[str, Any] | Sequence[Any] = ()) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        row = cursor.fetchone()
    return row[0] if row else None


def rollup_of_spans(day: date) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Usage and latency rows of one UTC day as the stored spans say; equal to the rollup while
    spans are retained.
    """
    with connection.cursor() as cursor:
        cursor.execute(USAGE_OF_SPANS, [day])
        usage = sorted(cursor.fetchall())
        cursor.execute(LATENCY_OF_SPANS, [day])
        return usage, sorted(cursor.fetchall())
