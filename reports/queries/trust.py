"""The trust line: how far bills and traces reach, how much of the cost is explained, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db import connection

from reports.scope import TeamScope

# One row per source of bills: how far its charges reach in current runs (days after today are prepaid, not news),
# and its newest delivery.
SOURCES = """
WITH newest_run AS (
    SELECT DISTINCT ON (balance.source_id, run.currency) balance.source_id, run.id
    FROM allocation_runsource AS balance JOIN allocation_allocationrun AS run ON run.id = balance.run_id
    WHERE run.is_current AND balance.metric = 'effective_cost'
    ORDER BY balance.source_id, run.currency, run.billing_month DESC
), reach AS (
    SELECT bucket.source_id, max(charge_group.day) AS through
    FROM newest_run
    JOIN charge_bucket AS bucket ON bucket.run_id = newest_run.id AND bucket.source_id = newest_run.source_id
    JOIN charge_group ON charge_group.run_id = bucket.run_id AND charge_group.bucket = bucket.bucket
    WHERE charge_group.day <= %(today)s
    GROUP BY bucket.source_id
)
SELECT source.name, reach.through, newest.id, newest.status, newest.rows_rejected
FROM allocation_source AS source
LEFT JOIN reach ON reach.source_id = source.id
JOIN LATERAL (
    SELECT id, status, rows_rejected FROM allocation_import
    WHERE source_id = source.id AND kind = 'bill' ORDER BY created_at DESC LIMIT 1
) AS newest ON true
ORDER BY reach.through DESC NULLS LAST, source.name
"""

# The newest span of the last two days by the start index of two partitions, else the newest hour with usage.
LAST_TRACE = """
SELECT coalesce(
    (SELECT max(received_at) FROM span
        WHERE span_day >= %(today)s::date - 1 AND span_day <= %(today)s
        AND started_at >= (SELECT max(started_at) FROM span WHERE span_day >= %(today)s::date - 1 AND span_day <= %(today)s)),
    (SELECT max(hour) + interval '1 hour' FROM usage_hourly WHERE hour <= %(now)s),
    (SELECT max(hour) FROM usage_delta WHERE hour <= %(now)s)
)
"""

# One row. Explained: evidence of rung 1 to 4, without the untraced part that is only spread.
EVIDENCE = """
SELECT coalesce(sum(effective_cost), 0),
    coalesce(sum(effective_cost) FILTER (WHERE evidence <= 4 AND charge_kind <> 'untraced'), 0),
    coalesce(sum(effective_cost) FILTER (WHERE reason IS NOT NULL), 0)
FROM cost_daily
WHERE run_id = ANY(%(runs)s) AND ai_scope <> 'other'
    AND (%(teams)s::text[] IS NULL OR team = ANY(%(teams)s))
"""


@dataclass(frozen=True)
class SourceTrust:
    name: str
    through: date | None
    import_id: int
    status: str
    rows_rejected: int

    @property
    def problem(self) -> str | None:
        """What is wrong with the newest delivery, and what to do; None where nothing is."""
        if self.status in ("refused", "failed"):
            return f"the newest {self.name} bill was {self.status}: see import {self.import_id} and deliver it again"
        if self.rows_rejected:
            return (
                f"{self.rows_rejected:,} rows of the newest {self.name} bill were rejected: see import {self.import_id}"
            )
        return None


@dataclass(frozen=True)
class Trust:
    """Shares are fractions of the AI cost in scope, None where there is none. `unallocated` is None for one team."""

    sources: list[SourceTrust]
    traces_at: datetime | None
    explained: Decimal | None
    unallocated: Decimal | None
    runs: tuple[int, ...]


def trust(*, runs: tuple[int, ...], scope: TeamScope, now: datetime) -> Trust:
    """Three statements. Sources and times are the organisation's; shares are those of the scope."""
    with connection.cursor() as cursor:
        cursor.execute(SOURCES, {"today": now.date()})
        sources = [SourceTrust(*row) for row in cursor.fetchall()]
        cursor.execute(LAST_TRACE, {"today": now.date(), "now": now})
        traces_at = cursor.fetchone()[0]
        cursor.execute(EVIDENCE, {"runs": list(runs), "teams": scope_list(scope)})
        total, explained, unallocated = cursor.fetchone()
    return Trust(
        sources=sources,
        traces_at=traces_at,
        explained=explained / total if total else None,
        unallocated=unallocated / total if total and scope.is_everything else None,
        runs=runs,
    )


def scope_list(scope: TeamScope) -> list[str] | None:
    """The scope as a query parameter: NULL is everything, an empty list nothing."""
    return None if scope.teams is None else sorted(scope.teams)
