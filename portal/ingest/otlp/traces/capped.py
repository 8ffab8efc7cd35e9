"""Values that are told without end (customers, prompts, callers, persons, repositories): past a
limit they count under one, so that the tables of what usage is summed up by stay small. Teams and
features are never put together; that would move money.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, LiteralString, TypeVar

from django.conf import settings

from portal.ingest.otlp.traces.known import cursor, known
from portal.ingest.otlp.traces.normalise import Dimension, SpanRecord, Who

FIELDS = ("customer", "caller", "prompt_name", "prompt_version", *Who._fields)
OTHERS = "(others)"

Told = TypeVar("Told", Dimension, Who)

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
    dimensions = {record.dimension for record in listed} - known.dimensions.keys()
    people = {record.who for record in listed} - known.who.keys()
    told = {pair for dimension in dimensions for pair in values_of(dimension)}
    told |= {pair for who in people for pair in values_of(who)}
    unplaced = told - known.values
    if not unplaced:
        return
    known.values |= place(sorted(unplaced))
    full = unplaced - known.values
    if not full:
        return
    changed = {dimension: with_others(dimension, full) for dimension in dimensions}
    changed_people = {who: with_others(who, full) for who in people}
    for record in listed:
        record.dimension = changed.get(record.dimension, record.dimension)
        record.who = changed_people.get(record.who, record.who)


def values_of(told: Dimension | Who) -> list[tuple[str, str]]:
    pairs = [(field, getattr(told, field)) for field in FIELDS if field in told._fields]
    return [(field, value) for field, value in pairs if value not in (None, OTHERS)]


def place(pairs: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the pairs that have a place, or get one."""
    fields, values = (list(column) for column in zip(*pairs, strict=True))
    with cursor() as c:
        c.execute(TAKE_PLACES, [fields, values, settings.USAGE_DISTINCT_VALUES])
        return set(c.execute(PLACED, [fields, values]).fetchall())


def with_others(told: Told, full: set[tuple[str, str]]) -> Told:
    changes: dict[str, Any] = {
        field: OTHERS for field, value in values_of(told) if (field, value) in full
    }
    return told._replace(**changes) if changes else told
