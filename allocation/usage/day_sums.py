"""Keeps `usage_day_sum`: the usage rollup by UTC day, so that runs read a day's hours once for
every change of it.
"""

from __future__ import annotations

from datetime import date

from django.db import connection, transaction

from allocation.catalogue.token_classes import TOKEN_COLUMNS

STALE_SQL = """
SELECT day FROM usage_day_version
WHERE summed IS DISTINCT FROM version AND day >= %(start)s AND day < %(end)s
ORDER BY day
"""
FORGET_SQL = "DELETE FROM usage_day_sum WHERE day = %(day)s"
# Most columns are zero in most rows, and a sum that sees none of them takes neither time nor
# memory.
SUM_SQL = """
INSERT INTO usage_day_sum (day, dimension_id, calls, {columns}, list_cost, is_priced,
    variance_input, variance_output)
SELECT %(day)s, dimension_id, sum(calls), {sums}, sum(list_cost), bool_and(list_cost IS NOT NULL),
    coalesce(sum(variance_input::numeric) FILTER (WHERE variance_input <> 0), 0),
    coalesce(sum(variance_output::numeric) FILTER (WHERE variance_output <> 0), 0)
FROM usage_hourly
WHERE hour >= %(day)s::timestamp AT TIME ZONE 'UTC' AND hour < (%(day)s::date + 1)::timestamp AT
    TIME ZONE 'UTC'
GROUP BY dimension_id
""".format(
    columns=", ".join(TOKEN_COLUMNS),
    sums=", ".join(
        f"coalesce(sum({name}) FILTER (WHERE {name} <> 0), 0)" for name in TOKEN_COLUMNS
    ),
)


def sum_days(start: date, end: date) -> int:
    """Sum up the days of the half-open range that changed since they were; how many."""
    with connection.cursor() as cursor:
        cursor.execute(STALE_SQL, {"start": start, "end": end})
        stale = [day for (day,) in cursor.fetchall()]
    return sum(sum_day(day) for day in stale)


def sum_day(day: date) -> bool:
    """Whether there was anything to do: another run may have summed the day while this one waited
    for it.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('apportion usage days'))")
        # The version comes first: a day that changes meanwhile is stale again.
        cursor.execute(
            "SELECT version FROM usage_day_version WHERE day = %s AND summed IS DISTINCT FROM version",
            [day],
        )
        stale = cursor.fetchone()
        if stale is None:
            return False
        cursor.execute(FORGET_SQL, {"day": day})
        cursor.execute(SUM_SQL, {"day": day})
        cursor.execute("UPDATE usage_day_version SET summed = %s WHERE day = %s", [stale[0], day])
        return True
