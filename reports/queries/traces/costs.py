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


# One row per model call among the given spans; NULL where any token class it used has no price. The
# same choices as allocation.catalogue.prices makes for the rollup: the model that answered before
# the one asked for; of the price lines the tier's own, then the latest date, then the highest
# context band. Multiplied, since a division rounds.
CLASSES = ", ".join(f"('{name}', s.{name})" for name in TOKEN_COLUMNS)
SQL = f"""
WITH wanted AS (
    SELECT * FROM unnest(%(days)s::date[], %(traces)s::uuid[], %(spans)s::bigint[])
        AS k(span_day, trace_id, span_id)
), newest AS (
    SELECT max(id) AS id FROM allocation_priceversion
)
SELECT s.trace_id, s.span_id,
    CASE WHEN bool_and(class.tokens = 0 OR line.per_million IS NOT NULL)
        THEN sum(class.tokens * line.per_million) * 0.000001 END
FROM wanted
JOIN span s ON s.span_day = wanted.span_day AND s.trace_id = wanted.trace_id
    AND s.span_id = wanted.span_id AND s.span_day = ANY(%(days)s)
JOIN allocation_usagedimension d ON d.id = s.dimension_id
CROSS JOIN newest
LEFT JOIN LATERAL (
    SELECT m.price_provider, m.price_model FROM allocation_pricematch m
    WHERE m.version_id = newest.id AND m.provider = coalesce(d.provider, '')
        AND m.model_text IN (d.model_answered, d.model_requested) AND m.price_model IS NOT NULL
    ORDER BY m.model_text = d.model_answered DESC NULLS LAST LIMIT 1
) AS m ON true
CROSS JOIN LATERAL (VALUES
    {CLASSES}, ('calls', 1)
) AS class(token_class, tokens)
LEFT JOIN LATERAL (
    SELECT p.per_million FROM allocation_price p
    WHERE p.version_id = newest.id AND p.provider = m.price_provider AND p.model = m.price_model
        AND p.token_class = class.token_class AND (p.tier IS NULL OR p.tier = d.tier)
        AND p.context_from <= d.context_band
        AND (p.valid_from IS NULL OR p.valid_from <= (s.started_at AT TIME ZONE 'UTC')::date)
        AND (p.time_of_day_from IS NULL OR CASE WHEN p.time_of_day_to <= p.time_of_day_from
            THEN (s.started_at AT TIME ZONE 'UTC')::time >= p.time_of_day_from
                OR (s.started_at AT TIME ZONE 'UTC')::time < p.time_of_day_to
            ELSE (s.started_at AT TIME ZONE 'UTC')::time >= p.time_of_day_from
                AND (s.started_at AT TIME ZONE 'UTC')::time < p.time_of_day_to END)
    ORDER BY p.tier IS NULL, p.valid_from DESC NULLS LAST, p.context_from DESC LIMIT 1
) AS line ON class.tokens > 0
WHERE (d.is_inference OR s.counted)
    AND (class.token_class <> 'calls' OR line.per_million IS NOT NULL)
GROUP BY s.trace_id, s.span_id
"""  # noqa: S608  names of columns


def span_costs(spans: Iterable[SpanKey]) -> dict[tuple[UUID, int], Decimal | None]:
    """USD of each model call among the spans; None where unpriced, no entry where it is no model
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
    return {(row.trace_id, row.span_id): row.cost for row in rows}
