"""What was wrong with spans that came of late, by ingest key; and calls whose spans disagree."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from reports.asking import fetch

MOST = 100


@dataclass(frozen=True)
class SpanFinding:
    api_key_id: int | None  # None: a file
    key_name: str | None
    finding: str
    spans: int
    last_day: date


# One row per key and finding since a day; the calls whose spans disagree by the key that counts.
FINDINGS = """
SELECT f.api_key_id, k.name, f.finding, f.spans, f.last_day
FROM (
    SELECT api_key_id, finding, sum(spans)::bigint AS spans, max(day) AS last_day
    FROM allocation_tracefinding WHERE day >= %(since)s GROUP BY api_key_id, finding
    UNION ALL
    SELECT d.api_key_id, 'calls: ' || m.doubt, count(*), max(m.span_day)
    FROM merged_call m JOIN allocation_usagedimension d ON d.id = m.dimension_id
    WHERE m.span_day >= %(since)s AND m.doubt IS NOT NULL
    GROUP BY d.api_key_id, m.doubt) AS f
LEFT JOIN accounts_apikey k ON k.id = f.api_key_id
ORDER BY f.spans DESC, f.finding COLLATE "C", f.api_key_id
LIMIT %(limit)s
"""


def span_findings(*, since: date) -> list[SpanFinding]:
    """At most 100 findings since the day, most spans first."""
    return fetch(SpanFinding, FINDINGS, {"since": since, "limit": MOST})
