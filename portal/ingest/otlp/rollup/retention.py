"""Old spans go, what they added up to stays: days are sealed, then their partitions are dropped."""

from __future__ import annotations

import logging
from datetime import date, timedelta
from typing import Final, LiteralString

from django.db import OperationalError, connection, transaction

log = logging.getLogger(__name__)

EXPIRED_DAYS: Final[LiteralString] = """
SELECT DISTINCT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'span'::regclass AND c.relname ~ '^span_[0-9]{8}$'
    AND to_date(right(c.relname, 8), 'YYYYMMDD') < %s
    AND NOT EXISTS (SELECT FROM allocation_sealedday WHERE day = to_date(right(c.relname, 8),
        'YYYYMMDD'))
ORDER BY day
"""

SEAL: Final[LiteralString] = """
INSERT INTO allocation_sealedday (day, spans, content_sha256, sealed_at)
SELECT %(day)s, (SELECT count(*) FROM span WHERE span_day = %(day)s),
    encode(sha256(coalesce(string_agg(line, E'\\n' ORDER BY line COLLATE "C"), '')::bytea), 'hex'),
        now()
FROM (
    SELECT concat_ws(',', extract(epoch FROM u.hour)::bigint, encode(d.content_hash, 'hex'),
        sum(spans),
        trim_scale(sum(calls)), trim_scale(sum(input_uncached)), trim_scale(sum(cache_read)),
        trim_scale(sum(cache_write_5m)), trim_scale(sum(cache_write_1h)),
            trim_scale(sum(output_text)),
        trim_scale(sum(reasoning))) AS line
    FROM usage_live AS u JOIN allocation_usagedimension AS d ON d.id = u.dimension_id
    WHERE u.hour >= %(day)s::date AND u.hour < %(day)s::date + 1
    GROUP BY u.hour, d.content_hash) AS lines
ON CONFLICT DO NOTHING
"""

# Receivers learn of a seal within a minute; no span is counted for the day after that, so that its
# partition may go.
DROPPABLE_DAYS: Final[LiteralString] = """
SELECT day FROM allocation_sealedday WHERE dropped_at IS NULL
    AND sealed_at < now() - interval '10 minutes' ORDER BY day
"""


def retain(oldest: date) -> tuple[int, int]:
    """Seal days before `oldest`, then drop the spans of days sealed a while ago; (days sealed, days
    dropped).

    The rollup stays. Two steps, so that no span that was counted can be counted again after its row
    is gone.
    """
    with connection.cursor() as cursor:
        cursor.execute(DROPPABLE_DAYS)
        droppable = [row[0] for row in cursor.fetchall()]
    dropped = sum(drop(day) for day in droppable)
    with connection.cursor() as cursor:
        cursor.execute(EXPIRED_DAYS, [oldest])
        expired = [row[0] for row in cursor.fetchall()]
        for day in expired:
            cursor.execute(SEAL, {"day": day})
    return len(expired), dropped


def drop(day: date) -> bool:
    """Whether the day's spans are gone. Dropping a partition waits for every reader of `span`, and
    everyone else then waits for it; so it is given up after a moment, for the next run.
    """
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '2s'")
            cursor.execute("SELECT drop_span_partition(%s)", [day])
            cursor.execute("DELETE FROM merged_call WHERE span_day = %s", [day])
            cursor.execute("DELETE FROM span_skeleton WHERE span_day = %s", [day])
            cursor.execute(
                "UPDATE allocation_sealedday SET dropped_at = now() WHERE day = %s", [day]
            )
    except OperationalError as error:
        log.warning("the spans of %s are kept until the next run: %s", day, error)
        return False
    return True


def prepare(today: date) -> None:
    """Make the partitions of today and tomorrow ahead of the spans, which need not wait for it
    then.
    """
    with connection.cursor() as cursor:
        for day in (today, today + timedelta(days=1)):
            cursor.execute("SELECT ensure_span_partition(%s)", [day])
