"""The trust line: how far bills and traces reach, how much of the cost is attributed, and what is
wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db import connection

from allocation.values.money import exact_sum
from reports.asking import cached_by_run
from reports.cost_question.answers import PART_OF, by_part, costs
from reports.cost_question.question import ATTRIBUTED, UNALLOCATED, CostQuestion
from reports.readable import ratio

# One row per source of bills with its newest delivery, or one without a source; in each when the
# newest span came, by the start index of two partitions, else the newest hour with usage; or, where
# there are any, when a program last sent with a key: what it sends may tell of days ago.
ARRIVED = """
SELECT CASE WHEN traces.at IS NOT NULL THEN greatest(traces.at, (
        SELECT max(last_used_at) FROM accounts_apikey
        WHERE scope = 'ingest' AND revoked_at IS NULL)) END,
    source.name, newest.id, newest.status, newest.rows_rejected
FROM (
    SELECT coalesce(
        (SELECT max(received_at) FROM span
            WHERE span_day BETWEEN %(today)s::date - 1 AND %(today)s::date AND started_at >= (
                SELECT max(started_at) FROM span
                WHERE span_day BETWEEN %(today)s::date - 1 AND %(today)s::date)),
        (SELECT max(hour) + interval '1 hour' FROM usage_hourly WHERE hour <= %(now)s),
        (SELECT max(hour) FROM usage_delta WHERE hour <= %(now)s)
    ) AS at
) AS traces
LEFT JOIN (
    allocation_source AS source
    JOIN LATERAL (
        SELECT id, status, rows_rejected FROM allocation_import
        WHERE source_id = source.id AND kind = 'bill' ORDER BY created_at DESC LIMIT 1
    ) AS newest ON true
) ON true
ORDER BY source.name
"""

# One row per source: how far its charges reach. Days after today are prepaid, not news.
REACH = """
SELECT source.name, max(charge_group.day)
FROM charge_split_key AS k
JOIN charge_group ON charge_group.run_id = k.run_id AND charge_group.split_key_id = k.split_key_id
JOIN allocation_source AS source ON source.id = k.source_id
WHERE k.run_id = ANY(%(runs)s) AND charge_group.day <= %(today)s
GROUP BY source.name
"""


@dataclass(frozen=True)
class SourceTrust:
    name: str
    through: date | None
    import_id: int
    status: str
    rows_rejected: int

    @property
    def is_refused(self) -> bool:
        """Nothing of the newest delivery was loaded."""
        return self.status in ("refused", "failed")

    @property
    def problem(self) -> str | None:
        """What is wrong with the newest delivery, and what to do; None where nothing is."""
        if self.is_refused:
            return (
                f"the newest {self.name} bill was {self.status}: see import {self.import_id} and"
                " deliver it again"
            )
        if self.rows_rejected:
            return (
                f"{self.rows_rejected:,} rows of the newest {self.name} bill were rejected: see"
                f" import {self.import_id}"
            )
        return None

    @property
    def problem_to_report(self) -> str | None:
        """The same for a reader who can't open imports: what it means for the figures, and whom to
        ask.
        """
        if self.is_refused:
            return (
                f"the newest {self.name} bill is not in these figures, ask finance when it will be"
            )
        if self.rows_rejected:
            return (
                f"{self.rows_rejected:,} rows of the newest {self.name} bill are not in these"
                " figures, ask finance"
            )
        return None


@dataclass(frozen=True)
class Trust:
    """Sources and times are the organisation's; parts are of the AI cost that the page shows."""

    sources: list[SourceTrust]
    traces_at: datetime | None
    parts: Mapping[str, Decimal]  # by attribution

    @property
    def total(self) -> Decimal:
        return exact_sum(self.parts.values())

    @property
    def attributed(self) -> Decimal | None:
        """Fraction of the cost, None where there is no cost."""
        return self._share(ATTRIBUTED)

    @property
    def unallocated(self) -> Decimal | None:
        return self._share(UNALLOCATED)

    def _share(self, part: str) -> Decimal | None:
        return ratio(self.parts.get(part, Decimal(0)), self.total)


def trust(*, question: CostQuestion, every_run: CostQuestion, now: datetime) -> Trust:
    """`question` is about the cost that the page shows, `every_run` about the current runs of all
    currencies.
    """
    reach = source_reach(question=every_run, today=now.date())
    with connection.cursor() as cursor:
        cursor.execute(ARRIVED, {"today": now.date(), "now": now})
        arrived = cursor.fetchall()
    sources = [SourceTrust(name, reach.get(name), *newest) for _, name, *newest in arrived if name]
    sources.sort(key=lambda source: (-(source.through or date.min).toordinal(), source.name))
    return Trust(sources, arrived[0][0], attributed_parts(question))


@cached_by_run
def source_reach(*, question: CostQuestion, today: date) -> dict[str, date]:
    """The last charge day of each source, up to today. Of the whole organisation: it tells no
    amount.
    """
    with connection.cursor() as cursor:
        cursor.execute(REACH, {"runs": question.run_ids, "today": today})
        return dict(cursor.fetchall())


def attributed_parts(question: CostQuestion) -> dict[str, Decimal]:
    """The cost by what of it is attributed, and what became of the rest."""
    place = PART_OF.index("attribution")
    found: dict[str, list[Decimal]] = {}
    for row in costs(by_part(question)):
        found.setdefault(row.key[place], []).append(row.now)
    return {part: exact_sum(amounts) for part, amounts in found.items()}
