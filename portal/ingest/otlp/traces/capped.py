"""Values that are told without end (customers, prompts, callers): past a limit they count under
one, so that the table of usage dimensions stays small. Teams and features are never put together;
that would move money.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, LiteralString

from django.conf import settings

from portal.ingest.otlp.traces.known import cursor, known
from portal.ingest.otlp.traces.normalise import Dimension, SpanRecord

FIELDS = ("customer", "caller", "prompt_name", "prompt_version")
OTHERS = "(others)"

# As many as there is room for; two that come at once may each take the last place.
TAKE_PLACES: Final[LiteralString] = """
INSERT INTO allocation_usagevalue (field, value)
SELECT field, value
FROM (
    SELECT field, value, row_number() OVER (PARTITION BY field ORDER BY value) AS place
    FROM unnest($1::text[], $2::text[]) AS told(field, value)
    WHERE NOT EXISTS (SELECT FROM allocation_usagevalue AS old
        WHERE old.field = told.field AND old.value = told.value)) AS fresh
WHERE place + (SELECT count(*) FROM allocation_usagevalue AS old WHERE old.field = fresh.field)
    <= $3
ORDER BY field, value
ON CONFLICT DO NOTHING
"""
PLACED: Final[LiteralString] = """
SELECT field, value FROM allocation_usagevalue
JOIN unnest($1::text[], $2::text[]) AS told(field, value) USING (field, value)
"""


def cap_values(records: Iterable[SpanRecord]) -> None:
    """Give records whose values have no place the one that stands for all others."""
    listed = list(records)
    fresh = {record.dimension for record in listed} - known.dimensions.keys()
    told = {pair for dimension in fresh for pair in values_of(dimension)}
    unplaced = told - known.values
    if not unplaced:
        return
    known.values |= place(sorted(unplaced))
    full = unplaced - known.values
    if not full:
        return
    changed = {dimension: with_others(dimension, full) for dimension in fresh}
    for record in listed:
        record.dimension = changed.get(record.dimension, record.dimension)


def values_of(dimension: Dimension) -> list[tuple[str, str]]:
    pairs = [(field, getattr(dimension, field)) for field in FIELDS]
    return [(field, value) for field, value in pairs if value not in (None, OTHERS)]


def place(pairs: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the pairs that have a place, or get one."""
    fields, values = (list(column) for column in zip(*pairs, strict=True))
    with cursor() as c:
        c.execute(TAKE_PLACES, [fields, values, settings.USAGE_DISTINCT_VALUES])
        return set(c.execute(PLACED, [fields, values]).fetchall())


def with_others(dimension: Dimension, full: set[tuple[str, str]]) -> Dimension:
    changes: dict[str, Any] = {
        field: OTHERS for field, value in values_of(dimension) if (field, value) in full
    }
    return dimension._replace(**changes) if changes else dimension
