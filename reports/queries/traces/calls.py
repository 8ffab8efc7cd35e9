"""Single calls of a window: the newest, the slowest, the failed; and the spans that fell outside
the time window.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from allocation.catalogue.canonical import TOKEN_COLUMNS
from reports.asking import TeamScope, fetch, within_scope
from reports.queries.traces.costs import SpanCost, span_costs
from reports.queries.usage.picked import PICKED_DIMENSIONS, UsageFilter
from reports.queries.usage.price_line import price_match
from reports.queries.usage.tokens import all_tokens
from reports.window import HourWindow

SLICE = 5_000  # spans looked at, the newest of the window: pages read raw rows of a narrow slice
SHOWN = 12


@dataclass(frozen=True)
class CallRow:
    """One span; tokens as the span tells them, not weighted by its adjusted count."""

    span_day: date
    trace_id: UUID
    span_id: int
    started_at: datetime
    received_at: datetime
    duration_us: int
    name: str
    status_code: int
    error_type: str | None
    counted: bool
    not_counted: str | None
    is_inference: bool
    provider: str | None
    model: str | None
    service: str | None
    team: str | None
    feature: str | None
    tokens: int
    adjusted_count: Decimal
    is_outside: bool  # of the time window: kept, counted nowhere
    price: SpanCost | None = None  # only `costliest_calls` tells it

    @property
    def cost(self) -> Decimal | None:
        """USD at list prices."""
        return self.price.cost if self.price else None


@dataclass(frozen=True)
class Failure:
    """Which failed spans are meant; by itself any span, failed or not."""

    is_failed: bool = False
    error_type: str | None = None

    @property
    def is_any(self) -> bool:
        return not (self.is_failed or self.error_type)

    @property
    def parameters(self) -> dict[str, Any]:
        """The values that `failing` binds."""
        return {"is_failed": self.is_failed, "error_type": self.error_type}


ANY = Failure()


def failing(alias: str) -> str:
    """SQL: whether a span is one of the failures that are bound."""
    return (
        f"(NOT %(is_failed)s OR {alias}.status_code = 2 OR {alias}.error_type IS NOT NULL)"
        f" AND (%(error_type)s::text IS NULL OR {alias}.error_type = %(error_type)s)"
    )


COLUMNS = f"""
    s.span_day, s.trace_id, s.span_id, s.started_at, s.received_at, s.duration_us, s.name,
    s.status_code, s.error_type, s.counted, s.not_counted,
    d.is_inference, d.provider, d.model, d.service, d.team, d.feature,
    {all_tokens("s")} AS tokens, s.adjusted_count, """

# One row per span, newest first.
NEWEST = f"""
SELECT {COLUMNS} s.tableoid = 'span_outside_window'::regclass
FROM span s JOIN allocation_usagedimension d ON d.id = s.dimension_id
WHERE s.span_day BETWEEN %(first_day)s AND %(last_day)s
    AND s.started_at >= %(start)s AND s.started_at < %(end)s
    AND {failing("s")} AND {PICKED_DIMENSIONS}
ORDER BY s.started_at DESC
LIMIT %(shown)s
"""  # noqa: S608  no value is written into it

# One row per model call, slowest first, among the newest of the window.
SLOWEST = f"""
WITH slice AS MATERIALIZED (
    SELECT * FROM span
    WHERE span_day BETWEEN %(first_day)s AND %(last_day)s
        AND started_at >= %(start)s AND started_at < %(end)s AND {failing("span")}
    ORDER BY started_at DESC LIMIT %(slice)s
)
SELECT {COLUMNS} false
FROM slice s JOIN allocation_usagedimension d ON d.id = s.dimension_id
WHERE s.counted AND {PICKED_DIMENSIONS}
ORDER BY s.duration_us DESC, s.trace_id, s.span_id
LIMIT %(shown)s
"""  # noqa: S608  no value is written into it

UNIT_PRICES = ", ".join(
    f"coalesce(max(per_million) FILTER (WHERE token_class = '{name}'), 0) AS {name}"
    for name in TOKEN_COLUMNS
)
AT_UNIT_PRICES = " + ".join(f"s.{name} * unit.{name}" for name in TOKEN_COLUMNS)
# One row per priced model call, dearest first, among the newest of the window. Ranked by the prices
# of the window's last day; `span_costs` then says what each costs at its own time.
COSTLIEST = f"""
WITH slice AS MATERIALIZED (
    SELECT * FROM span
    WHERE span_day BETWEEN %(first_day)s AND %(last_day)s
        AND started_at >= %(start)s AND started_at < %(end)s AND {failing("span")}
    ORDER BY started_at DESC LIMIT %(slice)s
), picked AS MATERIALIZED (
    SELECT d.* FROM allocation_usagedimension d
    WHERE d.id IN (SELECT dimension_id FROM slice WHERE counted) AND {PICKED_DIMENSIONS}
), newest AS (
    SELECT max(id) AS id FROM allocation_priceversion
), price AS MATERIALIZED (
    SELECT DISTINCT ON (picked.id, p.token_class) picked.id AS dimension_id, p.token_class,
        p.per_million
    FROM picked CROSS JOIN newest
    CROSS JOIN LATERAL (
        {price_match(version="newest.id", dimension="picked")}
    ) AS m
    JOIN allocation_price p ON p.version_id = newest.id AND p.provider = m.price_provider
        AND p.model = m.price_model AND (p.tier IS NULL OR p.tier = picked.tier)
        AND p.context_from <= picked.context_band
        AND (p.valid_from IS NULL OR p.valid_from <= %(last_day)s)
    ORDER BY picked.id, p.token_class, p.tier IS NULL, p.valid_from DESC NULLS LAST,
        p.context_from DESC
), unit AS (
    SELECT dimension_id, {UNIT_PRICES}
    FROM price GROUP BY dimension_id
)
SELECT {COLUMNS} false
FROM slice s JOIN picked d ON d.id = s.dimension_id JOIN unit ON unit.dimension_id = s.dimension_id
WHERE s.counted
ORDER BY {AT_UNIT_PRICES} DESC, s.trace_id, s.span_id
LIMIT %(shown)s
"""  # noqa: S608  no value is written into it

# One row per span that fell outside the time window, as they arrived, newest first.
OUTSIDE = f"""
SELECT {COLUMNS} true
FROM span_outside_window s JOIN allocation_usagedimension d ON d.id = s.dimension_id
WHERE {within_scope("d.team")}
ORDER BY s.received_at DESC, s.trace_id, s.span_id
LIMIT %(shown)s
"""  # noqa: S608  no value is written into it


@dataclass(frozen=True)
class ErrorRow:
    error_type: str | None
    calls: Decimal  # weighted: a sampled span stands for several
    models: str
    newest: datetime
    newest_day: date
    newest_trace: UUID


# One row per type of error, among the newest failed spans of the window.
ERRORS = f"""
WITH slice AS MATERIALIZED (
    SELECT * FROM span
    WHERE span_day BETWEEN %(first_day)s AND %(last_day)s
        AND started_at >= %(start)s AND started_at < %(end)s
        AND {failing("span")}
    ORDER BY started_at DESC LIMIT %(slice)s
)
SELECT s.error_type, sum(s.adjusted_count), string_agg(DISTINCT d.model, ', '), max(s.started_at),
    (array_agg(s.span_day ORDER BY s.started_at DESC))[1],
    (array_agg(s.trace_id ORDER BY s.started_at DESC))[1]
FROM slice s JOIN allocation_usagedimension d ON d.id = s.dimension_id
WHERE s.counted AND {PICKED_DIMENSIONS}
GROUP BY s.error_type
ORDER BY sum(s.adjusted_count) DESC, s.error_type COLLATE "C"
LIMIT %(shown)s
"""  # noqa: S608  no value is written into it


def _parameters(
    window: HourWindow, picked: UsageFilter, teams: TeamScope, failure: Failure
) -> dict[str, Any]:
    first_day, last_day = window.days
    return {
        "start": window.start,
        "end": window.end,
        "first_day": first_day,
        "last_day": last_day,
        "slice": SLICE,
        "shown": SHOWN,
        **picked.parameters(teams),
        **failure.parameters,
    }


def newest_spans(
    *, window: HourWindow, picked: UsageFilter, teams: TeamScope, failure: Failure = ANY
) -> list[CallRow]:
    """The last 12 spans that began in the window, of any kind."""
    return fetch(CallRow, NEWEST, _parameters(window, picked, teams, failure))


def slowest_calls(
    *, window: HourWindow, picked: UsageFilter, teams: TeamScope, failure: Failure = ANY
) -> list[CallRow]:
    """The 12 longest model calls among the newest 5,000 spans of the window."""
    return fetch(CallRow, SLOWEST, _parameters(window, picked, teams, failure))


def costliest_calls(
    *, window: HourWindow, picked: UsageFilter, teams: TeamScope, failure: Failure = ANY
) -> list[CallRow]:
    """The 12 dearest priced model calls among the newest 5,000 spans of the window, each with its
    cost.
    """
    calls = fetch(CallRow, COSTLIEST, _parameters(window, picked, teams, failure))
    costs = span_costs(calls)
    priced = [replace(call, price=costs.get((call.trace_id, call.span_id))) for call in calls]
    return sorted(
        (call for call in priced if call.cost is not None), key=lambda call: -(call.cost or 0)
    )


def errors_by_type(
    *, window: HourWindow, picked: UsageFilter, teams: TeamScope, error_type: str | None = None
) -> list[ErrorRow]:
    """Failed model calls by type of error, among the newest 5,000 failed spans of the window."""
    return fetch(ErrorRow, ERRORS, _parameters(window, picked, teams, Failure(True, error_type)))


def spans_outside_window(*, teams: TeamScope) -> list[CallRow]:
    """The last 12 spans that arrived with a start outside the time window; kept, flagged and not
    counted.
    """
    return fetch(CallRow, OUTSIDE, {"shown": SHOWN, "teams": teams.bound})
