"""What single calls cost at list prices, by the newest price list and the call's own time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from allocation.catalogue.canonical import TOKEN_COLUMNS
from reports.asking import fetch
from reports.queries.usage.price_line import falls_back, line_in_force, price_match


class SpanKey(Protocol):
    @property
    def span_day(self) -> date: ...
    @property
    def trace_id(self) -> UUID: ...
    @property
    def span_id(self) -> int: ...


@dataclass(frozen=True)
class SpanCost:
    trace_id: UUID
    span_id: int
    cost: Decimal | None
    sources: str | None = None  # who states the prices
    general_tier: str | None = None  # the call's tier, where some class has only a general price


# One row per model call among the given spans; NULL where any token class it used has no price. The
# same choices as allocation.catalogue.prices makes for the rollup: the model that answered before
# the one asked for. Multiplied, since a division rounds.
CLASSES = ", ".join(f"('{name}', s.{name})" for name in TOKEN_COLUMNS)
LINE = line_in_force(
    version="newest.id",
    provider="m.price_provider",
    model="m.price_model",
    of_class="class.token_class",
    tier="d.tier",
    band="d.context_band",
    at="s.started_at AT TIME ZONE 'UTC'",
)
SQL = f"""
WITH wanted AS (
    SELECT * FROM unnest(%(days)s::date[], %(traces)s::uuid[], %(spans)s::bigint[])
        AS k(span_day, trace_id, span_id)
), newest AS (
    SELECT max(id) AS id FROM allocation_priceversion
)
SELECT s.trace_id, s.span_id,
    CASE WHEN bool_and(class.tokens = 0 OR line.per_million IS NOT NULL)
        THEN sum(class.tokens * line.per_million) * 0.000001 END,
    string_agg(DISTINCT line.source, ', '),
    CASE WHEN bool_or({falls_back("d.tier", "line.tier")} AND line.per_million IS NOT NULL
        AND class.token_class <> 'calls') THEN min(d.tier) END
FROM wanted
JOIN span s ON s.span_day = wanted.span_day AND s.trace_id = wanted.trace_id
    AND s.span_id = wanted.span_id AND s.span_day = ANY(%(days)s)
JOIN allocation_usagedimension d ON d.id = s.dimension_id
CROSS JOIN newest
LEFT JOIN LATERAL (
    {price_match(version="newest.id", dimension="d")}
) AS m ON true
CROSS JOIN LATERAL (VALUES
    {CLASSES}, ('calls', 1)
) AS class(token_class, tokens)
LEFT JOIN LATERAL (
    {LINE}
) AS line ON class.tokens > 0
WHERE (d.is_inference OR s.counted)
    AND (class.token_class <> 'calls' OR line.per_million IS NOT NULL)
GROUP BY s.trace_id, s.span_id
"""  # noqa: S608  names of columns


def span_costs(spans: Iterable[SpanKey]) -> dict[tuple[UUID, int], SpanCost]:
    """USD of each model call among the spans, None where unpriced; no entry where it is no model
    call.
    """
    keys = list(spans)
    rows = fetch(
        SpanCost,
        SQL,
        {
            "days": [key.span_day for key in keys],
            "traces": [key.trace_id for key in keys],
            "spans": [key.span_id for key in keys],
        },
    )
    return {(row.trace_id, row.span_id): row for row in rows}
