"""What keeps jobs going when something crashed: unsent hints, expired leases, and periodic work
that is due.
"""

from __future__ import annotations

from django.db import connection, transaction

from portal.jobs.kinds import job_kinds
from portal.jobs.models import SCHEDULE
from portal.jobs.queue import nudge

SEND_AGAIN_SECONDS = 60  # a message may be lost with the broker's memory
UNSENT_SECONDS = 5  # leave the request that wrote the row this long to send its own message
SWEEP_ROWS = 500
KEEP_PERIODIC_HOURS = 6

EXPIRED = """
UPDATE jobs_job
SET lease_until = NULL, dispatched_at = NULL,
    status = CASE WHEN attempts >= max_attempts THEN 'failed' ELSE 'queued' END,
    finished_at = CASE WHEN attempts >= max_attempts THEN now() END,
    error = 'The worker ' || worker || ' stopped reporting' ||
        CASE WHEN attempts >= max_attempts THEN ' at the last of ' || attempts || ' attempts'
            ELSE '' END
WHERE status = 'running' AND lease_until < now()
"""

# created_at, for a job nobody asked to wait. SKIP LOCKED: two sweeps share the work.
UNSENT = """
UPDATE jobs_job SET dispatched_at = now()
WHERE id IN (
    SELECT id FROM jobs_job
    WHERE status = 'queued'
        AND coalesce(run_after, created_at + make_interval(secs => %(unsent)s)) <= now()
        AND (dispatched_at IS NULL OR dispatched_at < now() - make_interval(secs => %(again)s))
    ORDER BY created_at LIMIT %(rows)s
    FOR UPDATE SKIP LOCKED)
RETURNING id
"""

# One open job of a kind at a time, and one job of a slot for ever: a late or second beat adds
# nothing.
DUE = """
INSERT INTO jobs_job (kind, payload, dedupe_key, created_by, created_at, status,
    attempts, max_attempts, fence, progress_done, progress_note)
SELECT %(kind)s, '{}'::jsonb, %(kind)s || '@' || slot, %(schedule)s, now(), 'queued', 0, 1, 0, 0, ''
FROM (SELECT floor(extract(epoch FROM now()) / %(seconds)s)::bigint * %(seconds)s AS slot)
    AS current_slot
WHERE NOT EXISTS (
    SELECT FROM jobs_job
    WHERE kind = %(kind)s AND created_by = %(schedule)s
        AND (status IN ('queued', 'running') OR dedupe_key = %(kind)s || '@' || slot))
ON CONFLICT DO NOTHING
RETURNING id
"""

TIDY = """
DELETE FROM jobs_job
WHERE created_by = %(schedule)s AND status IN ('succeeded', 'failed')
    AND finished_at < now() - make_interval(hours => %(hours)s)
"""


def sweep() -> list[int]:
    """Take back jobs whose lease ran out, then send hints for every job that has none. The ids
    hinted at.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(EXPIRED)
        cursor.execute(
            UNSENT,
            {
                "unsent": UNSENT_SECONDS,
                "again": SEND_AGAIN_SECONDS,
                "rows": SWEEP_ROWS,
            },
        )
        found = [row[0] for row in cursor.fetchall()]
    for number, job_id in enumerate(found):
        if not nudge(job_id):
            forget_sending(found[number:])
            break
    return found


def forget_sending(job_ids: list[int]) -> None:
    """The broker is away: leave the rest to the next sweep."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_job SET dispatched_at = NULL WHERE id = ANY(%s) AND status = 'queued'",
            [job_ids],
        )


def enqueue_due() -> list[int]:
    """Write and hint the periodic jobs whose slot has none yet; tidy away old ones. The new ids."""
    new = []
    with transaction.atomic(), connection.cursor() as cursor:
        for kind in job_kinds().values():
            if kind.every_seconds is None:
                continue
            cursor.execute(
                DUE, {"kind": kind.name, "seconds": kind.every_seconds, "schedule": SCHEDULE}
            )
            new += [row[0] for row in cursor.fetchall()]
        cursor.execute(TIDY, {"schedule": SCHEDULE, "hours": KEEP_PERIODIC_HOURS})
    for job_id in new:
        nudge(job_id)
    return new
